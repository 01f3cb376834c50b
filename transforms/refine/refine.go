// Package refine makes trajectories of bridges, which inpainting leaves as plans: their
// states are rolled out through the learned dynamics under actions that are optimised
// until the roll-out ends in s′_1 (package modelops/refinement). What remains is in the
// last transition; whether it is little enough is for qualify to say, by other nets.
package refine

import (
	"context"
	"fmt"

	"diffstitch/io/attempt"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/transforms/inference"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

var (
	passed     = beam.NewCounter("refine", "bridges_passed")
	missed     = beam.NewCounter("refine", "bridges_missed")
	extraSteps = beam.NewDistribution("refine", "extra_steps")
	latency    = beam.NewDistribution("refine", "batch_milliseconds")
)

func init() {
	beam.RegisterDoFn(&bridgesFn{})
	register.Emitter1[trajectory.BridgeBatch]()
}

// Bridges sets the states, actions, rewards and residuals of a
// PCollection<trajectory.BridgeBatch>, and the Δ of its pairs where a bridge had to be
// longer than estimated. It gives a PCollection<trajectory.Failure> of the batches that
// could not be refined.
func Bridges(s beam.Scope, models session.Options, bridges beam.PCollection) (refined, dead beam.PCollection) {
	s = s.Scope("refine.Bridges")
	return beam.ParDo2(s, &bridgesFn{inference.Models{Options: models}}, bridges)
}

type bridgesFn struct {
	inference.Models
}

func (fn *bridgesFn) ProcessElement(ctx context.Context, in trajectory.BridgeBatch, emit func(trajectory.BridgeBatch), dead func(trajectory.Failure)) error {
	defer inference.Clock(ctx, latency)()
	var made []session.Refined
	work := func() (out trajectory.BridgeBatch, err error) {
		out, made, err = fn.refine(ctx, in)
		return out, err
	}
	whole := func(out trajectory.BridgeBatch) {
		for _, r := range made {
			count(ctx, r)
		}
		emit(out)
	}
	return attempt.Batch(ctx, "refine", in.Span(), work, whole, dead)
}

func count(ctx context.Context, r session.Refined) {
	extraSteps.Update(ctx, int64(r.Extra))
	if r.Passed {
		passed.Inc(ctx, 1)
		return
	}
	missed.Inc(ctx, 1)
}

func (fn *bridgesFn) refine(ctx context.Context, in trajectory.BridgeBatch) (trajectory.BridgeBatch, []session.Refined, error) {
	plans := make([][]float32, len(in.Bridges))
	for i, b := range in.Bridges {
		plans[i] = b.States
	}
	made, err := fn.Refine(ctx, plans)
	if err != nil {
		return in, nil, err
	}
	out := trajectory.BridgeBatch{Index: in.Index, Bridges: make([]trajectory.Bridge, len(in.Bridges))}
	var actions []float32
	for i, b := range in.Bridges {
		b.States, b.Actions, b.Residuals = made[i].States, made[i].Actions, made[i].Residuals
		b.Pair.Steps += int32(made[i].Extra)
		out.Bridges[i] = b
		actions = append(actions, b.Actions...)
	}
	states, _ := out.Transitions(fn.Info().ObservationDim)
	rewards, err := fn.Rewards(ctx, states, actions)
	if err != nil {
		return in, nil, fmt.Errorf("rewards: %w", err)
	}
	for i := range out.Bridges {
		rows := out.Bridges[i].Pair.BridgeRows()
		out.Bridges[i].Rewards, rewards = rewards[:rows:rows], rewards[rows:]
	}
	return out, made, nil
}
