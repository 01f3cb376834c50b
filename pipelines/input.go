package pipelines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
)

// ErrUsage is in the chain of every error that comes of settings that cannot be,
// or that contradict each other.
var ErrUsage = errors.New("wrong usage")

// ErrData is in the chain of every error that says the input data, or too much
// of it, cannot be used.
var ErrData = errors.New("data rejected")

// Data says what dataset to read, and how.
type Data struct {
	Path    string          `json:"path"` // a file, a folder, a glob, or a published folder
	Options dataset.Options `json:"options"`
	// MaxRejectShare is the share of episodes, or of files, that may be rejected.
	MaxRejectShare float64 `json:"max_reject_share"`
}

// open finds the files and the width of their vectors.
func (d Data) open() (datasetio.Input, datasetio.Shape, error) {
	in := datasetio.Input{Options: d.Options}
	var err error
	if in.Files, err = dataset.Files(d.Path); err != nil {
		return in, datasetio.Shape{}, fmt.Errorf("%w: %w", ErrData, err)
	}
	var broken error
	for _, path := range in.Files {
		f, err := dataset.Open(path, d.Options)
		if err != nil {
			broken = errors.Join(broken, err)
			continue
		}
		shape := datasetio.Shape{ObservationDim: f.Schema().ObservationDim, ActionDim: f.Schema().ActionDim}
		if err := f.Close(); err != nil {
			return in, shape, err
		}
		if f.Schema().Rows > 0 {
			return in, shape, nil
		}
		broken = errors.Join(broken, fmt.Errorf("dataset: %q holds no rows", path))
	}
	return in, datasetio.Shape{}, fmt.Errorf("%w: no file of %q can be read: %w", ErrData, d.Path, broken)
}

// check fails when more was rejected than allowed.
func (d Data) check(files int, metas []trajectory.Meta, rejects []dataset.Reject) error {
	broken := map[string]bool{} // files, in whole or in part
	byReason := map[string]int{}
	episodes := 0
	for _, r := range rejects {
		byReason[string(r.Reason)]++
		if r.Reason == datasetio.ReasonUnreadable || r.Reason == datasetio.ReasonUnreadableRows {
			broken[r.File] = true
		} else {
			episodes++
		}
	}
	share := max(float64(len(broken))/float64(files), float64(episodes)/float64(max(1, episodes+len(metas))))
	if share > d.MaxRejectShare {
		return fmt.Errorf("%w: %d of %d files and %d of %d episodes cannot be used (%s), more than --max-reject-share %g allows; the first: %s",
			ErrData, len(broken), files, episodes, episodes+len(metas), describeCounts(byReason), d.MaxRejectShare, rejects[0])
	}
	if len(metas) == 0 {
		return fmt.Errorf("%w: %q holds no usable episode", ErrData, d.Path)
	}
	return nil
}

// makeAbsolute rewrites paths so that workers, which have another working folder,
// find them too.
func makeAbsolute(paths ...*string) error {
	for _, path := range paths {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("pipelines: finding %q: %w", *path, err)
		}
		*path = absolute
	}
	return nil
}

// describeCounts lists counts by reason, in a fixed order.
func describeCounts(counts map[string]int) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s: %d", reason, counts[reason]))
	}
	return strings.Join(parts, ", ")
}

// read hands out every usable episode in the data's order, and gives what was
// rejected.
func read(ctx context.Context, in datasetio.Input, shape datasetio.Shape, use func(*trajectory.Episode)) ([]trajectory.Meta, []dataset.Reject, error) {
	var metas []trajectory.Meta
	var rejects []dataset.Reject
	for i := range in.Files {
		err := datasetio.ScanFile(ctx, in, int32(i), shape, func(e *trajectory.Episode, m trajectory.Meta) {
			use(e)
			metas = append(metas, m)
		}, func(r dataset.Reject) { rejects = append(rejects, r) })
		if err != nil {
			return nil, nil, err
		}
	}
	return metas, rejects, nil
}
