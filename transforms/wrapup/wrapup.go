// Package wrapup gives the states of a bridge their actions, by inverse
// dynamics, and rewards (DiffStitch, section 4.1, trajectory wrap-up):
// a = f_ψ(s, s′), r = f_ϕ(s, a).
package wrapup

import (
	"context"
	"fmt"

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
	register.DoFn2x2[context.Context, trajectory.BridgeBatch, trajectory.BridgeBatch, error](&transitionsFn{})
}

// Transitions sets the actions, clipped to the data's range, and the rewards of
// a PCollection<trajectory.BridgeBatch>.
func Transitions(s beam.Scope, models session.Options, bridges beam.PCollection) beam.PCollection {
	s = s.Scope("wrapup.Transitions")
	return beam.ParDo(s, &transitionsFn{inference.Models{Options: models}}, bridges)
}

type transitionsFn struct {
	inference.Models
}

func (fn *transitionsFn) ProcessElement(ctx context.Context, in trajectory.BridgeBatch) (trajectory.BridgeBatch, error) {
	defer inference.Clock(ctx, latency)()
	info := fn.Session().Info()
	states, next := in.Transitions(info.ObservationDim)
	actions, err := fn.Session().InverseDynamics(states, next)
	if err != nil {
		return in, fmt.Errorf("wrapup: actions of batch %d: %w", in.Index, err)
	}
	for i := range actions {
		d := i % info.ActionDim
		actions[i] = min(max(actions[i], info.ActionLow[d]), info.ActionHigh[d])
	}
	transitionsOut.Inc(ctx, int64(len(actions)/info.ActionDim))
	rewards, err := fn.Session().Rewards(states, actions)
	if err != nil {
		return in, fmt.Errorf("wrapup: rewards of batch %d: %w", in.Index, err)
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
