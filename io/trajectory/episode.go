// Package trajectory holds episodes in memory, and the small records (metadata,
// locations, pairs, stitches) that pipelines shuffle in their place.
//
// Arrays are flat float32 slices, row-major: T steps of S observation and A
// action values. An episode with T steps has T transitions; the observation
// after the last one is known only where the data holds it.
package trajectory

import (
	"fmt"
	"math"
	"slices"
)

// End says how an episode ended.
type End uint8

const (
	// Timeout is an end by a time limit, or where the data says nothing more.
	Timeout End = iota
	// Terminal is an end in a terminal state, after which there is no return.
	Terminal
)

func (e End) String() string {
	if e == Terminal {
		return "terminal"
	}
	return "timeout"
}

// Sources of an episode, as the `source` column spells them.
const (
	Original = "original"
	Stitched = "stitched"
	SynthER  = "synther"
	TATU     = "tatu"
)

// Synthetic is whether a source's episodes are generated whole, from no two
// episodes of the data.
func Synthetic(source string) bool { return source == SynthER || source == TATU }

// Paired is whether a source's episodes are made of two episodes of the data.
func Paired(source string) bool { return source != Original && !Synthetic(source) }

// Episode is one trajectory of T transitions.
type Episode struct {
	ID int64
	// OriginalID is the id that the data has for an original episode, where that is
	// text; "" where it is not.
	OriginalID     string
	ObservationDim int       // S
	ActionDim      int       // A
	Observations   []float32 // [T, S]
	Actions        []float32 // [T, A]
	Rewards        []float32 // [T]

	// NextObservations is [T, S] where the data's own next observations differ
	// from the observations one step later, and nil where they agree.
	NextObservations []float32
	// FinalObservation is [S], the observation after the last step, nil where
	// the data does not hold it.
	FinalObservation []float32

	End End
	// Provenance is nil for an original episode.
	Provenance *Provenance
}

// Provenance says what a generated episode was made from.
type Provenance struct {
	Source string // "stitched", …
	// Of a stitch: the episode τ that it begins in, and τ′, which it ends in. 0 of a
	// synthetic episode.
	LowID  int64
	HighID int64
	// Bridges are the rows of a stitch that were generated, in order; real ones lie
	// between any two. None of a synthetic episode.
	Bridges []Range
	// Origins are where the real rows of a stitch come from: those before the first
	// bridge, between two, and after the last. nil where that is not known.
	Origins []Origin
	// Errors is the qualification error ‖f_ω(s,a) − s′‖₂ of each generated row, in
	// the units of the observations; nil of a synthetic episode whose method has
	// none.
	Errors []float32
	// Residuals are those of Bridge, a value for each of the Errors; nil where the
	// generated rows were not refined.
	Residuals []float32
}

// Range is the rows [From, To).
type Range struct{ From, To int }

// Len is the number of rows.
func (s Range) Len() int { return s.To - s.From }

// Origin is an original episode, and the step of it that is the first of a stretch.
type Origin struct {
	EpisodeID int64
	Step      int
}

// Generated are the rows of an episode of so many steps whose action and reward
// were inferred: the bridges of a stitch, all of a synthetic episode.
func (p *Provenance) Generated(steps int) []Range {
	if Synthetic(p.Source) {
		return []Range{{0, steps}}
	}
	return p.Bridges
}

// GeneratedRows is how many rows Generated has.
func (p *Provenance) GeneratedRows(steps int) (rows int) {
	for _, s := range p.Generated(steps) {
		rows += s.Len()
	}
	return rows
}

// validate reports what contradicts itself in an episode of so many steps.
func (p *Provenance) validate(steps int) error {
	if p.Source == "" || p.Source == Original {
		return fmt.Errorf("provenance of source %q", p.Source)
	}
	if Synthetic(p.Source) {
		if len(p.Bridges) > 0 || len(p.Errors) != 0 && len(p.Errors) != steps {
			return fmt.Errorf("provenance %q with %d bridges and %d errors, of %d steps that all are generated", p.Source, len(p.Bridges), len(p.Errors), steps)
		}
		return nil
	}
	for i, b := range p.Bridges {
		if b.From < 0 || b.From >= b.To || b.To > steps || i > 0 && b.From <= p.Bridges[i-1].To {
			return fmt.Errorf("provenance %q with bridges at %v of %d steps", p.Source, p.Bridges, steps)
		}
	}
	if rows := p.GeneratedRows(steps); rows != len(p.Errors) {
		return fmt.Errorf("provenance %q with %d errors of %d generated steps", p.Source, len(p.Errors), rows)
	}
	if p.Origins != nil && len(p.Origins) != len(p.Bridges)+1 {
		return fmt.Errorf("provenance %q of %d origins around %d bridges", p.Source, len(p.Origins), len(p.Bridges))
	}
	if len(p.Residuals) != 0 && len(p.Residuals) != len(p.Errors) {
		return fmt.Errorf("provenance %q with %d residuals and %d errors", p.Source, len(p.Residuals), len(p.Errors))
	}
	return nil
}

