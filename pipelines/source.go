package pipelines

import (
	"context"
	"errors"
	"fmt"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
)

// source is a dataset that is read from its first episode to its last.
type source struct {
	data       Data
	input      datasetio.Input
	shape      datasetio.Shape
	columns    map[string]string // the data's own names
	provenance bool              // whether some of it says where its episodes come from
	renumber   bool              // whether the episodes get new ids
}

func (d Data) source() (*source, error) {
	s := &source{data: d}
	var err error
	if s.input, s.shape, err = d.open(); err != nil {
		return nil, err
	}
	for _, path := range s.input.Files {
		f, err := dataset.Open(path, d.Options)
		if err != nil {
			continue // it will be among the rejects
		}
		schema := f.Schema()
		if err := f.Close(); err != nil {
			return nil, err
		}
		if s.columns == nil {
			s.columns = schema.Columns
		}
		if s.provenance = schema.Provenance; s.provenance {
			break
		}
	}
	return s, nil
}

// errSharedID says that files share an episode id.
var errSharedID = errors.New("files share an episode id")

// exchange writes the data, and once again with new ids where files turn out to
// share theirs.
func (s *source) exchange(x Exchanged, write func(*Exchanged) error) (Exchanged, error) {
	x.Columns = s.columns
	for {
		done := x
		done.Renumbered = s.renumber
		err := write(&done)
		if s.renumber || !errors.Is(err, errSharedID) {
			return done, err
		}
		s.renumber = true
	}
}

// each hands out the usable episodes and counts them. It fails when more was
// rejected than allowed.
func (s *source) each(ctx context.Context, x *Exchanged, write func(*trajectory.Episode) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	seen := map[int64]bool{}
	metas, rejects, err := read(ctx, s.input, s.shape, func(e *trajectory.Episode) {
		if context.Cause(ctx) != nil {
			return
		}
		if s.renumber && e.Provenance != nil {
			stop(fmt.Errorf("%w: %w, and cannot be numbered anew, since episode %d names two of them", ErrData, errSharedID, e.ID))
			return
		}
		if s.renumber {
			e.ID = x.Episodes
		}
		if seen[e.ID] {
			stop(fmt.Errorf("%w: %d", errSharedID, e.ID))
			return
		}
		seen[e.ID] = true
		x.count(e)
		if err := write(e); err != nil {
			stop(err)
		}
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	x.Rejected = len(rejects)
	return s.data.check(len(s.input.Files), metas, rejects)
}

func (x *Exchanged) count(e *trajectory.Episode) {
	x.Episodes++
	x.Transitions += int64(e.Len())
	if _, known := e.NextObservation(e.Len() - 1); !known {
		x.UnknownFinals++
	}
	if e.NextObservations != nil && (x.Layout == dataset.MinariArrow || x.Layout == dataset.MinariParquet) {
		x.OwnNext++
	}
}
