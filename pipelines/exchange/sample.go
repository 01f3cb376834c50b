package exchange

import (
	"context"
	"fmt"
	"io"
	"math"

	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// SampleOptions configure a sample of a dataset's episodes.
type SampleOptions struct {
	Data  input.Data
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
		return made, fmt.Errorf("%w: a share of %g of the episodes: want one in (0, 1]", failure.ErrUsage, o.Share)
	}
	data, err := o.Data.Open()
	if err != nil {
		return made, err
	}
	counts, err := data.Each(ctx, func(*trajectory.Episode) error { return nil })
	if err != nil {
		return made, err
	}
	if err := storage.MkdirAll(storage.Dir(o.Out)); err != nil {
		return made, fmt.Errorf("exchange: %w", err)
	}
	drawn := draw(counts.Usable, o.Share, o.Seed)
	err = storage.WriteWhole(o.Out, func(w io.Writer) (err error) {
		made, err = writeDrawn(ctx, w, data, drawn)
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
func writeDrawn(ctx context.Context, w io.Writer, data input.Dataset, drawn []bool) (made Sampled, err error) {
	out, err := dataset.NewWriter(w, dataset.WriterConfig{
		ObservationDim: data.Shape.ObservationDim, ActionDim: data.Shape.ActionDim, OriginalIDs: data.OriginalIDs,
	})
	if err != nil {
		return made, err
	}
	next := 0
	_, err = data.Each(ctx, func(e *trajectory.Episode) error {
		next++
		if !drawn[next-1] {
			return nil
		}
		e.ID = made.Episodes
		made.Episodes++
		made.Transitions += int64(e.Len())
		return out.Write(e)
	})
	if err != nil {
		return made, err
	}
	return made, out.Close()
}
