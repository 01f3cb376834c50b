package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"diffstitch/io/storage"
)

// Removed is a file or a folder that was removed.
type Removed struct {
	Path  string `json:"path"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// Clean removes what dead runs left in the staging of OUT, and says what that
// was. What is published stays as it is. Of a local folder it fails with ErrLocked while a
// run is at work; of an object store it leaves alone what is of runs that live.
func Clean(out string) ([]Removed, error) {
	if _, err := storage.Stat(out); err != nil {
		return nil, fmt.Errorf("snapshot: cleaning: %w", err)
	}
	if err := checkLinks(out); err != nil {
		return nil, err
	}
	staging := storage.Join(out, stagingName)
	if _, err := storage.Stat(staging); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var err error
	unlock := func() error { return nil }
	if !storage.IsRemote(out) {
		lock, err := acquire(filepath.Join(staging, lockName))
		if err != nil {
			return nil, err
		}
		unlock = lock.Close
	}
	removed, err := sweep(out, "")
	if err := errors.Join(err, unlock()); err != nil {
		return removed, fmt.Errorf("snapshot: cleaning %q: %w", staging, err)
	}
	return removed, nil
}

// sweep removes what dead runs left in the staging of OUT: under the lock of a local folder
// that is whatever is there; on an object store, what nobody claims or nobody who lives.
func sweep(out, own string) (all []Removed, err error) {
	entries, err := storage.ReadDir(storage.Join(out, stagingName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() == lockName || e.Name() == own {
			continue
		}
		paths := []string{storage.Join(out, stagingName, e.Name())}
		if storage.IsRemote(out) {
			if paths, err = ofTheDead(out, e.Name()); err != nil {
				return all, err
			}
		}
		for _, path := range paths {
			r, err := measure(path)
			if err == nil {
				err = storage.RemoveAll(path)
			}
			if err != nil {
				return all, err
			}
			if r.Files > 0 || !storage.IsRemote(out) {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// ofTheDead are the folders of a run in the staging of an object store, in the order that
// they can go in; none where the run lives.
func ofTheDead(out, run string) ([]string, error) {
	id := strings.TrimSuffix(run, failuresSuffix)
	path := storage.Join(out, stagingName, id, claimName)
	before, was, err := storage.Load(path, maxClaim)
	if err == nil {
		gone, err := isDead(path, before)
		if err != nil || !gone {
			return nil, err
		}
		// Were it alive after all, it must not commit what is removed now.
		if _, err := storage.Replace(path, append(before, '\n'), was); err != nil {
			if errors.Is(err, storage.ErrChanged) {
				err = nil
			}
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var paths []string
	dir := storage.Join(out, snapshotsName, id)
	if _, err := storage.Stat(storage.Join(dir, manifestName)); errors.Is(err, fs.ErrNotExist) && idPattern.MatchString(id) {
		paths = append(paths, dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return append(paths, storage.Join(out, stagingName, run)), nil
}

// measure counts the files at a path and below it. A worker of a dead run may
// still be removing its own.
func measure(path string) (Removed, error) {
	r := Removed{Path: path}
	err := storage.Walk(path, func(_ string, info fs.FileInfo) error {
		r.Files++
		r.Bytes += info.Size()
		return nil
	})
	return r, err
}
