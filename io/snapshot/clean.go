package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Removed is a file or a folder that was removed.
type Removed struct {
	Path  string `json:"path"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// Clean removes what dead runs left in the staging of OUT, and says what that
// was. What is published stays as it is. It fails with ErrLocked while a run is
// at work.
func Clean(out string) ([]Removed, error) {
	if _, err := os.Stat(out); err != nil {
		return nil, fmt.Errorf("snapshot: cleaning: %w", err)
	}
	if err := checkLinks(out); err != nil {
		return nil, err
	}
	staging := filepath.Join(out, stagingName)
	if _, err := os.Stat(staging); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	lock, err := acquire(filepath.Join(staging, lockName))
	if err != nil {
		return nil, err
	}
	removed, err := sweep(staging)
	if err := errors.Join(err, lock.Close()); err != nil {
		return removed, fmt.Errorf("snapshot: cleaning %q: %w", staging, err)
	}
	return removed, nil
}

// sweep removes whatever lies in the staging folder: under the lock it can only
// belong to a run that is dead.
func sweep(staging string) (all []Removed, err error) {
	entries, err := os.ReadDir(staging)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() == lockName {
			continue
		}
		r, err := measure(filepath.Join(staging, e.Name()))
		if err != nil {
			return all, err
		}
		if err := os.RemoveAll(r.Path); err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

// measure counts the files at a path and below it. A worker of a dead run may
// still be removing its own.
func measure(path string) (Removed, error) {
	r := Removed{Path: path}
	err := filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		if info, err := entry.Info(); err == nil {
			r.Files++
			r.Bytes += info.Size()
		}
		return nil
	})
	return r, err
}
