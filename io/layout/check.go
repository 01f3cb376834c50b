package layout

import (
	"slices"

	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"
)

func (d *Draft) checkLengths(b *Block, from, to int) {
	checkColumn(d, "observations", &b.Observations, b.First, from, to)
	checkColumn(d, "actions", &b.Actions, b.First, from, to)
	checkColumn(d, "rewards", &b.Rewards, b.First, from, to)
	checkColumn(d, "next_observations", &b.Next, b.First, from, to)
	checkColumn(d, "step", &b.Steps, b.First, from, to)
	checkColumn(d, "timeouts", &b.Timeouts, b.First, from, to)
	checkColumn(d, "terminals", &b.Terminals, b.First, from, to)
}

// checkColumn rejects a row whose vector is odd.
func checkColumn[V any](d *Draft, name string, v *parquet.Vectors[V], first int64, from, to int) {
	if v.Lengths == nil || d.fault != nil {
		return
	}
	for i, length := range v.Lengths[from:to] {
		row := first + int64(from+i)
		switch int(length) {
		case v.Width:
			continue
		case parquet.Absent:
			d.Reject(MissingValue, "row %d: %s is null", row, name)
		default:
			d.Reject(Ragged, "row %d: %s has %d values, want %d", row, name, length, v.Width)
		}
		return
	}
}

func (d *Draft) checkSteps(b *Block, from, to int) {
	if b.Steps.Width == 0 {
		return
	}
	for i, step := range b.Steps.Slice(from, to) {
		want := d.rows + int64(i)
		if step == want {
			continue
		}
		if want == 0 {
			d.Reject(StartsLate, "row %d: its first step is %d", d.first, step)
		} else {
			d.Reject(StepGap, "row %d: step %d where %d is due", d.first+want, step, want)
		}
		return
	}
}

// checkFlags looks for flags before the last of the rows, and keeps the last's.
func (d *Draft) checkFlags(b *Block, from, to int) {
	for _, flags := range []*parquet.Vectors[bool]{&b.Terminals, &b.Timeouts} {
		if flags.Width == 0 {
			continue
		}
		if i := slices.Index(flags.Slice(from, to-1), true); i >= 0 {
			d.Reject(FlagInside, "row %d is followed by more of the episode", b.First+int64(from+i))
		}
	}
	d.terminal = b.Terminals.Width > 0 && b.Terminals.Values[to-1]
	d.timeout = b.Timeouts.Width > 0 && b.Timeouts.Values[to-1]
}

// addProvenance checks that the rows agree on where the episode comes from, and
// that what was generated are bridges, or all of a synthetic episode.
func (d *Draft) addProvenance(b *Block, from, to int) {
	if d.rows == 0 {
		d.source, d.lowID, d.highID = b.Source.Values[from], b.LowIDs.Values[from], b.HighIDs.Values[from]
	}
	check := d.checkDerived
	if trajectory.Synthetic(d.source) {
		check = d.checkSynthetic
	}
	for i := from; i < to && d.fault == nil; i++ {
		row := b.First + int64(i)
		switch {
		case !b.Source.OK(i) || !b.Generated.OK(i):
			d.Reject(MissingValue, "row %d: source or generated is null", row)
		case b.Source.Values[i] != d.source || b.LowIDs.Values[i] != d.lowID || b.HighIDs.Values[i] != d.highID:
			d.Reject(BadProvenance, "row %d: source or ids differ from the row before", row)
		default:
			check(b, i, int(d.rows)+i-from)
			d.checkResidual(b, i)
		}
	}
}

// checkResidual takes up a row's residual, which all or none of a bridge's rows have.
func (d *Draft) checkResidual(b *Block, i int) {
	row, generated := b.First+int64(i), b.Generated.Values[i]
	switch refined := b.Refined(i); {
	case d.fault != nil:
	case refined && !generated:
		d.Reject(BadProvenance, "row %d: a residual goes with generated rows, and with no others", row)
	case generated && len(d.errors) > 1 && refined != (len(d.residuals) > 0):
		d.Reject(BadProvenance, "row %d: a residual goes with all rows of a bridge, or with none", row)
	case refined:
		d.residuals = append(d.residuals, b.Residuals.Values[i])
	}
}

