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

// cut keeps episodes, in order, as long as their rows come to no more than most: one
// that is too long is left out, and shorter ones after it are not.
func (s *side[E]) cut(most int64) {
	s.episodes = slices.DeleteFunc(s.episodes, func(e E) bool {
		if s.rows(e) > most {
			return true
		}
		most -= s.rows(e)
		return false
	})
}

// stitch is one of D_aug, which comes again where a ratio asks for more than there is.
type stitch struct {
	*trajectory.Outcome
	repeat int32 // how many times it comes before
}

// sides are those of a mix. They refer to what is laid out, which may be all the
// metadata there is.
type sides struct {
	originals side[*trajectory.Meta]
	stitches  side[stitch]
	firstID   int64 // of a stitch, after those of the originals
	ids       int64 // how many the plan has: those of repeats follow
}

// Layout orders the episodes and cuts them into files and row groups, a file at a
// time. Both sides come in the order in which what they are read from lies, and
// rejected stitches are left out.
func (c Config) Layout(metas []trajectory.Meta, outcomes []trajectory.Outcome) iter.Seq[trajectory.Part] {
	s := c.sides(metas, outcomes)
	s.balance(c.Ratio)
	slices.SortFunc(s.stitches.episodes, func(x, y stitch) int {
		return cmp.Or(cmp.Compare(x.repeat, y.repeat), cmp.Compare(x.Staged.File, y.Staged.File), cmp.Compare(x.Staged.Row, y.Staged.Row), cmp.Compare(x.Index, y.Index))
	})
	return c.partition(s.interleave(c.Ratio))
}

// sides puts the original episodes in the data's order, and the accepted
// stitches in one that has nothing to do with where their episodes lie, so that
// a ratio can leave out any. A stitch's id depends on its place in the plan alone.
func (c Config) sides(metas []trajectory.Meta, outcomes []trajectory.Outcome) sides {
	s := sides{
		originals: side[*trajectory.Meta]{rows: func(m *trajectory.Meta) int64 { return int64(m.Steps) }},
		stitches:  side[stitch]{rows: func(o stitch) int64 { return c.Rows(*o.Outcome) }},
	}
	for i := range metas {
		s.originals.episodes = append(s.originals.episodes, &metas[i])
		s.firstID = max(s.firstID, metas[i].ID+1)
	}
	for i := range outcomes {
		s.ids = max(s.ids, outcomes[i].Index+outcomes[i].Attempts())
		if outcomes[i].Rejected == "" {
			s.stitches.episodes = append(s.stitches.episodes, stitch{Outcome: &outcomes[i]})
		}
	}
	slices.SortFunc(s.originals.episodes, func(a, b *trajectory.Meta) int { return rank.ByLocation(*a, *b) })
	slices.SortFunc(s.stitches.episodes, func(a, b stitch) int { return cmp.Compare(scattered(a.Outcome), scattered(b.Outcome)) })
	return s
}

// scattered is a number without order, different for every stitch.
func scattered(o *trajectory.Outcome) uint64 {
	return trajectory.StreamSeed(0, o.Index, trajectory.StageMix)
}

// balance leaves out stitches that the ratio has too many of, any of them, and repeats
// them where it has too few. Originals stay, but for a ratio that wants none.
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
		s.repeat(originals * r.Augmented / r.Original)
	}
}

// repeat has stitches come again, all of them as often as there is room for, until they
// have about so many rows.
func (s *sides) repeat(most int64) {
	once, total := s.stitches.episodes, s.stitches.total()
	for repeat := int32(1); len(once) > 0; repeat++ {
		for _, e := range once {
			if total += s.stitches.rows(e); total > most {
				return
			}
			s.stitches.episodes = append(s.stitches.episodes, stitch{e.Outcome, repeat})
		}
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
				id := s.firstID + s.ids*int64(a[0].repeat) + a[0].Index
				e, rows = trajectory.Entry{ID: id, IsStitch: true, Stitch: *a[0].Outcome, Repeat: a[0].repeat}, s.stitches.rows(a[0])
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
