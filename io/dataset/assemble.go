package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
)

// assembler makes the episodes that begin in some row groups of a table's rows.
type assembler struct {
	table *table
	block *block
	at    int   // the next row of block
	stop  int64 // the row from which on episodes are somebody else's
	draft draft
	// foreign is whether the rows at hand may belong to the episode of the row
	// before the first, whose boundary columns draft then holds.
	foreign bool
}

func newAssembler(f *File, groups Groups) *assembler {
	a := &assembler{table: newTable(f), stop: f.starts[groups.To], draft: draft{f: f}}
	a.table.group, a.table.row = groups.From, f.starts[groups.From]
	a.foreign = a.table.row > 0
	return a
}

// next is the next episode or reject; errDone after the last.
func (a *assembler) next() (Item, error) {
	if a.block == nil && a.foreign {
		if err := a.lookBack(); err != nil {
			return Item{}, err
		}
	}
	for {
		if a.draft.rows == 0 && a.row() >= a.stop {
			return Item{}, errDone
		}
		if a.block == nil || a.at == a.block.rows {
			b, err := a.table.next(math.MaxInt64)
			if err == errDone && a.draft.rows > 0 {
				return a.draft.finish(), nil
			}
			if err != nil {
				return Item{}, err
			}
			a.block, a.at = b, 0
		}
		ends := a.draft.endsBefore(a.block, a.at)
		if a.draft.rows > 0 && ends {
			return a.draft.finish(), nil
		}
		to := a.at + 1
		for a.draft.continues(a.block, to) {
			to++
		}
		a.foreign = a.foreign && !ends
		if a.foreign {
			a.draft.mark(a.block, to-1)
		} else {
			a.draft.add(a.block, a.at, to)
		}
		a.at = to
	}
}

// row is the next row.
func (a *assembler) row() int64 {
	if a.block == nil {
		return a.table.row
	}
	return a.block.first + int64(a.at)
}

// lookBack reads, of the row before the first, what tells whether the first
// begins an episode.
func (a *assembler) lookBack() (err error) {
	defer recovered(&err)
	f, row := a.draft.f, a.table.row-1
	t := newTable(f, "episode_id", "terminals", "dones", "timeouts")
	defer t.close() // nothing was written
	if err := t.openGroup(f.groupOf(row), row); err != nil {
		return err
	}
	b, err := t.next(1)
	if err == nil {
		a.draft.mark(b, 0)
	}
	return err
}

func (a *assembler) close() error { return a.table.close() }

// draft is the episode being assembled. Its buffers are used again for the next.
type draft struct {
	f     *File
	first int64 // row in the file
	rows  int64
	id    int64
	hasID bool
	fault *Reject

	observations, actions, rewards, next []float32
	terminal, timeout                    bool // flags of the last row

	source        string
	lowID, highID int64
	bridgeStart   int
	errors        []float32
}

// mark takes over where row i of the block stands: its id, and whether it ends
// an episode.
func (d *draft) mark(b *block, i int) {
	d.terminal = b.terminals.width > 0 && b.terminals.values[i]
	d.timeout = b.timeouts.width > 0 && b.timeouts.values[i]
	if !d.f.schema.ImplicitIDs {
		d.id, d.hasID = b.ids.values[i], b.ids.ok(i)
	}
}

// endsBefore is whether row i of the block begins another episode.
func (d *draft) endsBefore(b *block, i int) bool {
	if d.f.schema.ImplicitIDs {
		return d.terminal || d.timeout || (b.steps.width > 0 && b.steps.values[i] == 0)
	}
	return b.ids.ok(i) != d.hasID || b.ids.values[i] != d.id
}

// continues is whether row i of the block belongs to the same episode as i-1.
func (d *draft) continues(b *block, i int) bool {
	switch {
	case i == b.rows:
		return false
	case d.f.schema.ImplicitIDs:
		return !b.flagged(i-1) && (b.steps.width == 0 || b.steps.values[i] != 0)
	default:
		return b.ids.values[i] == b.ids.values[i-1] && b.ids.ok(i) == b.ids.ok(i-1)
	}
}

// flagged is whether the row ends an episode.
func (b *block) flagged(i int) bool {
	return (b.terminals.width > 0 && b.terminals.values[i]) || (b.timeouts.width > 0 && b.timeouts.values[i])
}

