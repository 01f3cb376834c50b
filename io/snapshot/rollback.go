package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"diffstitch/io/storage"
)

// Rollback has CURRENT name another snapshot, an earlier one or one that was rolled back
// from, after it has checked all its files. "" stands for the parent of the current one. It
// gives the id that CURRENT named before, "" where it named none. Where somebody else moved
// CURRENT meanwhile it fails with ErrOvertaken; so will a run that began before it.
func Rollback(out, id string) (before string, to Snapshot, err error) {
	return rollback(out, id, time.Now)
}

func rollback(out, id string, now func() time.Time) (before string, to Snapshot, err error) {
	m, err := beginMaintenance(out, "rollback", now())
	if err != nil {
		return "", to, err
	}
	defer func() { err = errors.Join(err, m.end()) }()
	before, version, broken := loadCurrent(out)
	if broken != nil {
		before = "" // whatever CURRENT is, it is replaced
	}
	if id == "" {
		if id, err = parentOf(out, before, broken); err != nil {
			return before, to, err
		}
	}
	if to, err = Find(out, id); err != nil || to.ID == before {
		return before, to, err
	}
	if err := to.Check(true); err != nil {
		return before, to, err
	}
	if err := m.alive(); err != nil {
		return before, to, err
	}
	if err := record(out, before, now()); err != nil {
		return before, to, err
	}
	_, err = storage.Replace(storage.Join(out, currentName), []byte(id+"\n"), version)
	if errors.Is(err, storage.ErrChanged) {
		err = fmt.Errorf("%w: %w", ErrOvertaken, err)
	}
	if err != nil {
		return before, to, fmt.Errorf("snapshot: rolling back to %s: %w", id, err)
	}
	to.Current = true
	return before, to, nil
}

// parentOf is the id of the snapshot that was current before the current one.
func parentOf(out, id string, broken error) (string, error) {
	if broken != nil {
		return "", fmt.Errorf("%w; say which snapshot is to be current", broken)
	}
	s, err := Find(out, id)
	if err == nil && s.Manifest.Parent == "" {
		err = fmt.Errorf("snapshot: %s names none before it; say which snapshot is to be current: %w", id, ErrNoSnapshot)
	}
	return s.Manifest.Parent, err
}

// rollbacksName is of a file that says of snapshots when they were rolled back from, last.
// With the parents and times in the manifests it tells when each was current.
const rollbacksName = "rollbacks.json"

type rollbacks map[string]time.Time

func loadRollbacks(out string) (rollbacks, storage.Version, error) {
	text, version, err := loadWithin(out, rollbacksName)
	if errors.Is(err, fs.ErrNotExist) {
		return rollbacks{}, version, nil
	}
	r := rollbacks{}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return nil, version, fmt.Errorf("snapshot: reading %q: %w", storage.Join(out, rollbacksName), err)
	}
	return r, version, nil
}

// save replaces the file, unless nothing has changed.
func (r rollbacks) save(out string, was storage.Version) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		_, err = storage.Replace(storage.Join(out, rollbacksName), append(text, '\n'), was)
	}
	if err != nil {
		return fmt.Errorf("snapshot: saying when snapshots were rolled back from: %w", err)
	}
	return nil
}

// record says that a snapshot is rolled back from. It is said first: where nothing comes of
// it, the snapshot is kept a while longer.
func record(out, id string, at time.Time) error {
	if id == "" {
		return nil
	}
	r, was, err := loadRollbacks(out)
	if err != nil {
		return err
	}
	r[id] = at.UTC()
	return r.save(out, was)
}

// maintenance is what moves CURRENT back or removes snapshots; one at a time, beside any
// runs.
type maintenance struct {
	claim *claim       // of an object store
	end   func() error // lets the next one in
}

// maintenanceName is of the lock, beside what it keeps: runs sweep the staging.
const maintenanceName = ".maintenance.lock"

func beginMaintenance(out, what string, now time.Time) (*maintenance, error) {
	if err := checkLinks(out); err != nil {
		return nil, err
	}
	if ids, err := snapshotIDs(out); err != nil || len(ids) == 0 {
		return nil, errors.Join(err, fmt.Errorf("snapshot: looking into %q: %w", out, ErrNoSnapshot))
	}
	path, h := storage.Join(out, maintenanceName), newHolder(what, now)
	if storage.IsRemote(out) {
		c, err := takeClaim(path, h)
		if err != nil {
			return nil, err
		}
		return &maintenance{claim: c, end: c.release}, nil
	}
	f, err := acquire(path)
	if err != nil {
		return nil, err
	}
	if err := describe(f, h); err != nil {
		return nil, errors.Join(fmt.Errorf("snapshot: writing %q: %w", path, err), f.Close())
	}
	return &maintenance{end: f.Close}, nil
}

// alive fails where another may be at work by now. It comes before what must not happen
// beside another's.
func (m *maintenance) alive() error {
	if m.claim == nil {
		return nil // the kernel's lock holds
	}
	return m.claim.renew()
}
