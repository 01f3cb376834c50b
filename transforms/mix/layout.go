package mix

import (
	"cmp"
	"iter"
	"slices"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"
)

// side is one side of the mix, in order. Synthetic episodes of one outcome stay
// together.
type side[E any] struct {
	episodes []E
	rows     func(E) int64 // that an episode takes
}

func (s side[E]) total() (rows int64) {
	for _, e := range s.episodes {
		rows += s.rows(e)
	}
	return rows
}

// cut keeps the first episodes whose rows do not exceed most.
func (s *side[E]) cut(most int64) {
	for i, e := range s.episodes {
		if most -= s.rows(e); most < 0 {
			s.episodes = s.episodes[:i]
			return
		}
	}
}

// sides are those of a mix. They refer to what is laid out, which may be all the
// metadata there is.
type sides struct {
	originals side[*trajectory.Meta]
	stitches  side[*trajectory.Outcome]
	firstID   int64 // of a stitch, after those of the originals
}

// Layout orders the episodes and cuts them into files and row groups, a file at a
// time. Both sides come in the order in which what they are read from lies, and
// rejected stitches are left out.
func (c Config) Layout(metas []trajectory.Meta, outcomes []trajectory.Outcome) iter.Seq[trajectory.Part] {
	s := c.sides(metas, outcomes)
	s.balance(c.Ratio)
	slices.SortFunc(s.stitches.episodes, func(x, y *trajectory.Outcome) int {
		return cmp.Or(cmp.Compare(x.Staged.File, y.Staged.File), cmp.Compare(x.Staged.Row, y.Staged.Row), cmp.Compare(x.Index, y.Index))
	})
	return c.partition(s.interleave(c.Ratio))
}

// sides puts the original episodes in the data's order, and the accepted
// stitches in one that has nothing to do with where their episodes lie, so that
// a ratio can leave out any. A stitch's id depends on its place in the plan alone.
func (c Config) sides(metas []trajectory.Meta, outcomes []trajectory.Outcome) sides {
	s := sides{
		originals: side[*trajectory.Meta]{rows: func(m *trajectory.Meta) int64 { return int64(m.Steps) }},
		stitches:  side[*trajectory.Outcome]{rows: func(o *trajectory.Outcome) int64 { return c.Rows(*o) }},
	}
	for i := range metas {
		s.originals.episodes = append(s.originals.episodes, &metas[i])
		s.firstID = max(s.firstID, metas[i].ID+1)
	}
	for i := range outcomes {
		if outcomes[i].Rejected == "" {
			s.stitches.episodes = append(s.stitches.episodes, &outcomes[i])
		}
	}
	slices.SortFunc(s.originals.episodes, func(a, b *trajectory.Meta) int { return rank.ByLocation(*a, *b) })
	slices.SortFunc(s.stitches.episodes, func(a, b *trajectory.Outcome) int { return cmp.Compare(scattered(a), scattered(b)) })
	return s
}

// scattered is a number without order, different for every stitch.
func scattered(o *trajectory.Outcome) uint64 {
	return trajectory.StreamSeed(0, o.Index, trajectory.StageMix)
}

// balance cuts the side that the ratio has too much of. The side that limits
// the mix stays whole.
func (s *sides) balance(r Ratio) {
	originals, stitches := s.originals.total(), s.stitches.total()
	switch {
	case r == (Ratio{}):
	case r.Original == 0:
		s.originals.cut(0)
	case r.Augmented == 0:
		s.stitches.cut(0)
	case stitches*r.Original > originals*r.Augmented:
		s.stitches.cut(originals * r.Augmented / r.Original)
	default:
		s.originals.cut(stitches * r.Original / r.Augmented)
	}
}

// interleave merges the sides, with the rows of each episode: one after the
// other, or with a ratio so that it holds at every point to within one episode.
func (s *sides) interleave(r Ratio) iter.Seq2[trajectory.Entry, int64] {
	return func(yield func(trajectory.Entry, int64) bool) {
		var oRows, aRows int64
		o, a := s.originals.episodes, s.stitches.episodes
		for len(o)+len(a) > 0 {
			var e trajectory.Entry
			var rows int64
			behind := oRows*r.Augmented <= aRows*r.Original
			if len(o) > 0 && (behind || len(a) == 0) {
				e, rows = trajectory.Entry{ID: o[0].ID, Original: *o[0]}, s.originals.rows(o[0])
				o, oRows = o[1:], oRows+rows
			} else {
				e, rows = trajectory.Entry{ID: s.firstID + a[0].Index, IsStitch: true, Stitch: *a[0]}, s.stitches.rows(a[0])
				a, aRows = a[1:], aRows+rows
			}
			if !yield(e, rows) {
				return
			}
		}
	}
}

// mostEntries bounds a part, which a worker holds, to some 2 MiB.
const mostEntries = 8192

// partition cuts the episodes, in order, into files and row groups.
func (c Config) partition(episodes iter.Seq2[trajectory.Entry, int64]) iter.Seq[trajectory.Part] {
	return func(yield func(trajectory.Part) bool) {
		var part trajectory.Part
		var rows, groupRows int64
		var group int32
		for e, its := range episodes {
			if rows >= c.PartRows || len(part.Entries) == mostEntries {
				if !yield(part) {
					return
				}
				part = trajectory.Part{Index: part.Index + 1}
				rows, groupRows, group = 0, 0, 0
			}
			if groupRows >= c.RowGroupRows {
				groupRows = 0
				group++
			}
			e.Group = group
			part.Entries = append(part.Entries, e)
			rows += its
			groupRows += its
		}
		if len(part.Entries) > 0 {
			yield(part)
		}
	}
}