// add appends the rows [from, to), which belong to the draft's episode.
func (d *draft) add(b *block, from, to int) {
	if d.rows == 0 {
		d.begin(b, from)
	} else if d.terminal || d.timeout {
		d.reject(FlagInside, "row %d is followed by more of the episode", b.first+int64(from)-1)
	}
	d.checkLengths(b, from, to)
	d.checkSteps(b, from, to)
	d.checkFlags(b, from, to)
	if d.f.schema.Provenance {
		d.addProvenance(b, from, to)
	}
	d.rows += int64(to - from)
	if d.rows*int64(max(b.observations.width, b.actions.width)) > maxEpisodeValues {
		d.reject(TooLong, "it has more than %d values", maxEpisodeValues)
	}
	if d.fault != nil {
		return
	}
	d.observations = append(d.observations, b.observations.slice(from, to)...)
	d.actions = append(d.actions, b.actions.slice(from, to)...)
	d.rewards = append(d.rewards, b.rewards.slice(from, to)...)
	d.next = append(d.next, b.next.slice(from, to)...)
}

func (d *draft) begin(b *block, from int) {
	*d = draft{
		f:            d.f,
		first:        b.first + int64(from),
		observations: d.observations[:0],
		actions:      d.actions[:0],
		rewards:      d.rewards[:0],
		next:         d.next[:0],
		errors:       d.errors[:0],
	}
	d.id, d.hasID = d.first, true
	if !d.f.schema.ImplicitIDs {
		d.id, d.hasID = b.ids.values[from], b.ids.ok(from)
		if !d.hasID {
			d.reject(MissingValue, "row %d: %s is null", d.first, d.f.bound["episode_id"].name)
		}
	}
}

// reject keeps the first reason.
func (d *draft) reject(reason Reason, format string, args ...any) {
	if d.fault == nil {
		d.fault = &Reject{File: d.f.path, Row: d.first, EpisodeID: d.id, Reason: reason, Detail: fmt.Sprintf(format, args...)}
	}
}

func (d *draft) checkLengths(b *block, from, to int) {
	checkColumn(d, "observations", &b.observations, b.first, from, to)
	checkColumn(d, "actions", &b.actions, b.first, from, to)
	checkColumn(d, "rewards", &b.rewards, b.first, from, to)
	checkColumn(d, "next_observations", &b.next, b.first, from, to)
	checkColumn(d, "step", &b.steps, b.first, from, to)
	checkColumn(d, "timeouts", &b.timeouts, b.first, from, to)
	checkColumn(d, "terminals", &b.terminals, b.first, from, to)
}

func checkColumn[V any](d *draft, name string, v *vectors[V], first int64, from, to int) {
	if v.lengths == nil || d.fault != nil {
		return
	}
	for i, length := range v.lengths[from:to] {
		row := first + int64(from+i)
		switch int(length) {
		case v.width:
			continue
		case absent:
			d.reject(MissingValue, "row %d: %s is null", row, name)
		default:
			d.reject(Ragged, "row %d: %s has %d values, want %d", row, name, length, v.width)
		}
		return
	}
}

func (d *draft) checkSteps(b *block, from, to int) {
	if b.steps.width == 0 {
		return
	}
	for i, step := range b.steps.slice(from, to) {
		want := d.rows + int64(i)
		if step == want {
			continue
		}
		if want == 0 {
			d.reject(StartsLate, "row %d: its first step is %d", d.first, step)
		} else {
			d.reject(StepGap, "row %d: step %d where %d is due", d.first+want, step, want)
		}
		return
	}
}

// checkFlags looks for flags before the last of the rows, and keeps the last's.
func (d *draft) checkFlags(b *block, from, to int) {
	for _, flags := range []*vectors[bool]{&b.terminals, &b.timeouts} {
		if flags.width == 0 {
			continue
		}
		if i := slices.Index(flags.slice(from, to-1), true); i >= 0 {
			d.reject(FlagInside, "row %d is followed by more of the episode", b.first+int64(from+i))
		}
	}
	d.terminal = b.terminals.width > 0 && b.terminals.values[to-1]
	d.timeout = b.timeouts.width > 0 && b.timeouts.values[to-1]
}

// addProvenance checks that the rows agree on where the episode comes from, and
// that what was generated is one bridge, or all of a synthetic episode.
func (d *draft) addProvenance(b *block, from, to int) {
	if d.rows == 0 {
		d.source, d.lowID, d.highID = b.source.values[from], b.lowID.values[from], b.highID.values[from]
	}
	check := d.checkDerived
	if trajectory.Synthetic(d.source) {
		check = d.checkSynthetic
	}
	for i := from; i < to && d.fault == nil; i++ {
		row := b.first + int64(i)
		switch {
		case !b.source.ok(i) || !b.generated.ok(i):
			d.reject(MissingValue, "row %d: source or generated is null", row)
		case b.source.values[i] != d.source || b.lowID.values[i] != d.lowID || b.highID.values[i] != d.highID:
			d.reject(BadProvenance, "row %d: source or ids differ from the row before", row)
		default:
			check(b, i, int(d.rows)+i-from)
		}
	}
}

