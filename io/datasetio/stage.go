package datasetio

import (
	"context"
	"io"
	"iter"

	"diffstitch/io/attempt"
	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&stageFn{})
	register.Emitter1[trajectory.Outcome]()
}

// Shape is the width of a dataset's vectors.
type Shape struct {
	ObservationDim int `json:"observation_dim"`
	ActionDim      int `json:"action_dim"`
}

// Stage writes the bridges of a PCollection<trajectory.BridgeBatch>, rejected
// ones too if they are finite, to a file a batch in dir, and gives a
// PCollection<trajectory.Outcome>. A retry writes the same file again. What
// cannot be staged goes to a PCollection<trajectory.Failure>.
func Stage(s beam.Scope, dir string, shape Shape, bridges beam.PCollection) (outcomes, dead beam.PCollection) {
	s = s.Scope("datasetio.Stage")
	return beam.ParDo2(s, &stageFn{Dir: dir, Shape: shape}, bridges)
}

type stageFn struct {
	Dir   string `json:"dir"`
	Shape Shape  `json:"shape"`
}

func (fn *stageFn) ProcessElement(ctx context.Context, w beam.Window, batch trajectory.BridgeBatch, emit func(trajectory.Outcome), dead func(trajectory.Failure)) error {
	if over, err := isOver(fn.Dir, w); over || err != nil {
		return err
	}
	work := func() ([]trajectory.Outcome, error) { return fn.stage(WindowFolder(fn.Dir, w), batch) }
	return attempt.Batch(ctx, "stage", batch.Span(), work, each(emit), dead)
}

func (fn *stageFn) stage(dir string, batch trajectory.BridgeBatch) ([]trajectory.Outcome, error) {
	outcomes := make([]trajectory.Outcome, 0, len(batch.Bridges))
	rows := int64(0)
	finite := make([]trajectory.Bridge, 0, len(batch.Bridges))
	for _, b := range batch.Bridges {
		o := trajectory.Outcome{Pair: b.Pair, Rejected: b.Rejected, MaxDisagreement: b.MaxDisagreement}
		for i, e := range b.Errors {
			o.MaxError = max(o.MaxError, e)
			o.BridgeReturn += float64(b.Rewards[i])
		}
		if b.Finite() {
			o.Staged = trajectory.Location{File: int32(batch.Index), Row: rows, Rows: int64(b.Pair.BridgeRows())}
			rows += o.Staged.Rows
			finite = append(finite, b)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, writeStaged(stagedFile(dir, int32(batch.Index)), fn.Shape, func(yield func(*trajectory.Episode) bool) {
		for _, b := range finite {
			if !yield(b.Episode(fn.Shape.ObservationDim, fn.Shape.ActionDim)) {
				return
			}
		}
	})
}

// each hands out values one by one.
func each[T any](emit func(T)) func([]T) {
	return func(values []T) {
		for _, v := range values {
			emit(v)
		}
	}
}

// writeStaged writes a staged file.
func writeStaged(path string, shape Shape, episodes iter.Seq[*trajectory.Episode]) error {
	return storage.WriteWhole(path, func(w io.Writer) error {
		out, err := dataset.NewWriter(w, dataset.WriterConfig{ObservationDim: shape.ObservationDim, ActionDim: shape.ActionDim})
		if err != nil {
			return err
		}
		for e := range episodes {
			if err := out.Write(e); err != nil {
				return err
			}
		}
		return out.Close()
	})
}
