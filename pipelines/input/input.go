// Package input opens the datasets that pipelines read: it finds the files that a
// path stands for and the widths of their vectors, reads the usable episodes, and
// fails where more than a set share of the data was rejected.
package input

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/failure"
)

// Data says what dataset to read, and how.
type Data struct {
	Path    string          `json:"path"` // a file, a folder, a glob, or a published folder
	Options dataset.Options `json:"options"`
	// MaxRejectShare is the share of episodes, or of files, that may be rejected.
	MaxRejectShare float64 `json:"max_reject_share"`
	// Verify has the hashes of a published folder's files checked; what is made of
	// them does not depend on it.
	Verify bool `json:"-"`
}

// Dataset is a dataset whose files were found. Workers get it as JSON.
type Dataset struct {
	Data  Data            `json:"data"`
	Input datasetio.Input `json:"input"`
	Shape datasetio.Shape `json:"shape"`
	// TextIDs is whether the data's ids are text, for which numbers have to stand, and
	// OriginalIDs whether episodes have one that is.
	TextIDs     bool `json:"text_ids,omitempty"`
	OriginalIDs bool `json:"original_ids,omitempty"`
	// Stepless is whether no step says how episodes go on from file to file.
	Stepless bool `json:"stepless,omitempty"`
	// Notes are what a user should know of how the data is read, a line each.
	Notes []string `json:"-"`
}

// Open finds the files and the widths of their vectors. Those of the first file
// with rows are taken to be those of all.
func (d Data) Open() (Dataset, error) {
	opened := Dataset{Data: d, Input: datasetio.Input{Options: d.Options}}
	var err error
	if opened.Input.Files, err = Files(d.Path, d.Verify); err != nil {
		return opened, err
	}
	if err := opened.Input.Pin(); err != nil {
		return opened, err
	}
	var broken error
	for i, path := range opened.Input.Files {
		f, err := dataset.OpenAmong(opened.Input.Files, i, d.Options)
		if err != nil {
			broken = errors.Join(broken, err)
			continue
		}
		schema := f.Schema()
		opened.Shape = datasetio.Shape{ObservationDim: schema.ObservationDim, ActionDim: schema.ActionDim}
		opened.TextIDs, opened.OriginalIDs, opened.Stepless = schema.TextIDs, schema.OriginalIDs, dataset.Stepless(schema)
		notes, err := f.Notes()
		if err = errors.Join(err, f.Close()); err != nil {
			broken = errors.Join(broken, err)
			continue
		}
		opened.Notes = append(opened.Notes, notes...)
		if schema.Rows > 0 {
			return opened, nil
		}
		broken = errors.Join(broken, fmt.Errorf("dataset: %q holds no rows", path))
	}
	return opened, fmt.Errorf("%w: no file of %q can be read: %w", failure.ErrData, d.Path, broken)
}