// checkDerived takes up a row of an original episode or of a stitch.
func (d *Draft) checkDerived(b *Block, i, step int) {
	row, original := b.First+int64(i), d.source == trajectory.Original
	switch generated := b.Generated.Values[i]; {
	case original == b.LowIDs.OK(i) || original == b.HighIDs.OK(i):
		d.Reject(BadProvenance, "row %d: low and high episode ids go with stitches, and with all of them", row)
	case generated != b.Qualification.OK(i):
		d.Reject(BadProvenance, "row %d: a qualification error goes with generated rows, and with no others", row)
	case generated && original:
		d.Reject(BadProvenance, "row %d: a generated row in an original episode", row)
	case b.taken(i) && (original || generated):
		d.Reject(BadProvenance, "row %d: from_episode_id and from_step go with the real rows of a stitch", row)
	case !original && !generated:
		d.checkOrigin(b, i, step)
	case generated:
		if n := len(d.bridges); n > 0 && d.bridges[n-1].To == step {
			d.bridges[n-1].To++
		} else {
			d.bridges = append(d.bridges, trajectory.Range{From: step, To: step + 1})
		}
		d.errors = append(d.errors, b.Qualification.Values[i])
	}
}

// checkOrigin takes up where a real row of a stitch comes from: all of them say so, or
// none.
func (d *Draft) checkOrigin(b *Block, i, step int) {
	row, taken := b.First+int64(i), b.taken(i)
	begins := step == 0 || len(d.bridges) > 0 && d.bridges[len(d.bridges)-1].To == step
	switch {
	case step == len(d.errors): // the first real one
		d.taken = taken
	case taken != d.taken:
		d.Reject(BadProvenance, "row %d: from_episode_id and from_step go with all real rows of a stitch, or with none", row)
		return
	}
	if !taken {
		return
	}
	origin := trajectory.Origin{EpisodeID: b.FromIDs.Values[i], Step: int(b.FromSteps.Values[i])}
	if begins {
		if step > 0 && len(d.origins) == 0 { // no row comes before the first bridge
			d.origins = append(d.origins, trajectory.Origin{EpisodeID: d.lowID})
		}
		d.origins = append(d.origins, origin)
	} else if want := (trajectory.Origin{EpisodeID: d.from.EpisodeID, Step: d.from.Step + 1}); origin != want {
		d.Reject(BadProvenance, "row %d: step %d of episode %d after step %d of episode %d", row, origin.Step, origin.EpisodeID, d.from.Step, d.from.EpisodeID)
	}
	d.from = origin
}

// checkSynthetic takes up a row of an episode that was generated whole.
func (d *Draft) checkSynthetic(b *Block, i, step int) {
	row, judged := b.First+int64(i), b.Qualification.OK(i)
	switch {
	case !b.Generated.Values[i]:
		d.Reject(BadProvenance, "row %d: all rows of source %s are generated", row, d.source)
	case b.LowIDs.OK(i) || b.HighIDs.OK(i):
		d.Reject(BadProvenance, "row %d: low and high episode ids go with stitches, not with source %s", row, d.source)
	case step > 0 && judged != (len(d.errors) > 0):
		d.Reject(BadProvenance, "row %d: a qualification error goes with all rows of an episode of source %s, or with none", row, d.source)
	case judged:
		d.errors = append(d.errors, b.Qualification.Values[i])
	}
}

func (d *Draft) checkFinite() {
	for _, c := range []struct {
		name   string
		values []float32
		width  int
	}{
		{"observations", d.observations, d.f.Schema.ObservationDim},
		{"actions", d.actions, d.f.Schema.ActionDim},
		{"rewards", d.rewards, 1},
		{"next_observations", d.next, d.f.Schema.ObservationDim},
		{"qualification_error", d.errors, 1},
		{Residual, d.residuals, 1},
	} {
		if d.fault != nil {
			return
		}
		if i := parquet.NotFinite(c.values); i >= 0 {
			d.Reject(NotFinite, "step %d: %s holds %v", i/c.width, c.name, c.values[i])
		}
	}
}
