package mix

import (
	"cmp"
	"slices"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"
)

// side is the episodes of one side of the mix, in order.
type side struct {
	entries []trajectory.Entry
	rows    []int64
	total   int64
}

func (s *side) add(e trajectory.Entry, rows int64) {
	s.entries = append(s.entries, e)
	s.rows = append(s.rows, rows)
	s.total += rows
}

// cut keeps the first episodes whose rows do not exceed most.
func (s *side) cut(most int64) {
	kept := 0
	var total int64
	for kept < len(s.rows) && total+s.rows[kept] <= most {
		total += s.rows[kept]
		kept++
	}
	s.entries, s.rows, s.total = s.entries[:kept], s.rows[:kept], total
}

// Layout orders the episodes and cuts them into files and row groups.
func (c Config) Layout(metas []trajectory.Meta, outcomes []trajectory.Outcome) []trajectory.Part {
	originals, stitches := c.sides(metas, outcomes)
	c.Ratio.balance(&originals, &stitches)
	return c.partition(c.Ratio.interleave(originals, stitches))
}

// sides puts the original episodes in the data's order and the accepted
// stitches in the plan's, and numbers the latter after the former: a stitch's
// id depends on its place in the plan alone.
func (c Config) sides(metas []trajectory.Meta, outcomes []trajectory.Outcome) (originals, stitches side) {
	slices.SortFunc(metas, rank.ByLocation)
	slices.SortFunc(outcomes, func(a, b trajectory.Outcome) int { return cmp.Compare(a.Index, b.Index) })
	var next int64
	for _, m := range metas {
		originals.add(trajectory.Entry{ID: m.ID, Original: m}, int64(m.Steps))
		next = max(next, m.ID+1)
	}
	for _, o := range outcomes {
		if o.Rejected == "" {
			stitches.add(trajectory.Entry{ID: next + o.Index, IsStitch: true, Stitch: o}, c.Rows(o))
		}
	}
	return originals, stitches
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
func (r Ratio) interleave(originals, stitches side) side {
	var merged side
	var o, a int
	var oRows, aRows int64
	for o < len(originals.rows) || a < len(stitches.rows) {
		behind := oRows*r.Augmented <= aRows*r.Original
		if o < len(originals.rows) && (behind || a == len(stitches.rows)) {
			merged.add(originals.entries[o], originals.rows[o])
			oRows += originals.rows[o]
			o++
			continue
		}
		merged.add(stitches.entries[a], stitches.rows[a])
		aRows += stitches.rows[a]
		a++
	}
	return merged
}

// partition cuts the episodes, in order, into files and row groups.
func (c Config) partition(episodes side) []trajectory.Part {
	var parts []trajectory.Part
	var rows, groupRows int64
	var group int32
	for i, e := range episodes.entries {
		if i == 0 || rows >= c.PartRows {
			parts = append(parts, trajectory.Part{Index: int64(len(parts))})
			rows, groupRows, group = 0, 0, 0
		}
		if groupRows >= c.RowGroupRows {
			groupRows = 0
			group++
		}
		e.Group = group
		part := &parts[len(parts)-1]
		part.Entries = append(part.Entries, e)
		rows += episodes.rows[i]
		groupRows += episodes.rows[i]
	}
	return parts
}
