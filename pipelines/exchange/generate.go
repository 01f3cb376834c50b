package exchange

import (
	"context"
	"fmt"
	"io"
	"iter"

	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/env/pointmaze"
	"diffstitch/pipelines/failure"
)

// GenerateOptions configure a built-in dataset.
type GenerateOptions struct {
	Out      string // Parquet file
	Episodes int
	Seed     uint64
	// Stitch has each pilot work one section of the maze, so that no episode leads from
	// the start to the goal.
	Stitch bool
}

// generate chooses the pilots.
func (o GenerateOptions) generate() iter.Seq[pointmaze.Episode] {
	if o.Stitch {
		return pointmaze.GenerateCorridors(o.Episodes, o.Seed)
	}
	return pointmaze.Default().Generate(o.Episodes, o.Seed)
}

// GeneratePointMaze writes episodes of the built-in maze in the canonical
// layout, and gives the number of transitions.
func GeneratePointMaze(ctx context.Context, o GenerateOptions) (rows int64, err error) {
	if o.Episodes < 1 {
		return 0, fmt.Errorf("%w: %d episodes asked for", failure.ErrUsage, o.Episodes)
	}
	if err := storage.MkdirAll(storage.Dir(o.Out)); err != nil {
		return 0, fmt.Errorf("exchange: %w", err)
	}
	err = storage.WriteWhole(o.Out, func(w io.Writer) error {
		out, err := dataset.NewWriter(w, dataset.WriterConfig{ObservationDim: pointmaze.ObservationDim, ActionDim: pointmaze.ActionDim})
		if err != nil {
			return err
		}
		id := int64(0)
		for e := range o.generate() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := out.Write(trajectory.FromStates(id, e.Observations, e.Actions, e.Rewards)); err != nil {
				return err
			}
			id++
			rows += int64(len(e.Rewards))
		}
		return out.Close()
	})
	return rows, err
}
