package mix

import (
	"cmp"
	"slices"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"
)

// episode is an entry with the rows it takes.
type episode struct {
	trajectory.Entry
	rows int64
}

// side is the episodes of one side of the mix, in order.
type side struct {
	episodes []episode
	total    int64 // rows
}

func (s *side) add(e episode) {
	s.episodes = append(s.episodes, e)
	s.total += e.rows
}

// cut keeps the first episodes whose rows do not exceed most.
func (s *side) cut(most int64) {
	var kept side
	for _, e := range s.episodes {
		if kept.total+e.rows > most {
			break
		}
		kept.add(e)
	}
	*s = kept
}

// Layout orders the episodes and cuts them into files and row groups. Both sides
// come in the order in which what they are read from lies.
func (c Config) Layout(metas []trajectory.Meta, outcomes []trajectory.Outcome) []trajectory.Part {
	originals, stitches := c.sides(metas, outcomes)
	c.Ratio.balance(&originals, &stitches)
	slices.SortFunc(stitches.episodes, func(a, b episode) int {
		x, y := a.Stitch, b.Stitch
		return cmp.Or(cmp.Compare(x.Staged.File, y.Staged.File), cmp.Compare(x.Staged.Row, y.Staged.Row), cmp.Compare(x.Index, y.Index))
	})
	return c.partition(c.Ratio.interleave(originals, stitches))
}

// sides puts the original episodes in the data's order, and the accepted
// stitches in one that has nothing to do with where their episodes lie, so that
// a ratio can leave out any. A stitch's id, after those of the originals, depends
// on its place in the plan alone.
func (c Config) sides(metas []trajectory.Meta, outcomes []trajectory.Outcome) (originals, stitches side) {
	slices.SortFunc(metas, rank.ByLocation)
	slices.SortFunc(outcomes, func(a, b trajectory.Outcome) int { return cmp.Compare(scattered(a), scattered(b)) })
	var next int64
	for _, m := range metas {
		originals.add(episode{trajectory.Entry{ID: m.ID, Original: m}, int64(m.Steps)})
		next = max(next, m.ID+1)
	}
	for _, o := range outcomes {
		if o.Rejected == "" {
			stitches.add(episode{trajectory.Entry{ID: next + o.Index, IsStitch: true, Stitch: o}, c.Rows(o)})
		}
	}
	return originals, stitches
}

// scattered is a number without order, different for every stitch.
func scattered(o trajectory.Outcome) uint64 {
	return trajectory.StreamSeed(0, o.Index, trajectory.StageMix)
}

// balance cuts the side that the ratio has too much of. The side that limits
// the mix stays whole.
func (r Ratio) balance(originals, stitches *side) {
	switch {
	case r == (Ratio{}):
	case r.Original == 0:
		originals.cut(0)
	case r.Augmented == 0:
		stitches.cut(0)
	case stitches.total*r.Original > originals.total*r.Augmented:
		stitches.cut(originals.total * r.Augmented / r.Original)
	default:
		originals.cut(stitches.total * r.Original / r.Augmented)
	}
}

// interleave merges the sides: one after the other, or with a ratio so that it
// holds at every point to within one episode.
func (r Ratio) interleave(originals, stitches side) []episode {
	var merged []episode
	var oRows, aRows int64
	o, a := originals.episodes, stitches.episodes
	for len(o)+len(a) > 0 {
		behind := oRows*r.Augmented <= aRows*r.Original
		if len(o) > 0 && (behind || len(a) == 0) {
			merged = append(merged, o[0])
			oRows += o[0].rows
			o = o[1:]
			continue
		}
		merged = append(merged, a[0])
		aRows += a[0].rows
		a = a[1:]
	}
	return merged
}

// mostEntries bounds a part, which is one element, to some 2 MiB.
const mostEntries = 8192

// partition cuts the episodes, in order, into files and row groups.
func (c Config) partition(episodes []episode) []trajectory.Part {
	var parts []trajectory.Part
	var rows, groupRows int64
	var group int32
	for i, e := range episodes {
		if i == 0 || rows >= c.PartRows || len(parts[len(parts)-1].Entries) == mostEntries {
			parts = append(parts, trajectory.Part{Index: int64(len(parts))})
			rows, groupRows, group = 0, 0, 0
		}
		if groupRows >= c.RowGroupRows {
			groupRows = 0
			group++
		}
		e.Group = group
		part := &parts[len(parts)-1]
		part.Entries = append(part.Entries, e.Entry)
		rows += e.rows
		groupRows += e.rows
	}
	return parts
}
