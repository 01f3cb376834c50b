package layout

import (
	"bytes"
	"fmt"
	"slices"

	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
)

// Draft is the episode being assembled. Its buffers are used again for the next.
type Draft struct {
	f     *File
	first int64 // row in the file
	rows  int64
	id    int64
	hasID bool
	// originalID is the id that is text, where there is one.
	originalID string
	fault      *Reject

	observations, actions, rewards, next []float32
	terminal, timeout                    bool // flags of the last row

	source        string
	lowID, highID int64
	bridges       []trajectory.Range
	errors        []float32
	// Where the real rows come from: whether that is said, of each stretch's first, and
	// of the latest.
	taken     bool
	origins   []trajectory.Origin
	from      trajectory.Origin
	residuals []float32
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
		return !b.Ends(i-1) && (b.Steps.Width == 0 || b.Steps.Values[i] != 0)
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
		bridges:      d.bridges[:0],
		errors:       d.errors[:0],
		origins:      d.origins[:0],
		residuals:    d.residuals[:0],
	}
	d.id, d.hasID = d.first, true
	if !d.f.Schema.ImplicitIDs {
		d.id, d.hasID = b.IDs.Values[from], b.IDs.OK(from)
	}
	if b.OriginalIDs.Width > 0 && b.OriginalIDs.OK(from) {
		d.originalID = b.OriginalIDs.Values[from]
	}
	if !d.hasID {
		d.Reject(MissingValue, "row %d: %s is null", d.first, d.f.Columns["episode_id"].Name)
	}
}

// Reject keeps the first reason.
func (d *Draft) Reject(reason Reason, format string, args ...any) {
	if d.fault == nil {
		d.fault = &Reject{File: d.f.Path, Row: d.first, EpisodeID: d.id, OriginalID: d.originalID, Reason: reason, Detail: fmt.Sprintf(format, args...)}
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
		OriginalID:     d.originalID,
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
	p := &trajectory.Provenance{Source: d.source, Bridges: copied(d.bridges)}
	if len(d.origins) == len(d.bridges)+1 {
		p.Origins = copied(d.origins)
	}
	if !trajectory.Synthetic(d.source) { // else the ids are null, whatever stands for that
		p.LowID, p.HighID = d.lowID, d.highID
	}
	p.Errors, p.Residuals = copied(d.errors), copied(d.residuals)
	return p
}

// copied is a copy of values; nil where there are none.
func copied[V any](values []V) []V {
	if len(values) == 0 {
		return nil
	}
	return slices.Clone(values)
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
