package wrapup

import (
	"slices"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// bridges are one along a walk, one of a single transition, and one that leaps
// farther than any action of the data leads.
func bridges() trajectory.BridgeBatch {
	walk := fixture.LongestWalk()
	leap := []float32{0, 0, 0, 500, -500, 500, -500, 500, -500}
	return trajectory.BridgeBatch{Index: 4, Bridges: []trajectory.Bridge{
		{Pair: trajectory.Pair{Index: 8, Steps: 2}, States: walk.Observations[:4*3]},
		{Pair: trajectory.Pair{Index: 9, Steps: 0}, States: walk.Observations[3 : 3+2*3]},
		{Pair: trajectory.Pair{Index: 10, Steps: 1}, States: leap},
	}}
}

func TestTransitions(t *testing.T) {
	models, s := fixture.Models(t), fixture.Session(t)
	info := s.Info()
	in, want := bridges(), bridges()
	var err error
	clipped := false
	for i := range want.Bridges {
		b := &want.Bridges[i]
		known := len(b.States) - info.ObservationDim
		if b.Actions, err = s.InverseDynamics(b.States[:known], b.States[info.ObservationDim:]); err != nil {
			t.Fatal(err)
		}
		inferred := slices.Clone(b.Actions)
		for j := range b.Actions {
			d := j % info.ActionDim
			b.Actions[j] = max(info.ActionLow[d], min(info.ActionHigh[d], b.Actions[j]))
		}
		clipped = clipped || !slices.Equal(inferred, b.Actions)
		if b.Rewards, err = s.Rewards(b.States[:known], b.Actions); err != nil {
			t.Fatal(err)
		}
	}
	if !clipped {
		t.Fatal("no action had to be clipped")
	}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.Equals(s, fixture.NoneDead(s)(Transitions(s, models, beam.Create(s, in))), want)
	})
}
