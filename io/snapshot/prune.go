package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"diffstitch/io/storage"
)

// PruneOptions say what a prune leaves.
type PruneOptions struct {
	// Keep is how many of the latest snapshots stay; at least one.
	Keep int
	// Grace is how long a snapshot stays after it was current, for those who read it still.
	Grace time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Pruned is what a prune did.
type Pruned struct {
	Removed []Removed `json:"removed"`
	Kept    []Kept    `json:"kept"`
}

// Kept is a snapshot that stays, and why.
type Kept struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// Prune removes snapshots but for the latest ones, the current one, those that were
// current a short while ago, those that may become current, and those of which a snapshot
// that stays has files. It finishes what a prune that died left, and runs may be at work
// beside it.
//
// The manifest of a snapshot goes first: from then on it is none, whatever is left of it.
// The latest go first, so that none is there without the files that it has of earlier ones.
func Prune(out string, o PruneOptions) (done Pruned, err error) {
	if o.Keep < 1 {
		return done, fmt.Errorf("snapshot: pruning to %d snapshots: at least one stays", o.Keep)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m, err := beginMaintenance(out, "prune", o.Now())
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, m.end()) }()
	ids, err := snapshotIDs(out)
	if err != nil {
		return done, err
	}
	h, err := readHistory(out)
	if err != nil {
		return done, err
	}
	why := h.kept(o)
	for _, id := range slices.Backward(ids) {
		if why[id] != "" {
			done.Kept = append(done.Kept, Kept{id, why[id]})
			continue
		}
		removed, err := m.remove(out, id, h.has(id))
		if err != nil {
			return done, fmt.Errorf("snapshot: removing %s: %w", id, err)
		}
		done.Removed = append(done.Removed, removed...)
	}
	return done, h.forget(out, why)
}

// remove removes a snapshot, or what is left of one where it has no manifest.
func (m *maintenance) remove(out, id string, whole bool) ([]Removed, error) {
	if !whole {
		if left, err := abandoned(out, id); err != nil || !left {
			return nil, err
		}
	}
	dir := storage.Join(out, snapshotsName, id)
	r, err := measure(dir)
	if err == nil {
		err = m.alive()
	}
	if err == nil {
		err = discard(dir)
	}
	if err != nil {
		return nil, err
	}
	return []Removed{r}, nil
}

// abandoned is whether a folder without a manifest belongs to no run. The claim is looked
// for first: a run has its manifest written by the time that it gives up its claim.
func abandoned(out, id string) (bool, error) {
	for _, path := range []string{storage.Join(out, stagingName, id, claimName), storage.Join(out, snapshotsName, id, manifestName)} {
		if _, err := storage.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, nil
}

// history is what is known of the snapshots of a published folder.
type history struct {
	all       []Snapshot // oldest first
	current   string
	rollbacks rollbacks
	version   storage.Version // of the rollbacks
}

func readHistory(out string) (h history, err error) {
	if h.current, err = currentID(out); err != nil {
		return h, err
	}
	if h.all, err = List(out); err != nil {
		return h, err
	}
	h.rollbacks, h.version, err = loadRollbacks(out)
	return h, err
}

func (h history) has(id string) bool {
	return slices.ContainsFunc(h.all, func(s Snapshot) bool { return s.ID == id })
}

// kept says of the snapshots that stay why they do.
func (h history) kept(o PruneOptions) map[string]string {
	why := map[string]string{}
	for i, s := range h.all {
		left, known := h.left(s)
		switch {
		case s.Current || s.ID == h.current:
			why[s.ID] = "it is current"
		case len(h.all)-i <= o.Keep:
			why[s.ID] = fmt.Sprintf("it is one of the latest %d", o.Keep)
		case !known && s.ID > h.current:
			why[s.ID] = "it may be about to become current"
		case o.Now().Sub(left) < o.Grace:
			why[s.ID] = fmt.Sprintf("it was current until %s", left.UTC().Format(time.RFC3339))
		}
	}
	for more := true; more; {
		more = false
		for _, s := range slices.Backward(h.all) {
			for _, p := range s.Manifest.Parts {
				if why[s.ID] != "" && p.Snapshot != "" && why[p.Snapshot] == "" {
					why[p.Snapshot], more = "it has files of "+s.ID, true
				}
			}
		}
	}
	return why
}

// left is when a snapshot ceased to be current, and whether it is known to have been: when
// the last run that found it current published, or when it was rolled back from. Of
// manifests that name no parent it is the one before.
func (h history) left(s Snapshot) (at time.Time, known bool) {
	at, known = h.rollbacks[s.ID]
	for i, later := range h.all {
		parent := later.Manifest.Parent
		if parent == "" && i > 0 {
			parent = h.all[i-1].ID
		}
		if created := later.Manifest.Created; parent == s.ID {
			known = true
			if created.After(at) {
				at = created
			}
		}
	}
	if s.Manifest.Created.After(at) {
		at = s.Manifest.Created
	}
	return at, known
}

// forget drops what is said of snapshots that are gone.
func (h history) forget(out string, kept map[string]string) error {
	before := len(h.rollbacks)
	maps.DeleteFunc(h.rollbacks, func(id string, _ time.Time) bool { return kept[id] == "" })
	if len(h.rollbacks) == before {
		return nil
	}
	return h.rollbacks.save(out, h.version)
}
