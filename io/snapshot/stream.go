package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"diffstitch/io/storage"
)

// LockStream takes a published folder for one stream, with ErrLocked to all others. Runs
// of other kinds may publish between its micro-snapshots.
func LockStream(out string) (release func(), err error) {
	if err := errors.Join(checkLinks(out), checkOurs(out)); err != nil {
		return nil, err
	}
	dir := storage.Join(out, StreamName)
	if err := storage.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("snapshot: output folder is not writable: %w", err)
	}
	return Lock(storage.Join(dir, lockName), "stream")
}

// SweepStream removes what is in the folder of a stream, but for its lock and some names.
// Whoever calls it holds the lock.
func SweepStream(out string, but ...string) (all []Removed, err error) {
	dir := storage.Join(out, StreamName)
	entries, err := storage.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("snapshot: sweeping a stream: %w", err)
	}
	for _, e := range entries {
		if e.Name() == lockName || slices.Contains(but, e.Name()) {
			continue
		}
		r, err := measure(storage.Join(dir, e.Name()))
		if err == nil {
			err = storage.RemoveAll(r.Path)
		}
		if err != nil {
			return all, fmt.Errorf("snapshot: sweeping a stream: %w", err)
		}
		all = append(all, r)
	}
	return all, nil
}
