package rollout

import (
	"math"
	"slices"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/inference"
	"diffstitch/transforms/qualify"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// TestNoRowAfterTheThreshold: whatever the models say, a rollout holds the steps
// before its uncertainties come to the limit, and no later one.
func TestNoRowAfterTheThreshold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit, penalty := rapid.Float64Range(0.1, 3).Draw(t, "limit"), rapid.Float64Range(0, 2).Draw(t, "penalty")
		uncertainties := rapid.SliceOfN(rapid.Float32Range(0, 1), 1, 12).Draw(t, "uncertainties")
		end := rapid.IntRange(0, 20).Draw(t, "terminal")
		r := &rollout{episode: trajectory.SyntheticEpisode{States: []float32{0}}, state: []float32{0}}
		for i, u := range uncertainties {
			if r.over {
				break
			}
			r.add(penalty, limit, transition{action: []float32{1}, next: []float32{float32(i)}, reward: 5, uncertainty: u, terminal: i == end})
		}
		sum, want := 0.0, 0
		for want < min(len(uncertainties), end+1) {
			if sum += float64(uncertainties[want]); !(sum < limit) {
				break
			}
			want++
		}
		e := r.episode
		if len(e.Rewards) != want || len(e.States) != want+1 || len(e.Actions) != want || len(e.Errors) != want {
			t.Fatalf("%d steps of uncertainties %v under %g, want %d", len(e.Rewards), uncertainties, limit, want)
		}
		for i, reward := range e.Rewards {
			if want := 5 - float32(penalty)*uncertainties[i]; math.Abs(float64(reward-want)) > 1e-6 {
				t.Errorf("reward %d is %g, want %g", i, reward, want)
			}
		}
		if e.Terminal != (want == end+1) {
			t.Errorf("terminal: %v, of %d steps with a terminal state after %d", e.Terminal, want, end)
		}
	})
}

func TestNotFiniteEndsARollout(t *testing.T) {
	r := &rollout{episode: trajectory.SyntheticEpisode{States: []float32{0}}}
	r.add(1, 1, transition{action: []float32{1}, next: []float32{float32(math.NaN())}})
	if !r.over || r.cut != qualify.ReasonNotFinite || len(r.episode.Rewards) != 0 {
		t.Errorf("goes on: %+v", r)
	}
}

func models(t *testing.T) session.Options {
	opts := fixture.Models(t)
	opts.Kinds = training.KindsOf(training.MethodTATU)
	return opts
}

func starts(first int64, n int) trajectory.Starts {
	walks := fixture.RandomWalks(fixture.Walks, fixture.WalksSeed)
	s := trajectory.Starts{Batch: trajectory.SampleBatch{Index: 2, First: first, Count: int32(n)}}
	for i := range n {
		s.States = append(s.States, walks[(int(first)+i)%len(walks)].Observation(0)...)
	}
	return s
}

func rolled(t *testing.T, cfg Config, in trajectory.Starts) trajectory.SyntheticBatch {
	t.Helper()
	fn := fixture.SetUp(t, &episodesFn{Models: inference.Models{Options: models(t)}, Config: cfg, Seed: 3})
	all, err := fn.rollOut(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	out := trajectory.SyntheticBatch{Plan: in.Batch, Source: trajectory.TATU}
	for _, r := range all {
		out.Episodes = append(out.Episodes, r.episode)
	}
	return out
}

// TestEpisodes: rollouts begin in their states, are no longer than they may be,
// depend on their index alone, and are the composite's.
func TestEpisodes(t *testing.T) {
	cfg, in := Config{Length: 4, Truncation: 1.5, Penalty: 1}, starts(40, 6)
	out := rolled(t, cfg, in)
	dim := fixture.Walks.ObservationDim
	steps := 0
	for i, e := range out.Episodes {
		if !slices.Equal(e.States[:dim], in.States[i*dim:(i+1)*dim]) || len(e.Rewards) > cfg.Length || !e.Finite() {
			t.Errorf("rollout %d: %+v", i, e)
		}
		if (e.Rejected != "") != (len(e.Rewards) == 0) {
			t.Errorf("rollout %d of %d steps: rejected %q", i, len(e.Rewards), e.Rejected)
		}
		steps += len(e.Rewards)
	}
	if steps == 0 {
		t.Error("no rollout takes a step")
	}
	alone := trajectory.Starts{Batch: trajectory.SampleBatch{First: 45, Count: 1}, States: in.States[5*dim:]}
	if got := rolled(t, cfg, alone).Episodes[0]; !slices.Equal(got.States, out.Episodes[5].States) {
		t.Error("a rollout depends on the batch it is in")
	}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.Equals(s, fixture.NoneDead(s)(Episodes(s, cfg, models(t), 3, beam.Create(s, in))), out)
	})
	for _, e := range rolled(t, Config{Length: 4, Truncation: 1e-9}, in).Episodes {
		if e.Rejected != ReasonUncertain {
			t.Errorf("a rollout of %d steps where none may be uncertain: %q", len(e.Rewards), e.Rejected)
		}
	}
}

// TestPlanIsUniform: every transition is as likely a start as any, and a plan lies in
// the data's order.
func TestPlanIsUniform(t *testing.T) {
	metas := []trajectory.Meta{{ID: 7, Steps: 10}, {ID: 8, Steps: 1}, {ID: 9, Steps: 29}}
	const count = 8000
	drawn := map[[2]int64]int{}
	last := [2]int64{}
	for _, b := range Plan(metas, 5, 0, count, 64) {
		for _, ref := range b.Starts {
			at := [2]int64{ref.Episode.ID, int64(ref.Step)}
			if at[0] < last[0] || at[0] == last[0] && at[1] < last[1] {
				t.Fatalf("%v after %v", at, last)
			}
			last = at
			drawn[at]++
		}
	}
	if len(drawn) != 40 {
		t.Errorf("%d of 40 states are drawn", len(drawn))
	}
	for at, n := range drawn {
		if n < count/40-60 || n > count/40+60 {
			t.Errorf("step %d of episode %d begins %d of %d rollouts", at[1], at[0], n, count)
		}
	}
	if got := Plan(nil, 5, 0, count, 64); got != nil {
		t.Errorf("a plan of no data: %v", got)
	}
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]Config{
		"length": {Truncation: 1}, "truncation": {Length: 5}, "penalty": {Length: 5, Truncation: 1, Penalty: -1},
		"not a number": {Length: 5, Truncation: math.NaN()},
	} {
		if c.Validate() == nil {
			t.Errorf("%s: %+v is valid", name, c)
		}
	}
}
