// Package synthesize makes transitions out of noise by SynthER's diffusion model
// (Lu et al., 2023, arXiv 2303.06614), a baseline: each is an episode of one step.
package synthesize

import (
	"context"
	"fmt"

	"diffstitch/io/attempt"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/edm"
	"diffstitch/modelops/session"
	"diffstitch/transforms/inference"
	"diffstitch/transforms/qualify"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

var (
	accepted = beam.NewCounter("synthesize", "transitions_accepted")
	rejected = beam.NewCounter("synthesize", "transitions_rejected_not_finite")
	latency  = beam.NewDistribution("synthesize", "batch_milliseconds")
)

func init() {
	beam.RegisterDoFn(&transitionsFn{})
	register.Emitter1[trajectory.SyntheticBatch]()
}

// Config of the sampling.
type Config struct {
	// Steps of the Heun sampler; 0 takes as many as the model's preset says.
	Steps int `json:"steps,omitempty"`
}

// Validate reports a number of steps that cannot be.
func (c Config) Validate() error {
	if c.Steps == 0 {
		return nil
	}
	if err := edm.ValidateSteps(c.Steps); err != nil {
		return fmt.Errorf("synthesize: %w", err)
	}
	return nil
}

// Transitions samples the transitions of a PCollection<trajectory.SampleBatch>,
// each from a random stream of its own. It gives a
// PCollection<trajectory.SyntheticBatch>, in which those that are not finite are
// rejected, and a PCollection<trajectory.Failure> of the batches that could not be
// sampled.
func Transitions(s beam.Scope, models session.Options, seed uint64, batches beam.PCollection) (sampled, dead beam.PCollection) {
	s = s.Scope("synthesize.Transitions")
	return beam.ParDo2(s, &transitionsFn{Models: inference.Models{Options: models}, Seed: seed}, batches)
}

type transitionsFn struct {
	inference.Models
	Seed uint64 `json:"seed"`
}

func (fn *transitionsFn) ProcessElement(ctx context.Context, batch trajectory.SampleBatch, emit func(trajectory.SyntheticBatch), dead func(trajectory.Failure)) error {
	defer inference.Clock(ctx, latency)()
	work := func() (trajectory.SyntheticBatch, error) { return fn.sample(ctx, batch) }
	sampled := func(out trajectory.SyntheticBatch) {
		for _, e := range out.Episodes {
			if e.Rejected == "" {
				accepted.Inc(ctx, 1)
			} else {
				rejected.Inc(ctx, 1)
			}
		}
		emit(out)
	}
	return attempt.Batch(ctx, "synthesize", batch.Span(), work, sampled, dead)
}

func (fn *transitionsFn) sample(ctx context.Context, batch trajectory.SampleBatch) (trajectory.SyntheticBatch, error) {
	out := trajectory.SyntheticBatch{Plan: batch, Source: trajectory.SynthER, Episodes: make([]trajectory.SyntheticEpisode, batch.Count)}
	seeds := make([]uint64, batch.Count)
	for i := range seeds {
		seeds[i] = trajectory.StreamSeed(fn.Seed, batch.First+int64(i), trajectory.StageSynthesize)
	}
	t, err := fn.Synthesize(ctx, seeds)
	if err != nil {
		return out, err
	}
	stateDim, actionDim := fn.Info().ObservationDim, fn.Info().ActionDim
	for i := range out.Episodes {
		e := trajectory.SyntheticEpisode{
			Index:    batch.First + int64(i),
			States:   append(append([]float32(nil), t.States[i*stateDim:(i+1)*stateDim]...), t.Next[i*stateDim:(i+1)*stateDim]...),
			Actions:  t.Actions[i*actionDim : (i+1)*actionDim],
			Rewards:  t.Rewards[i : i+1],
			Terminal: t.Terminals[i],
		}
		if !e.Finite() {
			e.Rejected = qualify.ReasonNotFinite
		}
		out.Episodes[i] = e
	}
	return out, nil
}
