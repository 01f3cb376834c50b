package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"diffstitch/io/storage"
)

const (
	// retiredName is of a file in a snapshot's folder that says when a rollback left it.
	retiredName = "retired"
	// keepingLock is the lock of what moves CURRENT back, or removes snapshots.
	keepingLock = "keeping.lock"
)

// Find is a snapshot by its id; the current one where the id is "".
func Find(out, id string) (Snapshot, error) {
	if id == "" {
		return Current(out)
	}
	all, err := List(out)
	if err != nil {
		return Snapshot{}, err
	}
	var ids []string
	for _, s := range all {
		if s.ID == id {
			return s, nil
		}
		ids = append(ids, s.ID)
	}
	return Snapshot{}, fmt.Errorf("snapshot: %q has no snapshot %q: %w; it has %q", out, id, ErrNoSnapshot, ids)
}

// keeping keeps others who move CURRENT back, or remove snapshots, out of a folder.
func keeping(out, what string) (release func(), err error) {
	if err := checkLinks(out); err != nil {
		return nil, err
	}
	if err := storage.MkdirAll(storage.Join(out, stagingName)); err != nil {
		return nil, fmt.Errorf("snapshot: output folder is not writable: %w", err)
	}
	return Lock(storage.Join(out, stagingName, keepingLock), what)
}

// Rollback has CURRENT name an earlier snapshot, the current one's parent where the id is
// "". The snapshot is checked before, hashes included. A run that is at work will find
// itself overtaken.
func Rollback(out, id string) (from string, to Snapshot, err error) {
	release, err := keeping(out, "rollback")
	if err != nil {
		return "", to, err
	}
	defer release()
	from, was, err := loadCurrent(out)
	if err != nil && (was == storage.Absent || id == "") {
		return "", to, err // of a CURRENT that names none, there is a way back all the same
	}
	if id == "" {
		current, err := open(out, from)
		if err != nil {
			return from, to, err
		}
		if id = current.Manifest.Parent; id == "" {
			return from, to, fmt.Errorf("snapshot: %s has no parent to go back to: name a snapshot: %w", from, ErrNoSnapshot)
		}
	}
	if to, err = Find(out, id); err != nil {
		return from, to, err
	}
	if err := to.Check(true); err != nil || to.ID == from {
		return from, to, err
	}
	if err := retire(out, from); err != nil {
		return from, to, err
	}
	if _, err := storage.Replace(storage.Join(out, currentName), []byte(to.ID+"\n"), was); errors.Is(err, storage.ErrChanged) {
		return from, to, fmt.Errorf("snapshot: rolling back: %w: %w", ErrOvertaken, err)
	} else if err != nil {
		return from, to, fmt.Errorf("snapshot: rolling back: %w", err)
	}
	to.Current = true
	return from, to, nil
}

// retire writes down when a snapshot ceased to be current by a rollback.
func retire(out, id string) error {
	if id == "" {
		return nil
	}
	return storage.WriteWhole(storage.Join(out, snapshotsName, id, retiredName), func(w io.Writer) error {
		_, err := fmt.Fprintln(w, time.Now().UTC().Format(time.RFC3339))
		return err
	})
}

// retired is when a snapshot was last the current one, as far as what came after tells.
func retired(out string, s Snapshot, all []Snapshot) (time.Time, error) {
	last := s.Manifest.Created
	for _, child := range all {
		if child.Manifest.Parent == s.ID && child.Manifest.Created.After(last) {
			last = child.Manifest.Created
		}
	}
	text, _, err := loadWithin(out, snapshotsName+"/"+s.ID+"/"+retiredName)
	if errors.Is(err, fs.ErrNotExist) {
		return last, nil
	}
	if err != nil {
		return last, err
	}
	at, err := time.Parse(time.RFC3339, string(bytes.TrimSpace(text)))
	if err != nil {
		return last, fmt.Errorf("snapshot: reading when %s was left: %w", s.ID, err)
	}
	if at.After(last) {
		last = at
	}
	return last, nil
}

// Pruning says which snapshots stay.
type Pruning struct {
	Keep  int           // so many of the newest
	Grace time.Duration // and those that were current so short a time ago
	Now   time.Time
}

// Prune removes snapshots but for the newest, the current one, those that ceased to be
// current a short time ago, for whose readers it is, and those in whose folders parts of
// one that stays lie. A snapshot's manifest goes first, so that there never is half of one.
func Prune(out string, p Pruning) (removed []Removed, err error) {
	release, err := keeping(out, "prune")
	if err != nil {
		return nil, err
	}
	defer release()
	all, err := List(out)
	if err != nil {
		return nil, err
	}
	stay, err := p.stay(out, all)
	if err != nil {
		return nil, err
	}
	ids, err := snapshotIDs(out)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		whole := slices.ContainsFunc(all, func(s Snapshot) bool { return s.ID == id })
		if stay[id] || !whole && inProgress(out, id) {
			continue
		}
		r, err := measure(storage.Join(out, snapshotsName, id))
		if err == nil {
			err = discard(r.Path)
		}
		if err != nil {
			return removed, fmt.Errorf("snapshot: pruning %s: %w", id, err)
		}
		removed = append(removed, r)
	}
	return removed, nil
}

// inProgress is whether a folder without a manifest is a run's that claims it.
func inProgress(out, id string) bool {
	_, err := storage.Stat(storage.Join(out, stagingName, id, claimName))
	return !errors.Is(err, fs.ErrNotExist)
}

// stay are the ids of the snapshots that stay.
func (p Pruning) stay(out string, all []Snapshot) (map[string]bool, error) {
	stay := map[string]bool{}
	current := slices.IndexFunc(all, func(s Snapshot) bool { return s.Current })
	if current < 0 {
		return nil, fmt.Errorf("snapshot: pruning %q: CURRENT names no snapshot that is there: %w", out, ErrNoSnapshot)
	}
	for i, s := range all {
		last, err := retired(out, s, all)
		if err != nil {
			return nil, err
		}
		if s.Current || i >= len(all)-p.Keep || p.Now.Sub(last) < p.Grace {
			stay[s.ID] = true
		}
	}
	for _, s := range all {
		if !stay[s.ID] {
			continue
		}
		for _, part := range s.Manifest.Parts {
			if part.Snapshot != "" {
				stay[part.Snapshot] = true
			}
		}
	}
	return stay, nil
}

// Verify checks a snapshot: its files, their sizes and hashes, and that no link is among
// what it holds.
func (s Snapshot) Verify() error {
	if err := s.Check(true); err != nil {
		return err
	}
	return storage.Walk(s.Dir, func(path string, info fs.FileInfo) error {
		if info.Mode()&os.ModeSymlink != 0 {
			return fmt.Errorf("snapshot: %q is a symbolic link, of which a snapshot has none", path)
		}
		return nil
	})
}
