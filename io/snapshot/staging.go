package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
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
	lock    *os.File // held until Commit or Abort, nil after
}

// Begin locks OUT for one run, sweeps what interrupted runs left, and makes the
// folders of a new snapshot. It fails with ErrLocked while another run is at
// work, with ErrForeign where OUT holds anything but a published dataset.
func Begin(out string, options Options) (*Staging, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if err := errors.Join(checkLinks(out), checkOurs(out)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(out, stagingName), 0o755); err != nil {
		return nil, fmt.Errorf("snapshot: output folder is not writable: %w", err)
	}
	lock, err := acquire(filepath.Join(out, stagingName, lockName))
	if err != nil {
		return nil, err
	}
	s := &Staging{out: out, options: options, lock: lock}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// prepare names the snapshot and makes its folders. It is only called under the
// lock, so no other run can take the same name.
func (s *Staging) prepare() error {
	published, err := snapshotIDs(s.out)
	if err != nil {
		return err
	}
	s.id, err = nextID(published, s.options.Now(), hashConfiguration(s.options.Configuration))
	if err != nil {
		return err
	}
	if err := describe(s.lock, holder{Run: s.id, Since: s.options.Now()}); err != nil {
		return fmt.Errorf("snapshot: writing the lock file: %w", err)
	}
	if _, err := sweep(filepath.Join(s.out, stagingName)); err != nil {
		return fmt.Errorf("snapshot: sweeping an interrupted run: %w", err)
	}
	for _, dir := range []string{s.DataDir(), s.RejectsDir(), filepath.Dir(s.ReportPath()), s.WorkDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("snapshot: making the staging folders: %w", err)
		}
	}
	return nil
}

// checkOurs tells a folder we may write to from one that is somebody else's.
// Where a snapshot is published, other files beside it are no harm.
func checkOurs(out string) error {
	entries, err := os.ReadDir(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("snapshot: opening the output folder: %w", err)
	}
	if _, err := Current(out); err == nil {
		return nil
	}
	ours := []string{currentName, snapshotsName, stagingName}
	for _, e := range entries {
		if !slices.Contains(ours, e.Name()) {
			return fmt.Errorf("snapshot: %q holds %q: %w", out, e.Name(), ErrForeign)
		}
	}
	return nil
}

// checkLinks refuses an output folder of which a part is a symbolic link: what is
// written and removed there would be so elsewhere.
func checkLinks(out string) error {
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

// Dir is the root of the snapshot to be.
func (s *Staging) Dir() string { return filepath.Join(s.root(), "snapshot") }

// DataDir is where the Parquet files go.
func (s *Staging) DataDir() string { return filepath.Join(s.Dir(), "data") }

// RejectsDir is where rejected files, episodes and stitches go.
func (s *Staging) RejectsDir() string { return filepath.Join(s.Dir(), "rejects") }

// ReportPath is where the HTML report goes.
func (s *Staging) ReportPath() string { return filepath.Join(s.Dir(), "report", "index.html") }

// WorkDir is scratch space that is not published.
func (s *Staging) WorkDir() string { return filepath.Join(s.root(), "work") }

// FailuresPath is a file of its own in the staging, for what made a run fail: it
// is there until the next run or Clean.
func (s *Staging) FailuresPath() string { return s.root() + "-failures.jsonl" }

func (s *Staging) root() string { return filepath.Join(s.out, stagingName, s.id) }

// Commit publishes the snapshot and returns its id. The caller lists the parts
// with their rows; their sizes and hashes are filled in here. After an error
// CURRENT is as it was, and the staging still wants an Abort.
func (s *Staging) Commit(m Manifest) (string, error) {
	if s.lock == nil {
		return "", fmt.Errorf("snapshot: committing %s: the run has ended", s.id)
	}
	for _, step := range s.commitSteps(&m) {
		if err := step.do(); err != nil {
			return "", fmt.Errorf("snapshot: committing %s: %s: %w", s.id, step.name, err)
		}
	}
	// The snapshot is public. Scratch that cannot be removed now is swept by the
	// next run.
	_ = s.Abort()
	return s.id, nil
}

type commitStep struct {
	name string
	do   func() error
}

// commitSteps is the order that makes a crash harmless: everything is on the
// disk before the snapshot appears, and the snapshot before CURRENT names it.
func (s *Staging) commitSteps(m *Manifest) []commitStep {
	final := filepath.Join(s.out, snapshotsName, s.id)
	next := filepath.Join(s.root(), currentName)
	return []commitStep{
		{"checking the data files", func() error { return completeParts(s.Dir(), m.Parts) }},
		{"writing the manifest", func() error { return s.writeManifest(m) }},
		{"writing the dataset card", func() error { return s.writeCard(m) }},
		{"preparing " + currentName, func() error { return os.WriteFile(next, []byte(s.id+"\n"), 0o644) }},
		{"syncing", func() error { return errors.Join(syncTree(s.Dir()), syncPath(next)) }},
		{"making " + snapshotsName, func() error { return os.MkdirAll(filepath.Dir(final), 0o755) }},
		{"moving the snapshot into place", func() error { return os.Rename(s.Dir(), final) }},
		{"syncing " + snapshotsName, func() error { return syncPath(filepath.Dir(final)) }},
		{"replacing " + currentName, func() error { return os.Rename(next, filepath.Join(s.out, currentName)) }},
		{"syncing the output folder", func() error { return syncPath(s.out) }},
	}
}

func (s *Staging) writeManifest(m *Manifest) error {
	m.Version, m.ID, m.Created = manifestVersion, s.id, s.options.Now().UTC()
	m.Configuration = s.options.Configuration
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.Dir(), manifestName), append(raw, '\n'), 0o644)
}

func (s *Staging) writeCard(m *Manifest) error {
	card := new(strings.Builder)
	if err := WriteCard(card, *m); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.Dir(), cardName), []byte(card.String()), 0o644)
}

// Abort discards the staging and lets the next run in. After Commit it does
// nothing, so that it can be deferred.
func (s *Staging) Abort() error {
	if s.lock == nil {
		return nil
	}
	err := os.RemoveAll(s.root())
	err = errors.Join(err, s.lock.Close())
	s.lock = nil
	if err != nil {
		return fmt.Errorf("snapshot: discarding %s: %w", s.id, err)
	}
	return nil
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
