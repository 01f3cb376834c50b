package dataset

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"diffstitch/io/trajectory"
)

// Item is an episode of a file, or why it was rejected.
type Item struct {
	Episode *trajectory.Episode // nil where rejected
	// Location is where the episode's rows lie. Its File is left 0, for the
	// caller to set.
	Location trajectory.Location
	Reject   *Reject // nil where the episode is good
}

// stream hands out a file's episodes in order.
type stream interface {
	next() (Item, error) // errDone after the last
	close() error
}

// errDone ends a stream. It is never wrapped, and no error of the Parquet
// library, whose io.EOF means a damaged page.
var errDone = errors.New("no more")

func (f *File) stream(groups Groups) stream {
	switch {
	case f.whole != nil:
		return &wholeStream{f: f, done: groups.From == groups.To}
	case f.schema.Layout == Episodes:
		return newNested(f, groups)
	default:
		return newAssembler(f, groups)
	}
}

// Episodes reads the file from its first row on. An episode that can't be used
// comes as a reject; an error ends the sequence. Memory is bounded by some
// pages of each column and one episode.
func (f *File) Episodes(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		seen := Seen{}
		for item, err := range f.EpisodesIn(ctx, f.all()) {
			if item.Episode != nil && !f.schema.ImplicitIDs {
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
		s := f.stream(groups)
		defer s.close() // nothing was written
		for {
			item, err := s.next()
			if err == nil {
				err = ctx.Err()
			}
			switch {
			case err == errDone:
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
