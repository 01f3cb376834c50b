// Package truth judges a D* by a simulator: it replays every generated transition,
// and says how far the state that it claims lies from the one that the simulator
// reaches, and what the qualification error tells of that.
package truth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/env"
	"diffstitch/pipelines/evaluate/environment"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"

	"gonum.org/v1/gonum/stat"
)

// Options configure the judgement of a D* by a simulator.
type Options struct {
	Data   input.Data
	Env    string
	Python string // interpreter that runs Gymnasium, "" for the usual one
	// Dimensions are those of the observation that errors are taken over; all
	// where there are none.
	Dimensions []int
	Seed       uint64 // of the sample of real transitions, and of their shuffling
}

// Truth is what a simulator says of a D*. Errors are distances of the observation
// that a transition claims to lead to from the one that the simulator reaches, in
// the units of the observations.
type Truth struct {
	Env        env.Spec `json:"env"`
	Dimensions []int    `json:"dimensions,omitempty"`
	// Real transitions, a sample of the original ones, and the same ones with the
	// actions of others are the two ends of the scale.
	Real     TrueErrors `json:"real"`
	Shuffled TrueErrors `json:"shuffled"`
	// Bound is the error below which a transition counts as true: that of one in
	// twenty shuffled ones.
	Bound float64 `json:"bound"`
	// Generated are the generated transitions by their source.
	Generated map[string]TrueErrors `json:"generated"`
	// Transitions and Episodes compare the errors with the qualification errors,
	// of single transitions and of the worst one of an episode; nil where the data
	// has none.
	Transitions *Filter `json:"transitions,omitempty"`
	Episodes    *Filter `json:"episodes,omitempty"`

	drawn *report.Truth
}

// TrueErrors are those of many transitions.
type TrueErrors struct {
	Rows int64 `json:"rows"`
	// Unset are those among them that could not be replayed: no state follows from
	// their observation.
	Unset  int64   `json:"unset"`
	Median float64 `json:"median"`
	Q90    float64 `json:"q90"`
	Q99    float64 `json:"q99"`
	Max    float64 `json:"max"`
	// True is the share whose error is below the bound.
	True float64 `json:"true"`
}

// Filter is what the qualification error tells of the true error.
type Filter struct {
	Count    int64   `json:"count"`
	Spearman float64 `json:"spearman"`
	Levels   []Level `json:"levels"`
}

// Level is a δ and what it keeps.
type Level struct {
	Share float64 `json:"share"` // kept
	Delta float64 `json:"delta"` // the largest qualification error among those kept
	// Precision is the share of those kept whose true error is below the bound.
	Precision float64 `json:"precision"`
	Median    float64 `json:"median"` // true error of those kept
}

// levels are the shares that are kept.
var levels = []float64{0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1}

// boundQuantile of the shuffled transitions' errors is the bound.
const boundQuantile = 0.05

// realSample is how many original transitions make the scale.
const realSample = 10_000

// Judge replays every generated transition of a D* in a simulator.
func Judge(ctx context.Context, o Options, progress func(observe.Progress)) (t Truth, err error) {
	data, err := o.Data.Open()
	if err != nil {
		return t, err
	}
	sim, err := environment.OpenSimulator(ctx, o.Python, o.Env)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, sim.Close()) }()
	if err := environment.Fits("the data has", data.Shape, sim.Spec()); err != nil {
		return t, err
	}
	j := &judge{
		options: o, sim: sim, progress: observe.NewTeller("truth", progress),
		rng: trajectory.Stream(o.Seed, 0, trajectory.StageTruth), generated: map[string]*judged{},
	}
	if j.dimensions, err = o.dimensions(data.Shape.ObservationDim); err != nil {
		return t, err
	}
	_, err = data.Each(ctx, func(e *trajectory.Episode) error { return errors.Join(j.take(e), ctx.Err()) })
	if err != nil {
		return t, err
	}
	return j.finish()
}

// dimensions are those that errors are taken over, of S.
func (o Options) dimensions(S int) ([]int, error) {
	for _, d := range o.Dimensions {
		if d < 0 || d >= S {
			return nil, fmt.Errorf("%w: dimension %d of observations of %d values, which are counted from 0", failure.ErrUsage, d, S)
		}
	}
	if len(o.Dimensions) > 0 {
		return o.Dimensions, nil
	}
	all := make([]int, S)
	for i := range all {
		all[i] = i
	}
	return all, nil
}

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
type worst struct{ qualification, truth float64 }

// replayRows is how many transitions are replayed at once.
const replayRows = 1 << 12

// take keeps the generated transitions of an episode, or samples its real ones.
func (j *judge) take(e *trajectory.Episode) error {
	p := e.Provenance
	if p == nil {
		j.sample(e)
		return nil
	}
	from, to := p.Generated(e.Len())
	j.episodes = append(j.episodes, worst{math.Inf(-1), math.Inf(-1)})
	for step := from; step < to; step++ {
		if !j.pending.add(e, step) {
			continue
		}
		qualification := math.NaN()
		if len(p.Errors) > 0 {
			qualification = float64(p.Errors[step-from])
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
		t.Generated[source] = of.summary(t.Bound)
		for i, truth := range of.truth {
			transitions = append(transitions, worst{of.qualification[i], truth})
		}
	}
	t.Transitions, t.Episodes = filter(transitions, t.Bound), filter(j.episodes, t.Bound)
	t.drawn = j.draw(whole, shuffled)
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

func (to *judged) summary(bound float64) TrueErrors {
	s := TrueErrors{Rows: to.rows, Unset: to.unset}
	if len(to.truth) > 0 {
		sorted := slices.Sorted(slices.Values(to.truth))
		at := func(p float64) float64 { return stat.Quantile(p, stat.LinInterp, sorted, nil) }
		s.Median, s.Q90, s.Q99, s.Max = at(0.5), at(0.9), at(0.99), sorted[len(sorted)-1]
		s.True = below(to.truth, bound)
	}
	return s
}

func below(values []float64, bound float64) float64 {
	n := 0
	for _, v := range values {
		if v < bound {
			n++
		}
	}
	return float64(n) / float64(len(values))
}

// quantileOf values in any order, 0 of none.
func quantileOf(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return stat.Quantile(p, stat.LinInterp, slices.Sorted(slices.Values(values)), nil)
}

// filter compares the two errors, of those that have both.
func filter(all []worst, bound float64) *Filter {
	all = slices.DeleteFunc(slices.Clone(all), func(w worst) bool {
		return math.IsNaN(w.qualification) || math.IsInf(w.qualification, 0) || math.IsInf(w.truth, 0)
	})
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b worst) int {
		return cmp.Or(cmp.Compare(a.qualification, b.qualification), cmp.Compare(a.truth, b.truth))
	})
	qualification, truth := make([]float64, len(all)), make([]float64, len(all))
	for i, w := range all {
		qualification[i], truth[i] = w.qualification, w.truth
	}
	f := &Filter{Count: int64(len(all)), Spearman: report.Spearman(qualification, truth)}
	for _, share := range levels {
		n := max(1, int(math.Round(share*float64(len(all)))))
		f.Levels = append(f.Levels, Level{
			Share: share, Delta: qualification[n-1], Precision: below(truth[:n], bound), Median: quantileOf(truth[:n], 0.5),
		})
	}
	return f
}
