package snapshot

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"diffstitch/io/storage"
)

const manifestVersion = 1

// Manifest says what a snapshot holds and all that it was made from.
type Manifest struct {
	Version int       `json:"version"` // set by Commit
	ID      string    `json:"id"`      // set by Commit
	Created time.Time `json:"created"` // set by Commit
	// Parent is the id of the snapshot that was current when this one's run began; set by
	// Commit.
	Parent string `json:"parent,omitempty"`

	Software string `json:"software"` // name and version
	Method   string `json:"method"`   // diffstitch, or the baseline that made D_aug
	Backend  string `json:"backend"`
	Runner   string `json:"runner"`
	Seed     uint64 `json:"seed"`
	// Configuration is the run's whole configuration; set by Commit.
	Configuration json.RawMessage `json:"configuration,omitempty"`

	Inputs []Input `json:"inputs"`
	Models []Model `json:"models"`
	// Stream is what a stream's micro-snapshot adds to its parent; nil of other snapshots.
	Stream *Stream `json:"stream,omitempty"`

	// Schema are the columns of the data files.
	Schema         []Column `json:"schema,omitempty"`
	ObservationDim int      `json:"observation_dim"`
	ActionDim      int      `json:"action_dim"`
	Original       Count    `json:"original"`
	Stitched       Count    `json:"stitched"` // D_aug, whatever the method
	// Repeated are those of D_aug that repeat others, to hold a ratio.
	Repeated Count `json:"repeated"`
	// Generated is how many of those transitions have an inferred action and reward:
	// the bridges' of stitches, and all of a baseline's.
	Generated int64 `json:"generated_transitions"`
	// Placeholders is how many rows repeat their observation as next
	// observation, since the input did not hold the real one.
	Placeholders int64 `json:"placeholder_next_observations"`

	// Notes are what a user should know of how the input was read.
	Notes     []string   `json:"notes,omitempty"`
	Stages    []Stage    `json:"stages"`
	Quality   *Quality   `json:"quality,omitempty"` // nil of earlier versions
	Durations []Duration `json:"durations"`
	Metrics   Metrics    `json:"metrics"`
	Parts     []Part     `json:"parts"`
}

// Input is a file the run read.
type Input struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Modified is when it was last changed, where a stream has to know it again.
	Modified *time.Time `json:"modified,omitempty"`
}

// Model is a model the run used.
type Model struct {
	Kind   string `json:"kind"` // denoiser, inverse, reward, dynamics, synther, policy
	SHA256 string `json:"sha256"`
}

// Column is a column of the data files.
type Column struct {
	Name     string `json:"name"`
	Type     string `json:"type"`            // of a value: bool, int32, int64, float32, string
	Width    int    `json:"width,omitempty"` // values a row, where that has a list of them
	Nullable bool   `json:"nullable,omitempty"`
}

// Stream is what a window of a stream brought. Its parts are those of this snapshot's own
// folder; the counts of the manifest are of all parts.
type Stream struct {
	Sequence  int64     `json:"sequence"` // of the window among those of the streams before
	Start     time.Time `json:"start"`    // of the window
	End       time.Time `json:"end"`
	Files     int       `json:"files"`
	Late      int       `json:"late"`      // of those, the ones that belonged to an earlier window
	Rewritten int       `json:"rewritten"` // published files that were found to be others, since the parent
	Original  Count     `json:"original"`
	Stitched  Count     `json:"stitched"`
}

// Count is an amount of data.
type Count struct {
	Episodes    int64 `json:"episodes"`
	Transitions int64 `json:"transitions"`
}

// Add adds another amount.
func (c *Count) Add(o Count) {
	c.Episodes += o.Episodes
	c.Transitions += o.Transitions
}

// Stage counts what came into a stage of the pipeline, what went out, and what
// was dropped for which reason.
type Stage struct {
	Stage   string           `json:"stage"`
	Unit    string           `json:"unit,omitempty"` // of what is counted: episodes, pairs, …
	In      int64            `json:"in"`
	Out     int64            `json:"out"`
	Dropped map[string]int64 `json:"dropped,omitempty"` // by reason
	// Kinds are those that went out by how they came to be, where there are several ways.
	Kinds map[string]int64 `json:"kinds,omitempty"`
	// Repeated is how many of those that went out repeat others.
	Repeated int64 `json:"repeated,omitempty"`
}

// Drop takes n off what went out, for a reason.
func (s *Stage) Drop(reason string, n int64) {
	if s.Dropped == nil {
		s.Dropped = map[string]int64{}
	}
	s.Dropped[reason] += n
	s.Out -= n
}