// FromStates is an episode of at least one step, that ended by a timeout, with
// its states before each step and after the last, [T+1, S].
func FromStates(id int64, states, actions, rewards []float32) *Episode {
	steps := len(rewards)
	observationDim := len(states) / (steps + 1)
	last := steps * observationDim
	return &Episode{
		ID: id, ObservationDim: observationDim, ActionDim: len(actions) / steps,
		Observations: states[:last:last], Actions: actions, Rewards: rewards,
		FinalObservation: states[last:],
	}
}

// Source is where the episode comes from.
func (e *Episode) Source() string {
	if e.Provenance == nil {
		return Original
	}
	return e.Provenance.Source
}

// Len is the number of transitions, T.
func (e *Episode) Len() int { return len(e.Rewards) }

// Observation is the state before step, [S].
func (e *Episode) Observation(step int) []float32 {
	return e.Observations[step*e.ObservationDim : (step+1)*e.ObservationDim]
}

// Action is the action taken at step, [A].
func (e *Episode) Action(step int) []float32 {
	return e.Actions[step*e.ActionDim : (step+1)*e.ActionDim]
}

// NextObservation is the state after step, [S], and whether it is known.
func (e *Episode) NextObservation(step int) ([]float32, bool) {
	switch {
	case e.NextObservations != nil:
		return e.NextObservations[step*e.ObservationDim : (step+1)*e.ObservationDim], true
	case step+1 < e.Len():
		return e.Observation(step + 1), true
	default:
		return e.FinalObservation, e.FinalObservation != nil
	}
}

// KnownNext is NextObservation, which takes one that is the same as that before the
// last step for unknown: D* repeats it where the data that it was made from does not
// hold the next.
func (e *Episode) KnownNext(step int) ([]float32, bool) {
	next, known := e.NextObservation(step)
	return next, known && (step < e.Len()-1 || !slices.Equal(next, e.Observation(step)))
}

// Return is the sum of rewards.
func (e *Episode) Return() float64 {
	sum := 0.0
	for _, r := range e.Rewards {
		sum += float64(r)
	}
	return sum
}

// Validate reports the first thing that makes the episode unusable: arrays that
// do not fit each other, or a value that is not finite.
func (e *Episode) Validate() error {
	steps := e.Len()
	switch {
	case steps == 0:
		return fmt.Errorf("episode %d has no steps", e.ID)
	case len(e.Observations) != steps*e.ObservationDim:
		return fmt.Errorf("episode %d has %d observation values, want %d steps of %d", e.ID, len(e.Observations), steps, e.ObservationDim)
	case len(e.Actions) != steps*e.ActionDim:
		return fmt.Errorf("episode %d has %d action values, want %d steps of %d", e.ID, len(e.Actions), steps, e.ActionDim)
	case e.NextObservations != nil && len(e.NextObservations) != len(e.Observations):
		return fmt.Errorf("episode %d has %d next-observation values, want %d", e.ID, len(e.NextObservations), len(e.Observations))
	case e.FinalObservation != nil && len(e.FinalObservation) != e.ObservationDim:
		return fmt.Errorf("episode %d has a final observation of %d values, want %d", e.ID, len(e.FinalObservation), e.ObservationDim)
	}
	if e.Provenance != nil {
		if err := e.Provenance.validate(steps); err != nil {
			return fmt.Errorf("episode %d: %w", e.ID, err)
		}
	}
	columns := []struct {
		name   string
		values []float32
		width  int
	}{
		{"observations", e.Observations, e.ObservationDim},
		{"actions", e.Actions, e.ActionDim},
		{"rewards", e.Rewards, 1},
		{"next_observations", e.NextObservations, e.ObservationDim},
		{"final observation", e.FinalObservation, e.ObservationDim},
	}
	for _, c := range columns {
		if i := slices.IndexFunc(c.values, notFinite); i >= 0 {
			return fmt.Errorf("episode %d step %d: %s holds %v", e.ID, i/c.width, c.name, c.values[i])
		}
	}
	return nil
}

func notFinite(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }
