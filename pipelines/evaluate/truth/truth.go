// Package truth judges a D* by a simulator: it replays every generated transition,
// and says how far the state that it claims lies from the one that the simulator
// reaches, and what the qualification error tells of that.
package truth

import (
	"context"
	"errors"
	"fmt"

	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/env"
	"diffstitch/pipelines/evaluate/environment"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
)

// Options configure the judgement of a D* by a simulator.
type Options struct {
	Data       input.Data
	Env        string
	EnvOptions env.Options
	Python     string // interpreter that runs Gymnasium, "" for the usual one
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
	// Episodes are those that were generated, wholly or in part; nil of real
	// transitions, which are a sample.
	Episodes *Episodes `json:"episodes,omitempty"`
}

// Episodes are judged by all their generated transitions that could be replayed.
type Episodes struct {
	Count int64 `json:"count"` // those without such a transition left out
	// True is the share of them every one of whose errors is below the bound, and Worst
	// the median of their largest errors.
	True  float64 `json:"true"`
	Worst float64 `json:"worst"`
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

// Judge replays every generated transition of a D* in a simulator.
func Judge(ctx context.Context, o Options, progress func(observe.Progress)) (t Truth, err error) {
	data, err := o.Data.Open()
	if err != nil {
		return t, err
	}
	sim, err := environment.OpenSimulator(ctx, o.Python, o.Env, o.EnvOptions)
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
