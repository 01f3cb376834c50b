package layout

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
)

// File is what is known of an open file, whatever its layout.
type File struct {
	Path    string
	Columns Binding
	Schema  Schema
	Bytes   int64 // of the file
	// MaxEpisodeSteps is how long an episode may be.
	MaxEpisodeSteps int
}

// What an episode may take in memory, in bytes: some, and more where its file is large.
const (
	episodeBytes   = 16 << 20
	episodePerByte = 256
)

// MaxValues is how many values one column of one episode may have.
func (f *File) MaxValues() int {
	return int(min(parquet.MaxEpisodeValues, (episodeBytes+episodePerByte*f.Bytes)/4))
}

// tooLong says why an episode of so many steps, and values in all its columns, is too
// long; "" where it is not.
func (f *File) tooLong(steps, values int64) string {
	switch most := cmp.Or(f.MaxEpisodeSteps, DefaultMaxEpisodeSteps); {
	case steps > int64(most):
		return fmt.Sprintf("it has more than %d steps: --max-episode-steps allows more", most)
	case 4*values > episodeBytes+episodePerByte*f.Bytes:
		return fmt.Sprintf("it would take more than %d bytes, of a file of %d", episodeBytes+episodePerByte*f.Bytes, f.Bytes)
	}
	return ""
}

// Draft is the episode being assembled. Its buffers are used again for the next.
type Draft struct {
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

// NewDraft begins on the first episode of a file.
func NewDraft(f *File) *Draft { return &Draft{f: f} }

// NewWhole begins a draft of an episode that has a place and an id of its own.
func NewWhole(f *File, row, id int64) *Draft { return &Draft{f: f, first: row, id: id, hasID: true} }

// Take has the draft be an episode of so many steps with these values, which it does
// not keep.
//
//	observations: [T, S]
//	actions:      [T, A]
//	rewards:      [T]
func (d *Draft) Take(observations, actions, rewards []float32, steps int) {
	d.observations, d.actions, d.rewards, d.rows = observations, actions, rewards, int64(steps)
}

// End says how the episode ends, as far as its flags tell.
func (d *Draft) End(terminal, timeout bool) {
	d.terminal, d.timeout = d.terminal || terminal, d.timeout || timeout
}

// Rejected is why the episode is left out; nil as long as nothing is wrong.
func (d *Draft) Rejected() *Reject { return d.fault }

// Begun is whether the draft has rows.
func (d *Draft) Begun() bool { return d.rows > 0 }

// Mark takes over where row i of the block stands: its id, and whether it ends
// an episode.
func (d *Draft) Mark(b *Block, i int) {
	d.terminal = b.Terminals.Width > 0 && b.Terminals.Values[i]
	d.timeout = b.Timeouts.Width > 0 && b.Timeouts.Values[i]
	if !d.f.Schema.ImplicitIDs {
		d.id, d.hasID = b.IDs.Values[i], b.IDs.OK(i)
	}
}

// EndsBefore is whether row i of the block begins another episode.
func (d *Draft) EndsBefore(b *Block, i int) bool {
	if d.f.Schema.ImplicitIDs {
		return d.terminal || d.timeout || (b.Steps.Width > 0 && b.Steps.Values[i] == 0)
	}
	return b.IDs.OK(i) != d.hasID || b.IDs.Values[i] != d.id
}

// Continues is whether row i of the block belongs to the same episode as i-1.
func (d *Draft) Continues(b *Block, i int) bool {
	switch {
	case i == b.Rows:
		return false
	case d.f.Schema.ImplicitIDs:
		return !b.flagged(i-1) && (b.Steps.Width == 0 || b.Steps.Values[i] != 0)
	default:
		return b.IDs.Values[i] == b.IDs.Values[i-1] && b.IDs.OK(i) == b.IDs.OK(i-1)
	}
}

// Add appends the rows [from, to), which belong to the draft's episode.
func (d *Draft) Add(b *Block, from, to int) {
	if d.rows == 0 {
		d.begin(b, from)
	} else if d.terminal || d.timeout {
		d.Reject(FlagInside, "row %d is followed by more of the episode", b.First+int64(from)-1)
	}
	d.checkLengths(b, from, to)
	d.checkSteps(b, from, to)
	d.checkFlags(b, from, to)
	if d.f.Schema.Provenance {
		d.addProvenance(b, from, to)
	}
	d.rows += int64(to - from)
	if d.rows*int64(max(b.Observations.Width, b.Actions.Width)) > parquet.MaxEpisodeValues {
		d.Reject(TooLong, "it has more than %d values", parquet.MaxEpisodeValues)
	}
	if why := d.f.tooLong(d.rows, d.rows*int64(2*b.Observations.Width+b.Actions.Width+1)); why != "" {
		d.Reject(TooLong, "%s", why)
	}
	if d.fault != nil {
		return
	}
	d.observations = append(d.observations, b.Observations.Slice(from, to)...)
	d.actions = append(d.actions, b.Actions.Slice(from, to)...)
	d.rewards = append(d.rewards, b.Rewards.Slice(from, to)...)
	d.next = append(d.next, b.Next.Slice(from, to)...)
}

func (d *Draft) begin(b *Block, from int) {
	*d = Draft{
		f:            d.f,
		first:        b.First + int64(from),
		observations: d.observations[:0],
		actions:      d.actions[:0],
		rewards:      d.rewards[:0],
		next:         d.next[:0],
		errors:       d.errors[:0],
	}
	d.id, d.hasID = d.first, true
	if !d.f.Schema.ImplicitIDs {
		d.id, d.hasID = b.IDs.Values[from], b.IDs.OK(from)
		if !d.hasID {
			d.Reject(MissingValue, "row %d: %s is null", d.first, d.f.Columns["episode_id"].Name)
		}
	}
}

// Reject keeps the first reason.
func (d *Draft) Reject(reason Reason, format string, args ...any) {
	if d.fault == nil {
		d.fault = &Reject{File: d.f.Path, Row: d.first, EpisodeID: d.id, Reason: reason, Detail: fmt.Sprintf(format, args...)}
	}
}

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
// that what was generated is one bridge, or all of a synthetic episode.
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
		}
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
	case generated && len(d.errors) > 0 && step != d.bridgeStart+len(d.errors):
		d.Reject(BadProvenance, "row %d: a second bridge", row)
	case generated:
		if len(d.errors) == 0 {
			d.bridgeStart = step
		}
		d.errors = append(d.errors, b.Qualification.Values[i])
	}
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

