package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"diffstitch/io/storage"
)

// Options of a run that publishes.
type Options struct {
	// Configuration is the run's whole configuration as JSON. It goes into the
	// manifest, and the start of its hash into the snapshot's id.
	Configuration json.RawMessage
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Staging is the snapshot of a run in progress, invisible to readers. End it
// with Commit or Abort.
type Staging struct {
	out     string
	id      string
	options Options
	parent  string          // the id of the snapshot that was current at the beginning
	was     storage.Version // of CURRENT then
	lock    *os.File        // of a local folder, held until Commit or Abort, nil after
	claim   *claim          // of an object store, likewise
	moved   bool            // whether CURRENT may name the snapshot: where no answer came, nobody knows
}

// Begin makes the folders of a new snapshot, after it has swept what interrupted runs
// left. A local folder it locks for one run, and fails with ErrLocked while another is at
// work; on an object store several may be at work at once, of which one will commit. It
// fails with ErrForeign where OUT holds anything but a published dataset.
func Begin(out string, options Options) (*Staging, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if err := errors.Join(checkLinks(out), checkOurs(out)); err != nil {
		return nil, err
	}
	s := &Staging{out: out, options: options}
	if !storage.IsRemote(out) {
		if err := os.MkdirAll(filepath.Join(out, stagingName), 0o755); err != nil {
			return nil, fmt.Errorf("snapshot: output folder is not writable: %w", err)
		}
		var err error
		if s.lock, err = acquire(filepath.Join(out, stagingName, lockName)); err != nil {
			return nil, err
		}
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// prepare names the snapshot and makes its folders.
func (s *Staging) prepare() error {
	var err error
	if s.parent, s.was, err = loadCurrent(s.out); err != nil && !errors.Is(err, ErrNoSnapshot) {
		s.parent = "" // CURRENT names none; Commit replaces it
	}
	if err := s.take(); err != nil {
		return err
	}
	if _, err := sweep(s.out, s.id); err != nil {
		return fmt.Errorf("snapshot: sweeping an interrupted run: %w", err)
	}
	for _, dir := range []string{s.DataDir(), s.RejectsDir(), storage.Dir(s.ReportPath()), s.WorkDir()} {
		if err := storage.MkdirAll(dir); err != nil {
			return fmt.Errorf("snapshot: making the staging folders: %w", err)
		}
	}
	return nil
}

// take takes an id that no other run has: of a local folder under the lock, of an object
// store by claiming it.
func (s *Staging) take() error {
	taken, err := snapshotIDs(s.out)
	for err == nil {
		now := s.options.Now()
		if s.id, err = nextID(taken, now, hashConfiguration(s.options.Configuration)); err != nil {
			break
		}
		h := newHolder(s.id, now)
		if s.lock != nil {
			if err = describe(s.lock, h); err != nil {
				err = fmt.Errorf("snapshot: writing the lock file: %w", err)
			}
			break
		}
		if s.claim, err = takeClaim(storage.Join(s.root(), claimName), h); !errors.Is(err, ErrLocked) {
			break
		}
		taken, err = append(taken, s.id), nil
	}
	return err
}

// checkOurs tells a folder we may write to from one that is somebody else's.
// Where a snapshot is published, other files beside it are no harm.
func checkOurs(out string) error {
	entries, err := storage.ReadDir(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("snapshot: opening the output folder: %w", err)
	}
	if _, err := Current(out); err == nil {
		return nil
	}
	ours := []string{currentName, snapshotsName, stagingName, refusedName, StreamName, rollbacksName, maintenanceName}
	for _, e := range entries {
		beside := strings.TrimSuffix(strings.TrimPrefix(e.Name(), "."), ".lock") // as storage.Replace leaves one
		if !slices.Contains(ours, e.Name()) && !slices.Contains(ours, beside) {
			return fmt.Errorf("snapshot: %q holds %q: %w", out, e.Name(), ErrForeign)
		}
	}
	return nil
}

// checkLinks refuses an output folder of which a part is a symbolic link: what is
// written and removed there would be so elsewhere.
func checkLinks(out string) error {
	if storage.IsRemote(out) {
		return nil // which has none
	}
	for _, name := range []string{stagingName, filepath.Join(stagingName, lockName), snapshotsName, currentName} {
		path := filepath.Join(out, name)
		switch info, err := os.Lstat(path); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("snapshot: looking at the output folder: %w", err)
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("snapshot: %q is a symbolic link, which is not followed: remove it: %w", path, ErrForeign)
		}
	}
	return nil
}

// ConfigurationHash is the SHA-256 of the run's configuration, in hexadecimal. The
// snapshot's id ends in its start.
func (m Manifest) ConfigurationHash() string { return hashConfiguration(m.Configuration) }

// hashConfiguration is indifferent to the white space of the JSON.
func hashConfiguration(configuration json.RawMessage) string {
	compact := new(bytes.Buffer)
	if err := json.Compact(compact, configuration); err != nil {
		compact.Reset()
		compact.Write(configuration)
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:])
}

// ID is the id the snapshot will have.
func (s *Staging) ID() string { return s.id }

// Parent is the id of the snapshot that was current when the run began, or "".
func (s *Staging) Parent() string { return s.parent }

// Dir is the root of the snapshot to be. On an object store, which cannot move it, that is
// where it will stay: without a manifest it is none.
func (s *Staging) Dir() string {
	if storage.IsRemote(s.out) {
		return storage.Join(s.out, snapshotsName, s.id)
	}
	return filepath.Join(s.root(), "snapshot")
}

// DataDir is where the Parquet files go.
func (s *Staging) DataDir() string { return storage.Join(s.Dir(), dataName) }

// RejectsDir is where rejected files, episodes and stitches go.
func (s *Staging) RejectsDir() string { return storage.Join(s.Dir(), "rejects") }

// ReportPath is where the HTML report goes.
func (s *Staging) ReportPath() string { return storage.Join(s.Dir(), "report", "index.html") }

// Write writes a file of the staging, which is not there, whole, again if need be.
func (s *Staging) Write(path string, write func(io.Writer) error) error {
	return storage.Again(func() error { return storage.CreateWhole(path, write) })
}

// WorkDir is scratch space that is not published.
func (s *Staging) WorkDir() string { return storage.Join(s.root(), "work") }

// FailuresPath is a file of its own in the staging, for what made a run fail: it
// is there until the next run or Clean.
func (s *Staging) FailuresPath() string { return s.root() + failuresSuffix }

const (
	failuresSuffix = "-failures.jsonl"
	claimName      = "claim"
)

func (s *Staging) root() string { return storage.Join(s.out, stagingName, s.id) }

// RefusedDir is for what tells of the last snapshot that a quality gate refused.
func (s *Staging) RefusedDir() string { return storage.Join(s.out, refusedName) }

// Commit publishes the snapshot and returns its id. The caller lists the parts
// with their rows; their sizes and hashes are filled in here, where they are not known.
// After an error CURRENT is as it was, and the staging still wants an Abort. Where another
// run, a rollback or a prune moved CURRENT since this run began, it fails with ErrOvertaken,
// and nothing of the snapshot stays.
func (s *Staging) Commit(m Manifest) (string, error) {
	if s.lock == nil && s.claim == nil {
		return "", fmt.Errorf("snapshot: committing %s: the run has ended", s.id)
	}
	for _, step := range s.commitSteps(&m) {
		if err := step.do(); err != nil {
			return "", fmt.Errorf("snapshot: committing %s: %s: %w", s.id, step.name, err)
		}
	}
	// The snapshot is public. Scratch that cannot be removed now is swept by the
	// next run.
	_ = s.end()
	return s.id, nil
}

type commitStep struct {
	name string
	do   func() error
}

// commitSteps is the order that makes a crash harmless: everything is on the
// disk before the snapshot appears, and the snapshot before CURRENT names it.
func (s *Staging) commitSteps(m *Manifest) []commitStep {
	final := storage.Join(s.out, snapshotsName, s.id)
	complete := commitStep{"checking the data files", func() error { return s.completeParts(m.Parts) }}
	card := commitStep{"writing the dataset card", func() error { return s.writeCard(m) }}
	manifest := commitStep{"writing the manifest", func() error { return s.writeManifest(m) }}
	replace := commitStep{"replacing " + currentName, func() error { return s.replaceCurrent(final) }}
	if storage.IsRemote(s.out) {
		return []commitStep{complete, card, {"asking whether the run counts as alive", s.claim.renew}, manifest, replace}
	}
	return []commitStep{
		complete, card, manifest,
		{"syncing", func() error { return syncTree(s.Dir()) }},
		{"making " + snapshotsName, func() error { return os.MkdirAll(filepath.Dir(final), 0o755) }},
		{"moving the snapshot into place", func() error { return os.Rename(s.Dir(), final) }},
		{"syncing " + snapshotsName, func() error { return syncPath(filepath.Dir(final)) }},
		replace,
	}
}

// replaceCurrent has CURRENT name the snapshot, if nobody moved it since the run began.
func (s *Staging) replaceCurrent(final string) error {
	s.moved = true
	err := storage.Again(func() error {
		_, err := storage.Replace(storage.Join(s.out, currentName), []byte(s.id+"\n"), s.was)
		return err
	})
	if !errors.Is(err, storage.ErrChanged) {
		return err
	}
	if id, _, again := loadCurrent(s.out); again == nil && id == s.id {
		return nil // a rollback to it was faster
	}
	return errors.Join(fmt.Errorf("%w: %w", ErrOvertaken, err), discard(final))
}

// discard removes a snapshot, its manifest first.
func discard(dir string) error {
	err := storage.Remove(storage.Join(dir, manifestName))
	if err == nil && !storage.IsRemote(dir) {
		err = syncPath(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return storage.RemoveAll(dir)
}

func (s *Staging) writeManifest(m *Manifest) error {
	m.Version, m.ID, m.Created, m.Parent = manifestVersion, s.id, s.options.Now().UTC(), s.parent
	m.Configuration = s.options.Configuration
	return storage.Again(func() error { return storage.WriteJSON(storage.Join(s.Dir(), manifestName), m) })
}

func (s *Staging) writeCard(m *Manifest) error {
	return storage.Again(func() error {
		return storage.WriteWhole(storage.Join(s.Dir(), cardName), func(w io.Writer) error { return WriteCard(w, *m) })
	})
}

// Abort discards the staging and lets the next run in. After Commit it does
// nothing, so that it can be deferred.
func (s *Staging) Abort() error {
	if s.lock == nil && s.claim == nil {
		return nil
	}
	var err error
	if storage.IsRemote(s.out) && !s.moved {
		err = discard(s.Dir())
	}
	if err := errors.Join(err, s.end()); err != nil {
		return fmt.Errorf("snapshot: discarding %s: %w", s.id, err)
	}
	return nil
}

// end removes the staging and lets the next run in.
func (s *Staging) end() error {
	var errs []error
	if s.lock != nil {
		if s.id != "" {
			errs = append(errs, os.RemoveAll(s.root()))
		}
		errs = append(errs, s.lock.Close())
	}
	if s.claim != nil { // its work first: without a claim it is anybody's to sweep
		errs = append(errs, storage.RemoveAll(s.WorkDir()), s.claim.release())
	}
	s.lock, s.claim = nil, nil
	return errors.Join(errs...)
}

// syncTree flushes every file and folder under root to the disk.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !(entry.IsDir() || entry.Type().IsRegular()) {
			return err
		}
		return syncPath(path)
	})
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
