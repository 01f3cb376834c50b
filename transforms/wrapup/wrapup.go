// Package wrapup gives the states of a bridge their actions, by inverse
// dynamics, and rewards (DiffStitch, section 4.1, trajectory wrap-up):
// a = f_ψ(s, s′), r = f_ϕ(s, a). Whether they are any good is for qualify to say.
package wrapup

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
	transitionsOut = beam.NewCounter("wrapup", "transitions")
	latency        = beam.NewDistribution("wrapup", "batch_milliseconds")
)

func init() {
	beam.RegisterDoFn(&transitionsFn{})
	register.Emitter1[trajectory.BridgeBatch]()
}

// Transitions sets the actions, clipped to the data's range, and the rewards of
// a PCollection<trajectory.BridgeBatch>, and gives a
// PCollection<trajectory.Failure> of the batches whose could not be inferred.
func Transitions(s beam.Scope, models session.Options, bridges beam.PCollection) (whole, dead beam.PCollection) {
	s = s.Scope("wrapup.Transitions")
	return beam.ParDo2(s, &transitionsFn{inference.Models{Options: models}}, bridges)
}

type transitionsFn struct {
	inference.Models
}

func (fn *transitionsFn) ProcessElement(ctx context.Context, in trajectory.BridgeBatch, emit func(trajectory.BridgeBatch), dead func(trajectory.Failure)) error {
	defer inference.Clock(ctx, latency)()
	wrapUp := func() (trajectory.BridgeBatch, error) { return fn.wrapUp(ctx, in) }
	whole := func(out trajectory.BridgeBatch) {
		for _, b := range out.Bridges {
			transitionsOut.Inc(ctx, int64(len(b.Rewards)))
		}
		emit(out)
	}
	return attempt.Batch(ctx, "wrapup", in.Span(), wrapUp, whole, dead)
}

func (fn *transitionsFn) wrapUp(ctx context.Context, in trajectory.BridgeBatch) (trajectory.BridgeBatch, error) {
	info := fn.Info()
	states, next := in.Transitions(info.ObservationDim)
	actions, err := fn.InverseDynamics(ctx, states, next)
	if err != nil {
		return in, fmt.Errorf("actions: %w", err)
	}
	for i := range actions {
		d := i % info.ActionDim
		actions[i] = min(max(actions[i], info.ActionLow[d]), info.ActionHigh[d])
	}
	rewards, err := fn.Rewards(ctx, states, actions)
	if err != nil {
		return in, fmt.Errorf("rewards: %w", err)
	}
	out := trajectory.BridgeBatch{Index: in.Index, Bridges: make([]trajectory.Bridge, len(in.Bridges))}
	at := 0
	for i, b := range in.Bridges {
		rows := b.Pair.BridgeRows()
		b.Actions = actions[at*info.ActionDim : (at+rows)*info.ActionDim]
		b.Rewards = rewards[at : at+rows]
		out.Bridges[i] = b
		at += rows
	}
	return out, nil
}
