package datasetio

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"diffstitch/io/dataset"
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
// PCollection<trajectory.Outcome>. A retry writes the same file again.
func Stage(s beam.Scope, dir string, shape Shape, bridges beam.PCollection) beam.PCollection {
	s = s.Scope("datasetio.Stage")
	return beam.ParDo(s, &stageFn{Dir: dir, Shape: shape}, bridges)
}

type stageFn struct {
	Dir   string `json:"dir"`
	Shape Shape  `json:"shape"`
}

func (fn *stageFn) ProcessElement(batch trajectory.BridgeBatch, emit func(trajectory.Outcome)) error {
	rows := int64(0)
	finite := make([]trajectory.Bridge, 0, len(batch.Bridges))
	for _, b := range batch.Bridges {
		o := trajectory.Outcome{Pair: b.Pair, Rejected: b.Rejected}
		for i, e := range b.Errors {
			o.MaxError = max(o.MaxError, e)
			o.BridgeReturn += float64(b.Rewards[i])
		}
		if b.Finite() {
			o.Staged = trajectory.Location{File: int32(batch.Index), Row: rows, Rows: int64(b.Pair.BridgeRows())}
			rows += o.Staged.Rows
			finite = append(finite, b)
		}
		emit(o)
	}
	return fn.write(stagedFile(fn.Dir, int32(batch.Index)), finite)
}

func (fn *stageFn) write(path string, bridges []trajectory.Bridge) error {
	return WriteWhole(path, func(w io.Writer) error {
		out, err := dataset.NewWriter(w, dataset.WriterConfig{ObservationDim: fn.Shape.ObservationDim, ActionDim: fn.Shape.ActionDim})
		if err != nil {
			return err
		}
		for _, b := range bridges {
			if err := out.Write(b.Episode(fn.Shape.ObservationDim, fn.Shape.ActionDim)); err != nil {
				return err
			}
		}
		return out.Close()
	})
}

// WriteWhole writes a file under a temporary name and renames it, so that it is
// there whole or not at all.
func WriteWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("datasetio: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("datasetio: writing %q: %w", path, err)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
