// Package snapshot publishes a run's output so that a reader sees either the
// whole of it or nothing.
//
// A published folder holds
//
//	OUT/CURRENT                            one line: the id of the snapshot to read
//	OUT/rollbacks.json                     when snapshots were rolled back from, if any was
//	OUT/snapshots/<id>/data/part-*.parquet
//	OUT/snapshots/<id>/manifest.json
//	OUT/snapshots/<id>/README.md           the dataset card
//	OUT/snapshots/<id>/report/index.html
//	OUT/snapshots/<id>/rejects/
//	OUT/.staging/                          of the run in progress, and its lock
//	OUT/refused/                           report and manifest of the last snapshot that a
//	                                       quality gate refused
//	OUT/.stream/                           of a stream, and its lock
//
// A run writes under OUT/.staging, moves the finished snapshot into place with
// one rename and replaces CURRENT, last, if it is what it was when the run began. Killed
// at any point, it leaves CURRENT as it was; the next run sweeps what it left behind.
//
// On an object store nothing can be moved: a run writes into OUT/snapshots/<id>, which
// readers don't see before its manifest is there, and CURRENT names it after that. What
// keeps runs apart there is a claim, OUT/.staging/<id>/claim, which a run renews as long
// as it lives.
package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"

	"diffstitch/io/storage"
)

const (
	currentName   = "CURRENT"
	snapshotsName = "snapshots"
	stagingName   = ".staging"
	refusedName   = "refused"
	manifestName  = "manifest.json"
	dataName      = "data"
	cardName      = "README.md"
)

// StreamName is the folder of OUT in which a stream keeps what it has not published yet.
const StreamName = ".stream"

// Snapshot is one published dataset.
type Snapshot struct {
	ID       string
	Dir      string // OUT/snapshots/<id>
	Current  bool   // whether OUT/CURRENT names it
	Manifest Manifest
}

// DataDir is the folder of the Parquet files.
func (s Snapshot) DataDir() string { return storage.Join(s.Dir, dataName) }

// ReportPath is the HTML report.
func (s Snapshot) ReportPath() string { return storage.Join(s.Dir, "report", "index.html") }

// Current is the snapshot that OUT/CURRENT names. A folder where nothing is
// published gives ErrNoSnapshot. One that is removed between two looks at CURRENT and at it
// is looked for again.
func Current(out string) (s Snapshot, err error) {
	for before := ""; ; before = s.ID {
		id, err := currentID(out)
		if err != nil {
			return Snapshot{}, err
		}
		s, err = open(out, id)
		s.Current = true
		if !errors.Is(err, fs.ErrNotExist) || id == before {
			return s, err
		}
	}
}

// Find is the snapshot of an id. ErrNoSnapshot is of one that is not there, or not whole yet.
func Find(out, id string) (Snapshot, error) {
	if !idPattern.MatchString(id) {
		return Snapshot{}, fmt.Errorf("snapshot: %.40q is no snapshot's id: %w", id, ErrNoSnapshot)
	}
	s, err := open(out, id)
	if errors.Is(err, fs.ErrNotExist) {
		ids, _ := snapshotIDs(out) // which only help to find the right one
		err = fmt.Errorf("snapshot: %q has no snapshot %s: %w (it has: %s)", out, id, ErrNoSnapshot, strings.Join(ids, ", "))
	}
	current, _ := currentID(out) // whatever it is
	s.Current = id == current
	return s, err
}

// At is the snapshot that a folder is read as: the one that is current in it, or, where it
// is the folder of a snapshot or the data folder in that, this one. ErrNoSnapshot is of
// every other path.
func At(path string) (Snapshot, error) {
	info, err := storage.Stat(path)
	if err != nil || !info.IsDir() {
		return Snapshot{}, fmt.Errorf("snapshot: %q is no folder: %w", path, ErrNoSnapshot)
	}
	s, err := Current(path)
	if !errors.Is(err, ErrNoSnapshot) {
		return s, err
	}
	dir, absolute := storage.Absolute(path)
	if absolute != nil {
		return Snapshot{}, fmt.Errorf("snapshot: finding %q: %w", path, absolute)
	}
	if storage.Base(dir) == dataName {
		dir = storage.Dir(dir)
	}
	id, above := storage.Base(dir), storage.Dir(dir)
	if !idPattern.MatchString(id) || storage.Base(above) != snapshotsName {
		return Snapshot{}, err
	}
	return open(storage.Dir(above), id)
}