// Finish hands out the episode, and makes room for the next.
func (d *Draft) Finish() Item {
	location := trajectory.Location{Row: d.first, Rows: d.rows}
	bridge := d.f.Schema.Provenance && d.source != trajectory.Original
	if d.rows < 2 && !bridge {
		d.Reject(TooShort, "it has one step") // a bridge may be a single transition
	}
	d.checkFinite()
	d.rows = 0
	if d.fault != nil {
		return Item{Location: location, Reject: d.fault}
	}
	s := d.f.Schema
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
func (d *Draft) provenance() *trajectory.Provenance {
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
func (d *Draft) end() trajectory.End {
	_, dones := d.f.Columns["dones"]
	if d.terminal && !(dones && d.timeout) {
		return trajectory.Terminal
	}
	return trajectory.Timeout
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
	} {
		if d.fault != nil {
			return
		}
		if i := parquet.NotFinite(c.values); i >= 0 {
			d.Reject(NotFinite, "step %d: %s holds %v", i/c.width, c.name, c.values[i])
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
	if !SameBits(next[last:], observations[last:]) {
		final = slices.Clone(next[last:])
	}
	if !SameBits(next[:last], observations[width:]) {
		kept = slices.Clone(next)
	}
	return kept, final
}

// Final is the observation of the last row; nil where it repeats the one before,
// and so is unknown.
func (d *Draft) Final(b *Block, row int) []float32 {
	checkColumn(d, "observations", &b.Observations, b.First, row, row+1)
	final := b.Observations.Row(row)
	if i := parquet.NotFinite(final); i >= 0 {
		d.Reject(NotFinite, "final observation holds %v", final[i])
	}
	if SameBits(final, b.Observations.Row(row-1)) {
		return nil
	}
	return slices.Clone(final)
}

// SameBits is whether values are the same, bit for bit.
func SameBits(a, b []float32) bool {
	return bytes.Equal(arrow.Float32Traits.CastToBytes(a), arrow.Float32Traits.CastToBytes(b))
}
