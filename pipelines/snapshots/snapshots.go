// Package snapshots looks after the snapshots of a published folder: lists, shows and
// compares them, goes back to an earlier one, checks them and removes old ones.
package snapshots

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/pipelines/failure"
)

// Entry is a snapshot in a list.
type Entry struct {
	ID       string         `json:"id"`
	Created  time.Time      `json:"created"`
	Current  bool           `json:"current"`
	Parent   string         `json:"parent,omitempty"`
	Original snapshot.Count `json:"original"`
	Stitched snapshot.Count `json:"stitched"`
	Files    int            `json:"files"`
	// Inherited is how many of the files lie in folders of earlier snapshots.
	Inherited int   `json:"inherited_files"`
	Bytes     int64 `json:"bytes"`
}

// Listing is what a published folder has, oldest first.
type Listing struct {
	Snapshots []Entry `json:"snapshots"`
}

// List lists the snapshots of a published folder.
func List(out string) (Listing, error) {
	all, err := snapshot.List(out)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%q: %w", out, snapshot.ErrNoSnapshot)
	}
	l := Listing{Snapshots: []Entry{}}
	for _, s := range all {
		l.Snapshots = append(l.Snapshots, entry(s))
	}
	return l, kind(err)
}

func entry(s snapshot.Snapshot) Entry {
	m := s.Manifest
	e := Entry{ID: s.ID, Created: m.Created, Current: s.Current, Parent: m.Parent, Original: m.Original, Stitched: m.Stitched, Files: len(m.Parts)}
	for _, p := range m.Parts {
		e.Bytes += p.Bytes
		if p.Snapshot != "" {
			e.Inherited++
		}
	}
	return e
}

// Text shows the list to a reader, a line a snapshot.
func (l Listing) Text() string {
	text := &strings.Builder{}
	lines := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(lines, "snapshot\tcreated\toriginal\tstitched\tfiles\tMiB\tparent\t")
	for _, e := range l.Snapshots {
		current := ""
		if e.Current {
			current = "current"
		}
		fmt.Fprintf(lines, "%s\t%s\t%d\t%d\t%d\t%.1f\t%s\t%s\n", e.ID, e.Created.UTC().Format("2006-01-02 15:04:05"),
			e.Original.Transitions, e.Stitched.Transitions, e.Files, float64(e.Bytes)/(1<<20), cmp.Or(e.Parent, "-"), current)
	}
	_ = lines.Flush() // to memory
	return text.String()
}

// Shown is one snapshot.
type Shown struct {
	snapshot.Manifest
	Dir     string   `json:"dir"`
	Current bool     `json:"current"`
	Files   []string `json:"files"`
}

// find is the snapshot of an id, the current one where that is "".
func find(out, id string) (snapshot.Snapshot, error) {
	if id == "" {
		return snapshot.Current(out)
	}
	return snapshot.Find(out, id)
}

// Show gives a snapshot, the current one where the id is "".
func Show(out, id string) (Shown, error) {
	s, err := find(out, id)
	return Shown{s.Manifest, s.Dir, s.Current, s.Files()}, kind(err)
}

// Text is the dataset card, and where the files are.
func (s Shown) Text() string {
	text := &strings.Builder{}
	if err := snapshot.WriteCard(text, s.Manifest); err != nil { // to memory, of a template that is tested
		return err.Error()
	}
	fmt.Fprintf(text, "\nfolder: %s\nparent: %s\n", s.Dir, cmp.Or(s.Parent, "-"))
	for _, file := range s.Files {
		fmt.Fprintln(text, "file:  ", file)
	}
	return text.String()
}

// RolledBack is what a rollback did.
type RolledBack struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Rollback has CURRENT name an earlier snapshot, the current one's parent where the id is
// "".
func Rollback(out, id string) (RolledBack, error) {
	from, to, err := snapshot.Rollback(out, id)
	return RolledBack{from, to.ID}, kind(err)
}

// Text says what was done.
func (r RolledBack) Text() string {
	if r.From == r.To {
		return fmt.Sprintf("%s is the current snapshot already: nothing was done\n", r.To)
	}
	return fmt.Sprintf("%s is the current snapshot now, in the place of %s\n", r.To, cmp.Or(r.From, "none"))
}

// Verified is what was checked.
type Verified struct {
	Snapshots []Entry `json:"snapshots"`
}

// Verify checks a snapshot, or all of them where the id is "": that the files are those of
// the manifest, their sizes and hashes.
func Verify(out, id string) (Verified, error) {
	var v Verified
	var all []snapshot.Snapshot
	var err error
	if id == "" {
		all, err = snapshot.List(out)
	} else {
		all = make([]snapshot.Snapshot, 1)
		all[0], err = find(out, id)
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%q: %w", out, snapshot.ErrNoSnapshot)
	}
	if err != nil {
		return v, kind(err)
	}
	var broken []error
	for _, s := range all {
		if err := s.Check(true); err != nil {
			broken = append(broken, err)
			continue
		}
		v.Snapshots = append(v.Snapshots, entry(s))
	}
	return v, kind(errors.Join(broken...))
}

// Text says what is whole.
func (v Verified) Text() string {
	text := &strings.Builder{}
	for _, e := range v.Snapshots {
		fmt.Fprintf(text, "%s is whole: %d files, %d bytes\n", e.ID, e.Files, e.Bytes)
	}
	return text.String()
}

// Pruned is what was removed, and what stays and why.
type Pruned struct{ snapshot.Pruned }

// Prune removes all snapshots but so many of the latest, the current one, those that were
// current less than the grace ago, and those whose files a snapshot that stays lists.
func Prune(out string, keep int, grace time.Duration) (Pruned, error) {
	if keep < 1 || grace < 0 {
		return Pruned{}, fmt.Errorf("%w: --keep %d and --grace %v: at least one snapshot is kept, and the grace is no less than 0", failure.ErrUsage, keep, grace)
	}
	p, err := snapshot.Prune(out, snapshot.PruneOptions{Keep: keep, Grace: grace})
	return Pruned{p}, kind(err)
}

// Text says what was removed and why the rest stays.
func (p Pruned) Text() string {
	text := &strings.Builder{}
	for _, r := range p.Removed {
		fmt.Fprintf(text, "removed %s: %d files, %d bytes\n", r.Path, r.Files, r.Bytes)
	}
	for _, k := range p.Kept {
		fmt.Fprintf(text, "kept %s: %s\n", k.ID, k.Why)
	}
	return text.String()
}

// kind says whose fault an error is, by which the exit code is chosen.
func kind(err error) error {
	if errors.Is(err, snapshot.ErrNoSnapshot) || errors.Is(err, snapshot.ErrBroken) {
		return fmt.Errorf("%w: %w", failure.ErrData, err)
	}
	return err
}