// List is every snapshot of a published folder, oldest first. A snapshot that
// CURRENT does not name may be an earlier one, or one whose run was killed
// between moving it into place and naming it; it is whole either way.
func List(out string) ([]Snapshot, error) {
	current, err := currentID(out)
	if err != nil && !errors.Is(err, ErrNoSnapshot) {
		return nil, err
	}
	ids, err := snapshotIDs(out)
	if err != nil {
		return nil, err
	}
	var all []Snapshot
	for _, id := range ids {
		s, err := open(out, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being removed, or, on an object store, made
		}
		if err != nil {
			return nil, err
		}
		s.Current = id == current
		all = append(all, s)
	}
	return all, nil
}

func currentID(out string) (string, error) {
	id, _, err := loadCurrent(out)
	return id, err
}

// loadCurrent is the id in CURRENT, and the version of CURRENT that holds it, whatever it
// holds.
func loadCurrent(out string) (id string, version storage.Version, err error) {
	line, version, err := loadWithin(out, currentName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", version, fmt.Errorf("snapshot: reading %q: %w", out, ErrNoSnapshot)
	case err != nil:
		return "", version, fmt.Errorf("snapshot: reading %s: %w", currentName, err)
	}
	id = string(bytes.TrimSpace(line))
	if !idPattern.MatchString(id) {
		return "", version, fmt.Errorf("snapshot: %q does not hold a snapshot's id: %.40q", storage.Join(out, currentName), id)
	}
	return id, version, nil
}

// snapshotIDs lists the folders under OUT/snapshots that are named as snapshots
// are, oldest first, which is the order of their names.
func snapshotIDs(out string) ([]string, error) {
	entries, err := storage.ReadDir(storage.Join(out, snapshotsName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("snapshot: listing: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && idPattern.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

func open(out, id string) (Snapshot, error) {
	s := Snapshot{ID: id, Dir: storage.Join(out, snapshotsName, id)}
	raw, _, err := loadWithin(out, snapshotsName+"/"+id+"/"+manifestName)
	if err != nil {
		return s, fmt.Errorf("snapshot: opening %s: %w", id, err)
	}
	if err := json.Unmarshal(raw, &s.Manifest); err != nil {
		return s, fmt.Errorf("snapshot: the manifest of %s: %w: %w", id, ErrBroken, err)
	}
	if err := s.Manifest.check(id); err != nil {
		return s, fmt.Errorf("snapshot: the manifest of %s: %w: %w", id, ErrBroken, err)
	}
	return s, nil
}

// Published is whether there is a published folder, whatever its CURRENT is.
func Published(dir string) bool {
	if !there(storage.Join(dir, currentName)) {
		return false
	}
	snapshots, err := storage.Stat(storage.Join(dir, snapshotsName))
	return err == nil && snapshots.IsDir()
}

// there is whether a path is taken, a link's that leads nowhere too.
func there(path string) bool {
	if storage.IsRemote(path) {
		_, err := storage.Stat(path)
		return err == nil
	}
	_, err := os.Lstat(path)
	return err == nil
}

// Containing is the folder of the snapshot that a file lies in, through whatever links
// and also where its CURRENT is gone, or "".
func Containing(file string) string {
	if real, err := storage.Real(file); err == nil {
		file = real
	}
	for dir := storage.Dir(file); ; dir = storage.Dir(dir) {
		above := storage.Dir(dir)
		if above == dir {
			return ""
		}
		if storage.Base(above) != snapshotsName {
			continue
		}
		if there(storage.Join(dir, manifestName)) || Published(storage.Dir(above)) {
			return dir
		}
	}
}

const idTime = "20060102T150405Z"

var idPattern = regexp.MustCompile(`^\d{8}T\d{6}Z-[0-9a-f]{8}$`)

// nextID names the run that starts now: its time, then the start of its
// configuration's hash. Ids sort in the order of publishing even if the clock
// stands still or goes back.
func nextID(published []string, now time.Time, configHash string) (string, error) {
	at := now.UTC().Truncate(time.Second)
	if n := len(published); n > 0 {
		last, err := time.Parse(idTime, published[n-1][:len(idTime)])
		if err != nil {
			return "", fmt.Errorf("snapshot: reading the time in %q: %w", published[n-1], err)
		}
		if !at.After(last) {
			at = last.Add(time.Second)
		}
	}
	return at.Format(idTime) + "-" + configHash[:8], nil
}
