package dataset

import (
	"context"
	"fmt"
	"iter"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"
)

// Episodes reads the file from its first row on. An episode that can't be used
// comes as a reject; an error ends the sequence. Memory is bounded by some
// pages of each column and one episode.
func (f *File) Episodes(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		seen := Seen{}
		for item, err := range f.EpisodesIn(ctx, f.all()) {
			if item.Episode != nil && !f.Schema().ImplicitIDs {
				if r := seen.Add(f.path, item.Location.Row, item.Episode.ID); r != nil {
					item.Episode, item.Reject = nil, r
				}
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// EpisodesIn is Episodes for the episodes that begin in some row groups; the
// last one is read to its end, wherever that lies. Whoever reads a file in parts
// has to check by [Seen] that no id comes back in another part.
func (f *File) EpisodesIn(ctx context.Context, groups Groups) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		s := f.reader.Episodes(groups)
		defer s.Close() // nothing was written
		for {
			item, err := s.Next(ctx)
			if err == nil {
				err = ctx.Err()
			}
			switch {
			case err == parquet.ErrDone:
				return
			case err != nil:
				yield(Item{}, fmt.Errorf("dataset: reading %q: %w", f.path, err))
				return
			case !yield(item, nil):
				return
			}
		}
	}
}

// Seen holds the ids of a file's usable episodes, and the row each began at. An
// id that comes back is of an episode whose rows are not contiguous.
type Seen map[int64]int64

// Add gives the reason to reject the episode, or nil where its id is new.
func (s Seen) Add(file string, row, id int64) *Reject {
	if began, again := s[id]; again {
		return &Reject{File: file, Row: row, EpisodeID: id, Reason: IDReturns, Detail: fmt.Sprintf("it began at row %d already", began)}
	}
	s[id] = row
	return nil
}

// Fetch reads the episode at a location that Episodes gave. A file with a page index,
// as Writer writes, is entered at the episode's pages, or read on from the last episode
// fetched. Of other files the row group is decoded and kept for the next Fetch, unless
// it takes more than 256 MiB: then it is read up to the episode.
func (f *File) Fetch(at trajectory.Location) (*trajectory.Episode, error) {
	item, err := f.fetch(at)
	if err == nil {
		err = item.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: fetching %d rows at row %d of %q: %w", at.Rows, at.Row, f.path, err)
	}
	return item.Episode, nil
}

func (f *File) fetch(at trajectory.Location) (item Item, err error) {
	defer parquet.Recovered(&err)
	if err := f.inside(at); err != nil {
		return item, err
	}
	return f.reader.Fetch(at)
}

// inside fails where a location is not one of the file's.
func (f *File) inside(at trajectory.Location) error {
	rows := f.Schema().Rows
	end := rows - at.Rows
	if _, ok := f.reader.(layout.RowReader); ok {
		end = rows - 1 // the last episode may go on in the next file
	}
	if at.Row < 0 || at.Rows < 1 || at.Row > end {
		return fmt.Errorf("the file has %d rows", rows)
	}
	return nil
}

// States reads the observations before the steps [from, to) of the episode at a
// location that Episodes gave, and no other column: [to-from, S].
func (f *File) States(at trajectory.Location, from, to int) ([]float32, error) {
	return f.column(at, from, to, layout.Observations)
}

// Rewards reads the rewards of the episode at a location, [T], and no other
// column. The episode has so many steps.
func (f *File) Rewards(at trajectory.Location, steps int) ([]float32, error) {
	return f.column(at, 0, steps, layout.Rewards)
}

// column reads one column of the steps [from, to) of an episode.
func (f *File) column(at trajectory.Location, from, to int, column layout.Column) (values []float32, err error) {
	defer func() {
		if err != nil {
			values, err = nil, fmt.Errorf("dataset: fetching %s of steps %d to %d at row %d of %q: %w", column.Name, from, to, at.Row, f.path, err)
		}
	}()
	defer parquet.Recovered(&err)
	if err := f.inside(at); err != nil {
		return nil, err
	}
	if from < 0 || from >= to {
		return nil, fmt.Errorf("the file has %d rows", f.Schema().Rows)
	}
	return f.reader.Column(at, from, to, column)
}
