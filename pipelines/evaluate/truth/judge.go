package truth

import (
	"fmt"
	"math"
	"math/rand/v2"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/env"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/observe"
)

// realSample is how many original transitions make the scale.
const realSample = 10_000

// judge gathers what is to be replayed, and what came of it.
type judge struct {
	options    Options
	sim        env.Simulator
	dimensions []int
	progress   *observe.Teller

	rng       *rand.Rand
	pending   replay
	real      replay // a sample
	seen      int64  // original transitions
	replayed  int64
	generated map[string]*judged
	episodes  []worst
}

// replay is transitions, m of them.
type replay struct {
	observations, next []float32 // [m, S]
	actions            []float32 // [m, A]
	// Of generated ones: where they belong, and their qualification error, NaN
	// where there is none.
	sources       []string
	episodes      []int // in judge.episodes
	qualification []float64
}

// judged is the errors of a source's transitions, those that could be replayed.
type judged struct {
	rows, unset          int64
	truth, qualification []float64
}

// worst is the largest errors of an episode's transitions.
type worst struct {
	source               string
	qualification, truth float64
}

// replayRows is how many transitions are replayed at once.
const replayRows = 1 << 12

// take keeps the generated transitions of an episode, or samples its real ones.
func (j *judge) take(e *trajectory.Episode) error {
	p := e.Provenance
	if p == nil {
		j.sample(e)
		return nil
	}
	j.episodes = append(j.episodes, worst{p.Source, math.Inf(-1), math.Inf(-1)})
	for i, step := range generatedSteps(e) {
		if !j.pending.add(e, step) {
			continue
		}
		qualification := math.NaN()
		if len(p.Errors) > 0 {
			qualification = float64(p.Errors[i])
		}
		j.pending.sources = append(j.pending.sources, p.Source)
		j.pending.episodes = append(j.pending.episodes, len(j.episodes)-1)
		j.pending.qualification = append(j.pending.qualification, qualification)
	}
	if len(j.pending.sources) < replayRows {
		return nil
	}
	return j.flush()
}

// generatedSteps are the steps of a generated episode whose transitions were generated, in
// the order of its errors.
func generatedSteps(e *trajectory.Episode) (steps []int) {
	for _, rows := range e.Provenance.Generated(e.Len()) {
		for step := rows.From; step < rows.To; step++ {
			steps = append(steps, step)
		}
	}
	return steps
}

// add takes a transition whose next observation is known.
func (r *replay) add(e *trajectory.Episode, step int) bool {
	next, known := e.NextObservation(step)
	if known {
		r.observations = append(r.observations, e.Observation(step)...)
		r.actions = append(r.actions, e.Action(step)...)
		r.next = append(r.next, next...)
	}
	return known
}

// sample keeps each original transition with the same chance (Vitter's
// algorithm R).
func (j *judge) sample(e *trajectory.Episode) {
	S, A := e.ObservationDim, e.ActionDim
	for step := range e.Len() {
		next, known := e.KnownNext(step)
		if !known {
			continue
		}
		j.seen++
		if j.seen <= realSample {
			j.real.add(e, step)
			continue
		}
		at := j.rng.Int64N(j.seen)
		if at < realSample {
			copy(j.real.observations[int(at)*S:], e.Observation(step))
			copy(j.real.actions[int(at)*A:], e.Action(step))
			copy(j.real.next[int(at)*S:], next)
		}
	}
}

// flush replays what is pending.
func (j *judge) flush() error {
	p := j.pending
	found, err := j.errors(p.observations, p.actions, p.next)
	if err != nil {
		return err
	}
	for i, truth := range found {
		to := j.generated[p.sources[i]]
		if to == nil {
			to = &judged{}
			j.generated[p.sources[i]] = to
		}
		to.add(truth, p.qualification[i])
		if !math.IsNaN(truth) {
			w := &j.episodes[p.episodes[i]]
			w.truth, w.qualification = max(w.truth, truth), max(w.qualification, p.qualification[i]) // NaN stays
		}
	}
	j.replayed += int64(len(found))
	j.pending = replay{}
	j.progress.Tell(observe.Progress{Task: "replaying", Done: j.replayed, Unit: "transitions"})
	return nil
}

// errors are the distances of the claimed next observations from the true ones,
// NaN where the state cannot be set.
//
//	observations, next: [m, S]
//	actions:            [m, A]
//	result:             [m]
func (j *judge) errors(observations, actions, next []float32) ([]float64, error) {
	truth, rewards, err := j.sim.StepFrom(observations, actions)
	if err != nil {
		return nil, err
	}
	S := j.sim.Spec().ObservationDim
	found := make([]float64, len(rewards))
	for i := range found {
		sum := 0.0
		for _, d := range j.dimensions {
			off := float64(truth[i*S+d]) - float64(next[i*S+d])
			sum += off * off
		}
		found[i] = math.Sqrt(sum)
	}
	return found, nil
}

func (to *judged) add(truth, qualification float64) {
	to.rows++
	if math.IsNaN(truth) {
		to.unset++
		return
	}
	to.truth = append(to.truth, truth)
	to.qualification = append(to.qualification, qualification)
}

// finish makes the scale, and puts what was generated on it.
func (j *judge) finish() (t Truth, err error) {
	if len(j.pending.sources) > 0 {
		if err := j.flush(); err != nil {
			return t, err
		}
	}
	switch {
	case len(j.generated) == 0:
		return t, fmt.Errorf("%w: %q holds no generated transitions to judge: it is no D*, or nothing was accepted", failure.ErrData, j.options.Data.Path)
	case len(j.real.actions) == 0:
		return t, fmt.Errorf("%w: %q holds no original transitions, which make the scale", failure.ErrData, j.options.Data.Path)
	}
	whole, shuffled, err := j.scale()
	if err != nil {
		return t, err
	}
	t = Truth{Env: j.sim.Spec(), Dimensions: j.options.Dimensions, Generated: map[string]TrueErrors{}}
	t.Bound = quantileOf(shuffled.truth, boundQuantile)
	t.Real, t.Shuffled = whole.summary(t.Bound), shuffled.summary(t.Bound)
	var transitions []worst
	for source, of := range j.generated {
		summary := of.summary(t.Bound)
		summary.Episodes = wholly(j.episodes, source, t.Bound)
		t.Generated[source] = summary
		for i, truth := range of.truth {
			transitions = append(transitions, worst{source, of.qualification[i], truth})
		}
	}
	t.Transitions, t.Episodes = filter(transitions, t.Bound), filter(j.episodes, t.Bound)
	t.drawn = j.draw(t, whole, shuffled)
	return t, nil
}

// scale replays the sample of real transitions, once as they are and once each
// with the action of another.
func (j *judge) scale() (whole, shuffled *judged, err error) {
	A := j.sim.Spec().ActionDim
	m := len(j.real.actions) / A
	order := j.rng.Perm(m)
	others := make([]float32, m*A)
	for i, from := range order { // each gets the action of the next one in the order
		to := order[(i+1)%m]
		copy(others[to*A:(to+1)*A], j.real.actions[from*A:])
	}
	whole, shuffled = &judged{}, &judged{}
	for to, actions := range map[*judged][]float32{whole: j.real.actions, shuffled: others} {
		found, err := j.errors(j.real.observations, actions, j.real.next)
		if err != nil {
			return nil, nil, err
		}
		for _, truth := range found {
			to.add(truth, math.NaN())
		}
	}
	return whole, shuffled, nil
}