// checkDerived takes up a row of an original episode or of a stitch.
func (d *draft) checkDerived(b *block, i, step int) {
	row, original := b.first+int64(i), d.source == trajectory.Original
	switch generated := b.generated.values[i]; {
	case original == b.lowID.ok(i) || original == b.highID.ok(i):
		d.reject(BadProvenance, "row %d: low and high episode ids go with stitches, and with all of them", row)
	case generated != b.qualification.ok(i):
		d.reject(BadProvenance, "row %d: a qualification error goes with generated rows, and with no others", row)
	case generated && original:
		d.reject(BadProvenance, "row %d: a generated row in an original episode", row)
	case generated && len(d.errors) > 0 && step != d.bridgeStart+len(d.errors):
		d.reject(BadProvenance, "row %d: a second bridge", row)
	case generated:
		if len(d.errors) == 0 {
			d.bridgeStart = step
		}
		d.errors = append(d.errors, b.qualification.values[i])
	}
}

// checkSynthetic takes up a row of an episode that was generated whole.
func (d *draft) checkSynthetic(b *block, i, step int) {
	row, judged := b.first+int64(i), b.qualification.ok(i)
	switch {
	case !b.generated.values[i]:
		d.reject(BadProvenance, "row %d: all rows of source %s are generated", row, d.source)
	case b.lowID.ok(i) || b.highID.ok(i):
		d.reject(BadProvenance, "row %d: low and high episode ids go with stitches, not with source %s", row, d.source)
	case step > 0 && judged != (len(d.errors) > 0):
		d.reject(BadProvenance, "row %d: a qualification error goes with all rows of an episode of source %s, or with none", row, d.source)
	case judged:
		d.errors = append(d.errors, b.qualification.values[i])
	}
}

// finish hands out the episode, and makes room for the next.
func (d *draft) finish() Item {
	location := trajectory.Location{Row: d.first, Rows: d.rows}
	bridge := d.f.schema.Provenance && d.source != trajectory.Original
	if d.rows < 2 && !bridge {
		d.reject(TooShort, "it has one step") // a bridge may be a single transition
	}
	d.checkFinite()
	d.rows = 0
	if d.fault != nil {
		return Item{Location: location, Reject: d.fault}
	}
	s := d.f.schema
	e := &trajectory.Episode{
		ID:             d.id,
		ObservationDim: s.ObservationDim,
		ActionDim:      s.ActionDim,
		Observations:   slices.Clone(d.observations),
		Actions:        slices.Clone(d.actions),
		Rewards:        slices.Clone(d.rewards),
		End:            d.end(),
	}
	e.NextObservations, e.FinalObservation = nextObservations(d.observations, d.next, s.ObservationDim)
	if s.Provenance && d.source != trajectory.Original {
		e.Provenance = d.provenance()
	}
	return Item{Episode: e, Location: location}
}

// provenance is that of an episode that is no original.
func (d *draft) provenance() *trajectory.Provenance {
	p := &trajectory.Provenance{Source: d.source, BridgeStart: d.bridgeStart}
	if !trajectory.Synthetic(d.source) { // else the ids are null, whatever stands for that
		p.LowID, p.HighID = d.lowID, d.highID
	}
	if len(d.errors) > 0 {
		p.Errors = slices.Clone(d.errors)
	}
	return p
}

// end is terminal where the data says so. `dones` alone says that an episode
// ended, and a time limit beside it says why.
func (d *draft) end() trajectory.End {
	_, dones := d.f.bound["dones"]
	if d.terminal && !(dones && d.timeout) {
		return trajectory.Terminal
	}
	return trajectory.Timeout
}

func (d *draft) checkFinite() {
	for _, c := range []struct {
		name   string
		values []float32
		width  int
	}{
		{"observations", d.observations, d.f.schema.ObservationDim},
		{"actions", d.actions, d.f.schema.ActionDim},
		{"rewards", d.rewards, 1},
		{"next_observations", d.next, d.f.schema.ObservationDim},
		{"qualification_error", d.errors, 1},
	} {
		if d.fault != nil {
			return
		}
		if i := notFinite(c.values); i >= 0 {
			d.reject(NotFinite, "step %d: %s holds %v", i/c.width, c.name, c.values[i])
		}
	}
}

// nextObservations keeps the stored next observations where they say more than
// the observations one step later do, and the last one where it is known.
func nextObservations(observations, next []float32, width int) (kept, final []float32) {
	if len(next) == 0 {
		return nil, nil
	}
	last := len(next) - width
	if !sameBits(next[last:], observations[last:]) {
		final = slices.Clone(next[last:])
	}
	if !sameBits(next[:last], observations[width:]) {
		kept = slices.Clone(next)
	}
	return kept, final
}

func sameBits(a, b []float32) bool {
	return bytes.Equal(arrow.Float32Traits.CastToBytes(a), arrow.Float32Traits.CastToBytes(b))
}