// Quality is how good D_aug is. What could not be measured is nil.
type Quality struct {
	// Acceptance is the share of the attempts that were accepted.
	Acceptance float64 `json:"acceptance"`
	// Error is the median of the accepted attempts' largest qualification errors, in the
	// units of the observations.
	Error *float64 `json:"qualification_error,omitempty"`
	// Marginals is one minus the mean Kolmogorov–Smirnov distance between the generated and
	// the real distribution of a dimension.
	Marginals *float64 `json:"marginal_score,omitempty"`
	// Truth is the share of the generated episodes that are true in every transition, by a
	// simulator.
	Truth *float64 `json:"truth,omitempty"`
}

// Duration is the time a stage took.
type Duration struct {
	Stage   string  `json:"stage"`
	Seconds float64 `json:"seconds"`
}

// Metrics are what the pipelines counted and measured, summed over rounds.
// What was tried again may be counted again.
type Metrics struct {
	Counters      []Counter      `json:"counters,omitempty"`
	Distributions []Distribution `json:"distributions,omitempty"`
}

// Counter is a sum that a stage's transforms kept.
type Counter struct {
	Stage     string `json:"stage"` // reading, stitching or writing
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Value     int64  `json:"value"`
}

// Distribution is of values that a stage's transforms measured.
type Distribution struct {
	Stage     string `json:"stage"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Count     int64  `json:"count"`
	Sum       int64  `json:"sum"`
	Min       int64  `json:"min"`
	Max       int64  `json:"max"`
}

// Part is one Parquet file of the snapshot.
type Part struct {
	// Snapshot is the id of the earlier snapshot of the same OUT in whose folder the file
	// lies; "" where that is this one's.
	Snapshot string `json:"snapshot,omitempty"`
	File     string `json:"file"` // relative to the snapshot: data/part-00000.parquet
	Rows     int64  `json:"rows"`
	Bytes    int64  `json:"bytes"`  // set by Commit, where it is not known
	SHA256   string `json:"sha256"` // set by Commit, where it is not known
}

// check is whether a manifest is one that this program reads, of this snapshot, and names
// nothing outside of the published folder.
func (m Manifest) check(id string) error {
	switch {
	case m.Version != manifestVersion:
		return fmt.Errorf("it is of version %d, this program reads version %d", m.Version, manifestVersion)
	case m.ID != id:
		return fmt.Errorf("it is of %.40q", m.ID)
	}
	files := map[Part]bool{}
	for _, p := range m.Parts {
		if err := p.named(); err != nil {
			return err
		}
		file := Part{Snapshot: cmp.Or(p.Snapshot, id), File: p.File}
		if files[file] || p.Rows < 0 || p.Bytes < 0 {
			return fmt.Errorf("it lists %q twice, or with less than nothing", p.File)
		}
		files[file] = true
	}
	return nil
}

// Files are the paths of the data files, in the order of the parts.
func (s Snapshot) Files() []string {
	files := make([]string, len(s.Manifest.Parts))
	for i, p := range s.Manifest.Parts {
		files[i] = s.Path(p)
	}
	return files
}

// Path is where a part's file lies.
func (s Snapshot) Path(p Part) string {
	return storage.Join(storage.Dir(s.Dir), cmp.Or(p.Snapshot, s.ID), p.File)
}

// Inherit gives the parts of an earlier snapshot as those of a later one: their files stay
// where they are.
func (s Snapshot) Inherit() []Part {
	parts := slices.Clone(s.Manifest.Parts)
	for i := range parts {
		parts[i].Snapshot = cmp.Or(parts[i].Snapshot, s.ID)
	}
	return parts
}

// HashFile streams a file and returns its SHA-256, in hexadecimal, and its size.
func HashFile(path string) (sum string, size int64, err error) {
	f, err := storage.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("snapshot: hashing: %w", err)
	}
	defer f.Close() // nothing was written
	return hashOf(f.Reader())
}

func hashOf(r io.Reader) (sum string, size int64, err error) {
	h := sha256.New()
	if size, err = io.Copy(h, r); err != nil {
		return "", 0, fmt.Errorf("snapshot: hashing: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// Check compares the data files with the manifest: that they are those it lists, and
// that each has its size and, if asked for, its hash. It goes on after the first that
// differs, and follows no symbolic link, nor accepts one in the snapshot's folder.
func (s Snapshot) Check(hashes bool) error {
	inside, err := openFolder(storage.Dir(s.Dir))
	if err != nil {
		return fmt.Errorf("snapshot: checking %s: %w", s.ID, err)
	}
	defer inside.Close() // nothing was written
	var wrong []error
	listed := map[string]bool{}
	for _, p := range s.Manifest.Parts {
		if p.Snapshot == "" {
			listed[p.File] = true
		}
		if err := p.check(inside, s.ID, hashes); err != nil {
			wrong = append(wrong, fmt.Errorf("%q: %w", storage.Join(p.Snapshot, p.File), err))
		}
	}
	found, err := inside.names(s.ID + "/" + dataName)
	if err != nil {
		return fmt.Errorf("snapshot: checking %s: %w", s.ID, err)
	}
	odd, err := inside.odd(s.ID)
	if err != nil {
		return fmt.Errorf("snapshot: checking %s: %w", s.ID, err)
	}
	for _, path := range odd {
		wrong = append(wrong, fmt.Errorf("%q is neither a file nor a folder", path))
	}
	for _, name := range found {
		if file := dataName + "/" + name; !listed[file] {
			wrong = append(wrong, fmt.Errorf("%q is not in the manifest", file))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("snapshot: %s: %w: %w", s.ID, ErrBroken, err)
	}
	return nil
}

// check compares a data file with what the manifest of a snapshot says of it.
func (p Part) check(inside folder, id string, hash bool) error {
	if err := p.named(); err != nil {
		return err
	}
	f, err := inside.open(cmp.Or(p.Snapshot, id) + "/" + p.File)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	switch {
	case f.size != p.Bytes:
		return fmt.Errorf("it has %d bytes, not %d", f.size, p.Bytes)
	case !hash:
		return nil
	}
	sum, _, err := hashOf(f)
	if err == nil && sum != p.SHA256 {
		err = fmt.Errorf("its SHA-256 is %s, not %s", sum, p.SHA256)
	}
	return err
}

// named is whether the manifest names a file of data/ of a snapshot, and none elsewhere.
func (p Part) named() error {
	if p.Snapshot != "" && !idPattern.MatchString(p.Snapshot) {
		return fmt.Errorf("%q is no snapshot's id", p.Snapshot)
	}
	if path.Clean(p.File) != p.File || path.Dir(p.File) != dataName || strings.ContainsRune(p.File, '\\') {
		return fmt.Errorf("%q is not a file of data/", p.File)
	}
	return nil
}

// completeParts fills in the sizes and hashes that are not known, having checked that the
// manifest lists the data files and no others.
func (s *Staging) completeParts(parts []Part) error {
	entries, err := storage.ReadDir(s.DataDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sizes := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		file := dataName + "/" + e.Name()
		sizes[file] = info.Size()
		if !slices.ContainsFunc(parts, func(p Part) bool { return p.File == file && p.Snapshot == "" }) {
			return fmt.Errorf("%q is not in the manifest", file)
		}
	}
	if err := s.checkInherited(parts); err != nil {
		return err
	}
	for i := range parts {
		p := &parts[i]
		if err := p.named(); err != nil {
			return err
		}
		if err := s.complete(p, sizes); err != nil {
			return err
		}
	}
	return nil
}

// checkInherited refuses files of earlier snapshots that the parent does not have: a prune
// may take them away.
func (s *Staging) checkInherited(parts []Part) error {
	if !(Manifest{Parts: parts}).Inherits() {
		return nil
	}
	parent, err := Find(s.out, s.parent)
	if err != nil {
		return err
	}
	has := map[Part]bool{}
	for _, p := range parent.Inherit() {
		has[p] = true
	}
	for _, p := range parts {
		if p.Snapshot != "" && !has[p] {
			return fmt.Errorf("%q of %s is no file of %s, which was current when the run began", p.File, p.Snapshot, s.parent)
		}
	}
	return nil
}

func (s *Staging) complete(p *Part, sizes map[string]int64) (err error) {
	size, there := sizes[p.File]
	switch {
	case p.Snapshot != "":
		return nil // as the parent has it
	case !there:
		return &fs.PathError{Op: "stat", Path: storage.Join(s.Dir(), p.File), Err: fs.ErrNotExist}
	case p.SHA256 == "":
		p.SHA256, p.Bytes, err = HashFile(storage.Join(s.Dir(), p.File))
		return err
	}
	if size != p.Bytes {
		return fmt.Errorf("%q has %d bytes, not %d", p.File, size, p.Bytes)
	}
	return nil
}
