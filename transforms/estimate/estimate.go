// Package estimate finds how many steps apart the two ends of a stitch are
// (DiffStitch, section 4.1, step estimation): it imagines the states that follow
// s_T and takes the step at which they are most similar to s′_1.
package estimate

import (
	"context"
	"fmt"
	"math"
	"slices"

	"diffstitch/io/attempt"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/transforms/inference"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

var (
	pairsIn = beam.NewCounter("estimate", "pairs")
	latency = beam.NewDistribution("estimate", "batch_milliseconds")
)

func init() {
	beam.RegisterDoFn(&stepsFn{})
	beam.RegisterDoFn(&imagineFn{})
	register.Emitter1[trajectory.PairBatch]()
	register.Emitter1[trajectory.Imagined]()
}

// Config of the estimation.
type Config struct {
	Similarity Similarity `json:"similarity"`
	// MinSteps and MaxSteps bound Δ; MaxSteps 0 leaves the horizon's own bound,
	// H−2.
	MinSteps int `json:"min_steps,omitempty"`
	MaxSteps int `json:"max_steps,omitempty"`
	// Constant, if positive, is Δ for every pair: the paper's ablation without
	// step estimation.
	Constant int `json:"constant,omitempty"`
	// Argmax takes the step i* of the greatest similarity for Δ, as section 4.1 is
	// written: at least one state lies between the ends, and s′_1 stands one step later
	// than it was imagined. Otherwise Δ is i*−1, s′_1 stands where it was imagined, and Δ
	// can be 0.
	Argmax bool `json:"argmax,omitempty"`
	// Threshold, if not 0, has s′_1 drawn at random from the candidates that are at least
	// this similar to an imagined state, as in the authors' code, in place of the most
	// similar one. Where none is, the most similar one is taken; the authors give up.
	Threshold float64 `json:"threshold,omitempty"`
}

// Validate reports settings that contradict each other.
func (c Config) Validate() error {
	if err := c.Similarity.Validate(); err != nil {
		return err
	}
	switch {
	case c.MinSteps < 0 || c.MaxSteps < 0 || c.Constant < 0:
		return fmt.Errorf("estimate: a number of steps must not be negative")
	case c.MaxSteps > 0 && c.MinSteps > c.MaxSteps:
		return fmt.Errorf("estimate: at least %d and at most %d steps leave none", c.MinSteps, c.MaxSteps)
	case math.IsNaN(c.Threshold) || math.IsInf(c.Threshold, 0):
		return fmt.Errorf("estimate: a similarity of %v is no threshold", c.Threshold)
	case c.Constant > 0 && (c.MinSteps > 0 || c.MaxSteps > 0):
		return fmt.Errorf("estimate: a constant number of steps leaves no window of steps to choose from")
	}
	return nil
}

// Bounds are the first and last step of a rollout of H states that s′_1 may be matched
// with: where it stands then, Δ+1, or Δ with Argmax, for Δ from least to most.
func (c Config) Bounds(horizon int) (first, last int, err error) {
	most := horizon - 2
	first, last = c.step(c.MinSteps), c.step(most)
	if c.MaxSteps > 0 {
		last = c.step(min(c.MaxSteps, most))
	}
	if c.Constant > 0 {
		first, last = c.step(c.Constant), c.step(c.Constant)
	}
	first = max(first, 1) // step 0 is s_T itself
	if first > c.step(most) {
		return 0, 0, fmt.Errorf("estimate: %d steps between the ends do not fit the model's horizon %d: at most %d do", c.steps(first), horizon, most)
	}
	return first, max(first, last), nil
}

// step is the step of a rollout that Δ says.
func (c Config) step(steps int) int {
	if c.Argmax {
		return steps
	}
	return steps + 1
}

// steps is the Δ that a step of a rollout says.
func (c Config) steps(step int) int {
	if c.Argmax {
		return step
	}
	return step - 1
}

// Imagine rolls out the states that follow s_T for the batches of a
// PCollection<trajectory.PairBatch>, so that entries can be found near them. It gives
// a PCollection<trajectory.Imagined>; Steps takes the rollouts along.
func Imagine(s beam.Scope, models session.Options, seed uint64, pairs beam.PCollection) (imagined, dead beam.PCollection) {
	s = s.Scope("estimate.Imagine")
	return beam.ParDo2(s, &imagineFn{imagination{Models: inference.Models{Options: models}, Seed: seed}}, pairs)
}

type imagineFn struct{ imagination }

func (fn *imagineFn) ProcessElement(ctx context.Context, batch trajectory.PairBatch, emit func(trajectory.Imagined), dead func(trajectory.Failure)) error {
	defer inference.Clock(ctx, latency)()
	work := func() (trajectory.Imagined, error) {
		rollouts, err := fn.imagine(ctx, batch)
		return trajectory.Imagined{Batch: batch, Rollouts: rollouts}, err
	}
	return attempt.Batch(ctx, "imagine", batch.Span(), work, emit, dead)
}

// Steps chooses s′_1 among the candidates and sets Δ in a
// PCollection<trajectory.Ends>. It gives a PCollection<trajectory.PairBatch>, and
// a PCollection<trajectory.Failure> of the batches that could not be estimated.
func Steps(s beam.Scope, cfg Config, models session.Options, seed uint64, ends beam.PCollection) (pairs, dead beam.PCollection) {
	s = s.Scope("estimate.Steps")
	return beam.ParDo2(s, &stepsFn{imagination: imagination{Models: inference.Models{Options: models}, Seed: seed}, Config: cfg}, ends)
}

type stepsFn struct {
	imagination
	Config Config `json:"config"`

	first, last int
}

func (fn *stepsFn) Setup() (err error) {
	if err := fn.Models.Setup(); err != nil {
		return err
	}
	fn.first, fn.last, err = fn.Config.Bounds(fn.Info().Horizon)
	return err
}

func (fn *stepsFn) ProcessElement(ctx context.Context, ends trajectory.Ends, emit func(trajectory.PairBatch), dead func(trajectory.Failure)) error {
	defer inference.Clock(ctx, latency)()
	pairsIn.Inc(ctx, int64(len(ends.Batch.Pairs)))
	work := func() (trajectory.PairBatch, error) { return fn.estimate(ctx, ends) }
	return attempt.Batch(ctx, "estimate", ends.Batch.Span(), work, emit, dead)
}

func (fn *stepsFn) estimate(ctx context.Context, ends trajectory.Ends) (trajectory.PairBatch, error) {
	batch := ends.Batch
	pairs := slices.Clone(batch.Pairs) // elements must not be changed
	batch.Pairs, batch.Candidates = pairs, nil
	if fn.Config.Constant > 0 && !ends.Shared && len(ends.Candidates) == len(pairs) { // there is nothing to choose
		for i := range pairs {
			pairs[i].High, pairs[i].Steps = ends.Candidates[i], int32(fn.Config.Constant)
		}
		return batch, nil
	}
	rollouts := ends.Rollouts
	if len(rollouts) == 0 {
		var err error
		if rollouts, err = fn.imagine(ctx, ends.Batch); err != nil {
			return batch, err
		}
	}
	dim := fn.Info().ObservationDim
	whole := fn.Info().Horizon * dim
	rollouts, targets := fn.comparable(rollouts), fn.comparable(ends.Targets)
	var list shortlist
	if ends.Shared && fn.first < fn.last {
		var err error
		if list, err = fn.shortlist(rollouts, targets); err != nil {
			return batch, err
		}
	}
	for i := range pairs {
		from, to := ends.Own(i)
		m := fn.match(rollouts[i*whole:(i+1)*whole], targets[from*dim:to*dim], list.of(i), pairs[i].Index)
		pairs[i].High = ends.Candidates[from+m.target]
		pairs[i].Steps, pairs[i].Similarity = int32(fn.Config.steps(m.step)), float32(m.similarity)
	}
	return batch, nil
}

// match chooses one of the targets, [n, S], for a pair's rollout, [H, S]; where some are
// listed it is one of these.
func (fn *stepsFn) match(rollout, targets []float32, listed []int, pair int64) (m match) {
	dim, similarity := fn.Info().ObservationDim, fn.Config.Similarity
	if listed != nil {
		targets = rowsOf(targets, dim, listed)
		defer func() { m.target = listed[m.target] }()
	}
	if fn.Config.Threshold == 0 {
		return similarity.best(rollout, targets, dim, fn.first, fn.last)
	}
	// The stream's seed is that of the imagination's noise too, which is made of it by
	// another generator.
	rng := trajectory.Stream(fn.Seed, pair, trajectory.StageImagine)
	return similarity.oneOf(rng, fn.Config.Threshold, rollout, targets, dim, fn.first, fn.last)
}

// rowsOf takes some of the states, [n, S].
func rowsOf(states []float32, dim int, which []int) (some []float32) {
	for _, i := range which {
		some = append(some, states[i*dim:(i+1)*dim]...)
	}
	return some
}

// imagination is what the DoFns that imagine states share.
type imagination struct {
	inference.Models
	Seed uint64 `json:"seed"`
}

// imagine rolls out H states for each pair, [pairs, H, S], of which only s_T is
// known.
func (fn *imagination) imagine(ctx context.Context, batch trajectory.PairBatch) ([]float32, error) {
	info := fn.Info()
	n, horizon, dim := len(batch.Pairs), info.Horizon, info.ObservationDim
	known := make([]float32, n*horizon*dim)
	mask := make([]float32, n*horizon)
	seeds := make([]uint64, n)
	for i, pair := range batch.Pairs {
		mask[i*horizon] = 1
		copy(known[i*horizon*dim:], batch.Low[i*dim:(i+1)*dim])
		seeds[i] = trajectory.StreamSeed(fn.Seed, pair.Index, trajectory.StageImagine)
	}
	return fn.Sample(ctx, known, mask, seeds)
}

// comparable brings states, [n, S], into the space of the similarity.
func (fn *stepsFn) comparable(states []float32) []float32 {
	if fn.Config.Similarity.Space == Raw {
		return states
	}
	info := fn.Info()
	scaled := make([]float32, len(states))
	if fn.Config.Similarity.Space == Denoiser {
		info.States.Apply(scaled, states)
		return scaled
	}
	for i, v := range states {
		d := i % info.ObservationDim
		scaled[i] = (v - info.StateMean[d]) / info.StateScale[d]
	}
	return scaled
}
