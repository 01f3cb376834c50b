package trajectory

import (
	"fmt"
	"slices"
)

// Entry is one episode of D*, by reference: an original one, or a stitch; or some
// synthetic ones, whose ids are as far apart as their indices in the plan.
type Entry struct {
	ID    int64 // in D*, of the first
	Group int32 // row group within the part
	// IsStitch says which of Original and Stitch is meant.
	IsStitch bool
	Original Meta
	Stitch   Outcome
	// Repeat is how many times the stitch comes before, to hold a ratio.
	Repeat int32
}

// Part lists the episodes of one output file, in order.
type Part struct {
	Index   int64
	Entries []Entry
}

// PartInfo is what came of a Part.
type PartInfo struct {
	Index              int64
	File               string // name within the data folder
	Rows               int64
	Episodes, Stitched int64 // of the latter: those of D_aug
	StitchedRows       int64 // of theirs, bridges included
	BridgeRows         int64 // generated ones
	// Repeated are the episodes of D_aug that repeat others, and RepeatedRows theirs.
	Repeated, RepeatedRows int64
	// UnknownFinals counts the episodes whose last next observation the data
	// does not hold, so that the row repeats its observation.
	UnknownFinals int64
}

// Episode is the bridge as an episode of its own, all of its rows generated.
func (b Bridge) Episode(stateDim, actionDim int) *Episode {
	known := len(b.States) - stateDim
	return &Episode{
		ID:               b.Pair.Index,
		ObservationDim:   stateDim,
		ActionDim:        actionDim,
		Observations:     b.States[:known],
		FinalObservation: b.States[known:],
		Actions:          b.Actions,
		Rewards:          b.Rewards,
		Provenance: &Provenance{
			Source: Stitched,
			LowID:  b.Pair.Low.Episode.ID,
			HighID: b.Pair.High.Episode.ID,
			Errors: b.Errors, Residuals: b.Residuals,
		},
	}
}

// Join makes the stitched episode τ + bridge + τ′: the transitions of low before
// step from, those of the bridge, and those of high from step to on. Its states
// meet: the bridge begins in low's state from and ends in high's state to.
func Join(id int64, low *Episode, from int, bridge, high *Episode, to int) (*Episode, error) {
	s, a := low.ObservationDim, low.ActionDim
	if !slices.Equal(bridge.Observation(0), low.Observation(from)) || !slices.Equal(bridge.FinalObservation, high.Observation(to)) {
		return nil, fmt.Errorf("trajectory: the bridge from step %d of episode %d to step %d of episode %d does not meet their states", from, low.ID, to, high.ID)
	}
	provenance := *bridge.Provenance
	provenance.BridgeStart = from
	joined := &Episode{
		ID:               id,
		ObservationDim:   s,
		ActionDim:        a,
		Observations:     slices.Concat(low.Observations[:from*s], bridge.Observations, high.Observations[to*s:]),
		Actions:          slices.Concat(low.Actions[:from*a], bridge.Actions, high.Actions[to*a:]),
		Rewards:          slices.Concat(low.Rewards[:from], bridge.Rewards, high.Rewards[to:]),
		FinalObservation: high.FinalObservation,
		End:              high.End,
		Provenance:       &provenance,
	}
	if low.NextObservations != nil || high.NextObservations != nil {
		joined.NextObservations = slices.Concat(
			nextObservations(low)[:from*s], nextObservations(bridge), nextObservations(high)[to*s:])
	}
	return joined, nil
}

// nextObservations spells out the next observation of every step, [T, S]; an
// unknown last one repeats the last observation.
func nextObservations(e *Episode) []float32 {
	if e.NextObservations != nil {
		return e.NextObservations
	}
	final, known := e.NextObservation(e.Len() - 1)
	if !known {
		final = e.Observation(e.Len() - 1)
	}
	return slices.Concat(e.Observations[e.ObservationDim:], final)
}
