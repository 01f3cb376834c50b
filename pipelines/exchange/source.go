package exchange

import (
	"context"
	"errors"
	"fmt"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// source is a dataset that is read from its first episode to its last.
type source struct {
	dataset    input.Dataset
	columns    map[string]string // the data's own names
	provenance bool              // whether some of it says where its episodes come from
	renumber   bool              // whether the episodes get new ids
}

// open opens the data, from which out must lie apart.
func open(d input.Data, out string) (*source, error) {
	path := d.Path
	err := input.Absolute(&path, &out)
	if err == nil {
		err = input.Apart(path, out)
	}
	if err == nil && path == out {
		err = fmt.Errorf("%w: --out %q is the data: write beside it", failure.ErrUsage, out)
	}
	if err != nil {
		return nil, err
	}
	opened, err := d.Open()
	if err != nil {
		return nil, err
	}
	s := &source{dataset: opened, renumber: opened.TextIDs}
	for _, path := range opened.Input.Files {
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
	x.Columns, x.Notes = s.columns, s.dataset.Notes
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
	seen := map[int64]bool{}
	counts, err := s.dataset.Each(ctx, func(e *trajectory.Episode) error {
		if s.renumber && e.Provenance != nil {
			return fmt.Errorf("%w: %w, and cannot be numbered anew, since episode %d names two of them", failure.ErrData, errSharedID, e.ID)
		}
		if s.renumber {
			e.ID = x.Episodes
		}
		if seen[e.ID] {
			return fmt.Errorf("%w: %d", errSharedID, e.ID)
		}
		seen[e.ID] = true
		x.count(e)
		return write(e)
	})
	x.Rejected = counts.Rejected
	return err
}
