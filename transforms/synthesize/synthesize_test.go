package synthesize

import (
	"slices"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/inference"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func models(t *testing.T) session.Options {
	opts := fixture.Models(t)
	opts.Kinds, opts.Steps = training.KindsOf(training.MethodSynthER), 3
	return opts
}

func sampled(t *testing.T, batch trajectory.SampleBatch) trajectory.SyntheticBatch {
	t.Helper()
	fn := fixture.SetUp(t, &transitionsFn{Models: inference.Models{Options: models(t)}, Seed: 3})
	out, err := fn.sample(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTransitions: episodes of one step, that depend on their index alone, within the
// actions' range, are the composite's.
func TestTransitions(t *testing.T) {
	in := trajectory.SampleBatch{Index: 2, First: 40, Count: 6}
	out := sampled(t, in)
	info := fixture.Session(t).Info()
	for i, e := range out.Episodes {
		if e.Index != 40+int64(i) || len(e.States) != 2*info.ObservationDim || len(e.Actions) != info.ActionDim || len(e.Rewards) != 1 || e.Errors != nil || e.Rejected != "" {
			t.Errorf("episode %d: %+v", i, e)
		}
		for d, a := range e.Actions {
			if a < info.ActionLow[d] || a > info.ActionHigh[d] {
				t.Errorf("episode %d: action %g is out of the data's range", i, a)
			}
		}
	}
	alone := sampled(t, trajectory.SampleBatch{First: 44, Count: 1}).Episodes[0]
	if !slices.Equal(alone.States, out.Episodes[4].States) {
		t.Error("a transition depends on the batch it is in")
	}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.Equals(s, fixture.NoneDead(s)(Transitions(s, models(t), 3, beam.Create(s, in))), out)
	})
}

func TestValidate(t *testing.T) {
	for steps, valid := range map[int]bool{0: true, 1: false, 2: true, -3: false} {
		if err := (Config{Steps: steps}).Validate(); (err == nil) != valid {
			t.Errorf("%d steps: %v", steps, err)
		}
	}
}
