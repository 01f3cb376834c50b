package refresh

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/input"
)

// Drift is how far new episodes are from what the models learned from.
type Drift struct {
	Episodes    int64 `json:"episodes"` // new ones
	Transitions int64 `json:"transitions"`
	// Distance of the new states' moments from the models': the 2-Wasserstein distance
	// between normal distributions of those moments, √((μ−μ′)² + (σ−σ′)²), in standard
	// deviations of the models' data, as the root mean square over the dimensions.
	Distance float64 `json:"distance"`
	// Error is f_ω's one-step error on the new transitions over that on held-out ones when it
	// was trained, both at the quantile errorQuantile; nil where the models have no f_ω.
	Error *float64 `json:"error_ratio,omitempty"`
}

// errorQuantile is high enough to see a part of the new transitions that f_ω has not seen
// the like of, and not so high that it says more of the few worst ones.
const errorQuantile = 0.9

// words are the figures for a reader.
func (d Drift) words() string {
	text := fmt.Sprintf("%d new episodes of %d transitions: distance %.3g", d.Episodes, d.Transitions, d.Distance)
	if d.Error != nil {
		text += fmt.Sprintf(", error ratio %.3g", *d.Error)
	}
	return text
}

// drifting measures episodes as they come.
type drifting struct {
	stats       training.Statistics
	constant    []bool    // [S]
	sum, square []float64 // [S], of the states in standard deviations from the mean
	states      float64
	drift       Drift

	rng    *rand.Rand
	sample transitions
}

// transitions are a sample of the new ones.
type transitions struct {
	states, actions, next []float32 // [n, S], [n, A], [n, S]
}

// sampled is how many new transitions f_ω's error is taken over, at most.
const sampled = 50_000

// measure reads the files of a dataset that are new, by their places in it, and says how
// far their episodes are from what the models of a folder learned from.
func measure(ctx context.Context, d input.Dataset, files []int, models session.Options, stats training.Statistics) (Drift, error) {
	n := &drifting{
		stats: stats, constant: make([]bool, d.Shape.ObservationDim),
		sum: make([]float64, d.Shape.ObservationDim), square: make([]float64, d.Shape.ObservationDim),
		rng: trajectory.Stream(0, 0, trajectory.StageSample),
	}
	for _, dim := range stats.Constant {
		n.constant[dim] = true
	}
	use := func(e *trajectory.Episode, _ trajectory.Meta) { n.take(e) }
	for _, file := range files {
		if err := datasetio.ScanFile(ctx, d.Input, int32(file), d.Shape, use, func(dataset.Reject) {}); err != nil {
			return n.drift, err
		}
	}
	if n.states == 0 {
		return n.drift, nil
	}
	n.drift.Distance = n.distance()
	if len(models.Kinds) == 0 || len(n.sample.states) == 0 {
		return n.drift, nil
	}
	ratio, err := n.errorRatio(models)
	n.drift.Error = &ratio
	return n.drift, err
}

// take counts an episode, and samples its transitions, each with the same chance (Vitter's
// algorithm R).
func (n *drifting) take(e *trajectory.Episode) {
	dim, actionDim := e.ObservationDim, e.ActionDim
	n.drift.Episodes++
	for i, v := range e.Observations {
		z := (float64(v) - float64(n.stats.ObservationMean[i%dim])) / float64(n.stats.ObservationScale[i%dim])
		n.sum[i%dim] += z
		n.square[i%dim] += z * z
	}
	n.states += float64(e.Len())
	for step := range e.Len() {
		next, known := e.KnownNext(step)
		n.drift.Transitions++
		if !known {
			continue
		}
		if s := &n.sample; len(s.next) < sampled*dim {
			s.states, s.actions, s.next = append(s.states, e.Observation(step)...), append(s.actions, e.Action(step)...), append(s.next, next...)
		} else if at := n.rng.Int64N(n.drift.Transitions); at < sampled {
			copy(s.states[int(at)*dim:], e.Observation(step))
			copy(s.actions[int(at)*actionDim:], e.Action(step))
			copy(s.next[int(at)*dim:], next)
		}
	}
}

// distance is Drift.Distance.
func (n *drifting) distance() float64 {
	total := 0.0
	for d := range n.sum {
		mean := n.sum[d] / n.states
		spread := math.Sqrt(max(0, n.square[d]/n.states-mean*mean))
		if !n.constant[d] {
			spread--
		}
		total += mean*mean + spread*spread
	}
	return math.Sqrt(total / float64(len(n.sum)))
}

// least keeps a ratio finite where f_ω was never wrong.
const least = 1e-9

// errorRatio is Drift.Error.
func (n *drifting) errorRatio(models session.Options) (float64, error) {
	on, err := session.Shared(models)
	if err != nil {
		return 0, err
	}
	predicted, _, err := on.Dynamics(n.sample.states, n.sample.actions)
	if err != nil {
		return 0, err
	}
	for i := range predicted {
		predicted[i] = (predicted[i] - n.sample.next[i]) / n.stats.ObservationScale[i%len(n.sum)]
	}
	errors := training.Distances(predicted, make([]float32, len(predicted)), len(n.sum))
	slices.Sort(errors)
	now := float64(errors[int(errorQuantile*float64(len(errors)-1))])
	return now / max(least, on.Info().DynamicsError.QuantileNormalized(errorQuantile)), nil
}