// Files lists the files that a path stands for. Of a published folder, or of one of its
// snapshots, they are those that the manifest lists, and are compared with it: their sizes
// and rows, and their hashes if asked for.
func Files(path string, hashes bool) ([]string, error) {
	s, err := snapshot.At(path)
	if err == nil {
		err = checkParts(s, hashes)
	}
	files := s.Files()
	if errors.Is(err, snapshot.ErrNoSnapshot) {
		files, err = dataset.Files(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", failure.ErrData, err)
	}
	return files, nil
}

// checkParts compares a snapshot with its manifest.
func checkParts(s snapshot.Snapshot, hashes bool) error {
	if err := s.Check(hashes); err != nil {
		return err
	}
	for i, file := range s.Files() {
		f, err := dataset.Open(file, dataset.Options{Layout: dataset.Transitions})
		if err != nil {
			return err
		}
		rows := f.Schema().Rows
		if err := f.Close(); err != nil {
			return err
		}
		if listed := s.Manifest.Parts[i].Rows; rows != listed {
			return fmt.Errorf("input: %q has %d rows, not %d as its manifest says", file, rows, listed)
		}
	}
	return nil
}

// Counts are how many episodes of a dataset can be used, and how many cannot.
type Counts struct{ Usable, Rejected int }

// Each hands out every usable episode in the data's order, until use fails. It
// fails when more was rejected than allowed.
func (d Dataset) Each(ctx context.Context, use func(*trajectory.Episode) error) (Counts, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var metas []trajectory.Meta
	var rejects []dataset.Reject
	add := func(e *trajectory.Episode, m trajectory.Meta) {
		if ctx.Err() != nil {
			return
		}
		if err := use(e); err != nil {
			stop(err)
		}
		metas = append(metas, m)
	}
	for i := range d.Input.Files {
		err := datasetio.ScanFile(ctx, d.Input, int32(i), d.Shape, add, func(r dataset.Reject) { rejects = append(rejects, r) })
		if cause := context.Cause(ctx); cause != nil {
			return Counts{}, cause
		}
		if err != nil {
			return Counts{}, err
		}
	}
	return Counts{Usable: len(metas), Rejected: len(rejects)}, d.Check(metas, rejects)
}

// Check fails when more was rejected than allowed, or everything.
func (d Dataset) Check(metas []trajectory.Meta, rejects []dataset.Reject) error {
	broken := map[string]bool{} // files, in whole or in part
	byReason, counts := map[string]int{}, map[dataset.Reason]int64{}
	files, episodes := len(d.Input.Files), 0
	for _, r := range rejects {
		byReason[string(r.Reason)]++
		counts[r.Reason]++
		if r.Reason == datasetio.ReasonUnreadable || r.Reason == datasetio.ReasonUnreadableRows {
			broken[r.File] = true
		} else {
			episodes++
		}
	}
	share := max(float64(len(broken))/float64(files), float64(episodes)/float64(max(1, episodes+len(metas))))
	if share > d.Data.MaxRejectShare {
		err := fmt.Errorf("%w: %d of %d files and %d of %d episodes cannot be used (%s), more than --max-reject-share %g allows; the first: %s",
			failure.ErrData, len(broken), files, episodes, episodes+len(metas), Reasons(byReason), d.Data.MaxRejectShare, rejects[0])
		if why := dataset.Disordered(int64(len(metas)), counts); why != "" {
			err = fmt.Errorf("%w; %s", err, why)
		}
		return err
	}
	if len(metas) == 0 {
		return fmt.Errorf("%w: %q holds no usable episode", failure.ErrData, d.Data.Path)
	}
	return nil
}

// Reasons lists counts by reason, in a fixed order.
func Reasons(counts map[string]int) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s: %d", reason, counts[reason]))
	}
	return strings.Join(parts, ", ")
}

// Absolute rewrites paths so that workers, which have another working folder,
// find them too.
func Absolute(paths ...*string) error {
	for _, path := range paths {
		if strings.Contains(*path, "://") && !storage.IsRemote(*path) {
			return fmt.Errorf("%w: %q is of a storage that is not known: paths of this machine, gs:// and s3:// are", failure.ErrUsage, *path)
		}
		absolute, err := storage.Absolute(*path)
		if err != nil {
			return fmt.Errorf("%w: %w", failure.ErrUsage, err)
		}
		*path = absolute
	}
	return nil
}

// Local refuses a path of an object store, for what is written on this machine alone.
func Local(path string) error {
	if strings.Contains(path, "://") {
		return fmt.Errorf("%w: %q is no folder of this machine, where this is written: give one, and copy it", failure.ErrUsage, path)
	}
	return nil
}

// Apart refuses to write among the data, where the next run would take it for data, or
// onto it. Of a published folder that is given as both, the next snapshot stands beside
// those before. Paths are absolute.
func Apart(data, out string) error {
	if storage.IsRemote(data) != storage.IsRemote(out) {
		return nil
	}
	below := strings.HasPrefix(out, strings.TrimSuffix(data, "/")+"/")
	matches, _ := path.Match(data, out) // a pattern that cannot be is refused where it is read
	if below || matches && data != out {
		return fmt.Errorf("%w: --out %q lies in --data %q, where the next run would take it for data: write beside it", failure.ErrUsage, out, data)
	}
	return nil
}
