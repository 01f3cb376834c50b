package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
)

// SampleOptions configure a sample of a dataset's episodes.
type SampleOptions struct {
	Data  Data
	Out   string  // Parquet file
	Share float64 // of the episodes, at least one
	Seed  uint64
}

// Sampled is what a sample holds.
type Sampled struct{ Episodes, Transitions int64 }

// Sample writes a share of a dataset's episodes, drawn at random and in the data's
// order, in the canonical layout.
func Sample(ctx context.Context, o SampleOptions) (made Sampled, err error) {
	if !(o.Share > 0 && o.Share <= 1) {
		return made, fmt.Errorf("%w: a share of %g of the episodes: want one in (0, 1]", ErrUsage, o.Share)
	}
	in, shape, err := o.Data.open()
	if err != nil {
		return made, err
	}
	metas, rejects, err := read(ctx, in, shape, func(*trajectory.Episode) {})
	if err != nil {
		return made, err
	}
	if err := o.Data.check(len(in.Files), metas, rejects); err != nil {
		return made, err
	}
	if err := os.MkdirAll(filepath.Dir(o.Out), 0o755); err != nil {
		return made, fmt.Errorf("pipelines: %w", err)
	}
	drawn := draw(len(metas), o.Share, o.Seed)
	err = storage.WriteWhole(o.Out, func(w io.Writer) (err error) {
		made, err = writeDrawn(ctx, w, in, shape, drawn)
		return err
	})
	return made, err
}

// draw marks a share of n, at least one of them.
func draw(n int, share float64, seed uint64) []bool {
	marked := make([]bool, n)
	order := trajectory.Stream(seed, 0, trajectory.StageSample).Perm(n)
	for _, i := range order[:max(1, int(math.Round(share*float64(n))))] {
		marked[i] = true
	}
	return marked
}

// writeDrawn writes the marked episodes, numbered anew, since files may share ids.
func writeDrawn(ctx context.Context, w io.Writer, in datasetio.Input, shape datasetio.Shape, drawn []bool) (made Sampled, err error) {
	out, err := dataset.NewWriter(w, dataset.WriterConfig{ObservationDim: shape.ObservationDim, ActionDim: shape.ActionDim})
	if err != nil {
		return made, err
	}
	next, failed := 0, error(nil)
	_, _, err = read(ctx, in, shape, func(e *trajectory.Episode) {
		if drawn[next] && failed == nil {
			e.ID = made.Episodes
			made.Episodes++
			made.Transitions += int64(e.Len())
			failed = out.Write(e)
		}
		next++
	})
	if err := errors.Join(err, failed); err != nil {
		return made, err
	}
	return made, out.Close()
}
