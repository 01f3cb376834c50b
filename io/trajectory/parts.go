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
	Bytes              int64
	SHA256             string // of the file, in hexadecimal
	Episodes, Stitched int64  // of the latter: those of D_aug
	StitchedRows       int64  // of theirs, bridges included
	BridgeRows         int64  // generated ones
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
			Source:  Stitched,
			LowID:   b.Pair.Low.Episode.ID,
			HighID:  b.Pair.High.Episode.ID,
			Bridges: []Range{{0, b.Pair.BridgeRows()}},
			Errors:  b.Errors, Residuals: b.Residuals,
		},
	}
}

// Stretch is the steps [From, To) of an episode.
type Stretch struct {
	Episode  *Episode
	From, To int
}

// Join makes the stitched episode of the stretches with a bridge between each and the
// next: τ + bridge + τ′ of two. Its states meet: a bridge begins in the state in which
// the stretch before it ends, and ends in the one in which that after it begins.
func Join(id int64, stretches []Stretch, bridges []*Episode) (*Episode, error) {
	joined := &Episode{ID: id, ObservationDim: bridges[0].ObservationDim, ActionDim: bridges[0].ActionDim, Provenance: &Provenance{}}
	p := joined.Provenance
	*p = Provenance{Source: bridges[0].Provenance.Source, LowID: stretches[0].Episode.ID, HighID: stretches[len(bridges)].Episode.ID}
	var next []float32
	for i, stretch := range stretches {
		joined.append(stretch.Episode, stretch.From, stretch.To)
		next = append(next, stretch.next()...)
		p.Origins = append(p.Origins, Origin{stretch.Episode.ID, stretch.From})
		if i == len(bridges) {
			break
		}
		bridge, to := bridges[i], stretches[i+1]
		if !slices.Equal(bridge.Observation(0), stretch.Episode.Observation(stretch.To)) || !slices.Equal(bridge.FinalObservation, to.Episode.Observation(to.From)) {
			return nil, fmt.Errorf("trajectory: the bridge from step %d of episode %d to step %d of episode %d does not meet their states", stretch.To, stretch.Episode.ID, to.From, to.Episode.ID)
		}
		p.Bridges = append(p.Bridges, Range{joined.Len(), joined.Len() + bridge.Len()})
		p.Errors = append(p.Errors, bridge.Provenance.Errors...)
		p.Residuals = append(p.Residuals, bridge.Provenance.Residuals...)
		joined.append(bridge, 0, bridge.Len())
		next = append(next, nextObservations(bridge)...)
	}
	last := stretches[len(bridges)].Episode
	joined.FinalObservation, joined.End = last.FinalObservation, last.End
	if slices.ContainsFunc(stretches, func(s Stretch) bool { return s.Episode.NextObservations != nil }) {
		joined.NextObservations = next
	}
	return joined, nil
}

// append adds the steps [from, to) of another episode.
func (e *Episode) append(o *Episode, from, to int) {
	e.Observations = append(e.Observations, o.Observations[from*o.ObservationDim:to*o.ObservationDim]...)
	e.Actions = append(e.Actions, o.Actions[from*o.ActionDim:to*o.ActionDim]...)
	e.Rewards = append(e.Rewards, o.Rewards[from:to]...)
}

// next are the next observations of the stretch's steps.
func (s Stretch) next() []float32 {
	dim := s.Episode.ObservationDim
	return nextObservations(s.Episode)[s.From*dim : s.To*dim]
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
