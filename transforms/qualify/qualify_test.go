package qualify

import (
	"math"
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

func TestValidate(t *testing.T) {
	tests := []struct {
		cfg Config
		bad bool
	}{
		{Config{Delta: 0.1}, false},
		{Config{Off: true}, false},
		{Config{}, true},
		{Config{Delta: 0.1, AcceptTies: true}, true},
		{Config{Delta: -1}, true},
		{Config{Delta: math.NaN()}, true},
		{Config{Delta: 0.1, MaxDisagreement: 0.2}, false},
		{Config{Delta: 0.1, MaxDisagreement: -0.2}, true},
		{Config{Off: true, MaxDisagreement: math.NaN()}, true},
		{Config{Off: true, MaxDisagreement: math.Inf(1)}, true},
	}
	for _, test := range tests {
		if err := test.cfg.Validate(); (err != nil) != test.bad {
			t.Errorf("%+v: %v", test.cfg, err)
		}
	}
}

func TestJudge(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	strict, off := Config{Delta: 0.5}, Config{Off: true}
	gainful := Config{Delta: 0.5, RequireGain: true}
	ties := Config{Delta: 0.5, RequireGain: true, AcceptTies: true}
	tests := []struct {
		name               string
		cfg                Config
		errors             []float32
		rewards            []float32
		lowRest, highGives float64
		want               string
	}{
		{"below δ", strict, []float32{0.1, 0.4}, []float32{0, 0}, 9, 0, ""},
		{"δ itself", strict, []float32{0.1, 0.5}, []float32{0, 0}, 0, 0, ReasonDynamics},
		{"one transition above", strict, []float32{0.6, 0.1}, []float32{0, 0}, 0, 0, ReasonDynamics},
		{"off", off, []float32{0.1, 100}, []float32{0, 0}, 9, 0, ""},
		{"NaN error", strict, []float32{0.1, nan}, []float32{0, 0}, 0, 0, ReasonNotFinite},
		{"NaN error, off", off, []float32{nan, 0.1}, []float32{0, 0}, 0, 0, ReasonNotFinite},
		{"infinite error", strict, []float32{0.1, inf}, []float32{0, 0}, 0, 0, ReasonNotFinite},
		{"NaN reward", off, []float32{0.1, 0.1}, []float32{0, nan}, 0, 0, ReasonNotFinite},
		{"infinite reward", strict, []float32{0.1, 0.1}, []float32{inf, 0}, 0, 0, ReasonNotFinite},
		{"gain by the high part", gainful, []float32{0.1, 0.1}, []float32{0, 0}, 1, 2, ""},
		{"gain by the bridge", gainful, []float32{0.1, 0.1}, []float32{0.5, 0.75}, 2, 1, ""},
		{"no gain", gainful, []float32{0.1, 0.1}, []float32{0.5, 0.5}, 2, 1, ReasonNoGain},
		{"a tie that is accepted", ties, []float32{0.1, 0.1}, []float32{0.5, 0.5}, 2, 1, ""},
		{"a loss where ties are accepted", ties, []float32{0.1, 0.1}, []float32{0.5, 0.25}, 2, 1, ReasonNoGain},
		{"no gain asked for", strict, []float32{0.1, 0.1}, []float32{0, 0}, 2, 1, ""},
		{"no gain, off", Config{Off: true, RequireGain: true}, []float32{9, 9}, []float32{0, 0}, 2, 1, ReasonNoGain},
		{"dynamics before gain", gainful, []float32{0.9, 0.1}, []float32{0, 0}, 2, 1, ReasonDynamics},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := trajectory.Bridge{Errors: test.errors, Rewards: test.rewards}
			b.Pair.LowRest, b.Pair.HighReturn = test.lowRest, test.highGives
			if got := test.cfg.judge(b, float64(slices.Max(b.Errors)), false); got != test.want {
				t.Errorf("rejected as %q, want %q", got, test.want)
			}
		})
	}
}

// TestStitches: δ lies between the errors of two bridges, so that one goes.
func TestStitches(t *testing.T) {
	models, s := fixture.Models(t), fixture.Session(t)
	walk := fixture.LongestWalk()
	near := trajectory.Bridge{
		Pair: trajectory.Pair{Index: 4, Steps: 1}, States: walk.Observations[:3*3], Actions: walk.Actions[:2*2], Rewards: walk.Rewards[:2],
	}
	far := trajectory.Bridge{
		Pair: trajectory.Pair{Index: 5, Steps: 0}, States: []float32{0, 0, 0, 100, 0, 0}, Actions: []float32{0, 0}, Rewards: []float32{1},
	}
	lost := trajectory.Bridge{
		Pair: trajectory.Pair{Index: 6, Steps: 0}, States: []float32{0, 0, 0, float32(math.NaN()), 0, 0}, Actions: []float32{0, 0}, Rewards: []float32{1},
	}
	in := trajectory.BridgeBatch{Index: 2, Bridges: []trajectory.Bridge{near, far, lost}}
	want := trajectory.BridgeBatch{Index: 2}
	for i, reason := range []string{"", ReasonDynamics, ReasonNotFinite} {
		b := in.Bridges[i]
		b.Rejected = reason
		predicted, disagreement, err := s.Dynamics(b.States[:len(b.States)-3], b.Actions)
		if err != nil {
			t.Fatal(err)
		}
		b.MaxDisagreement = slices.Max(disagreement)
		b.Errors = training.Distances(predicted, b.States[3:], 3)
		want.Bridges = append(want.Bridges, b)
	}
	cfg := Config{Delta: 50}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.Equals(s, fixture.NoneDead(s)(Stitches(s, cfg, models, beam.Create(s, in))), want)
	})
}

// TestNormalisedDelta: δ and the error are measured in standard deviations, and the error
// that is told stays in the units of the observations.
func TestNormalisedDelta(t *testing.T) {
	models, s := fixture.Models(t), fixture.Session(t)
	state, action := []float32{0, 0, 0}, []float32{0.5, -0.5}
	predicted, _, err := s.Dynamics(state, action)
	if err != nil {
		t.Fatal(err)
	}
	scale := s.Info().StateScale
	next := []float32{predicted[0] + 3*scale[0], predicted[1], predicted[2] - 4*scale[2]} // 5 standard deviations
	in := trajectory.BridgeBatch{Bridges: []trajectory.Bridge{{States: append(slices.Clone(state), next...), Actions: action, Rewards: []float32{0}}}}
	for delta, want := range map[float64]string{5.01: "", 4.99: ReasonDynamics} {
		fn := fixture.SetUp(t, &stitchFn{Models: inference.Models{Options: models}, Config: Config{Delta: delta, Normalised: true}})
		out, err := fn.qualify(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.Bridges[0].Rejected; got != want {
			t.Errorf("δ %v: rejected as %q, want %q", delta, got, want)
		}
		raw := math.Hypot(3*float64(scale[0]), 4*float64(scale[2]))
		if got := float64(out.Bridges[0].Errors[0]); math.Abs(got-raw) > 1e-4 {
			t.Errorf("error %v, want %v in the units of the observations", got, raw)
		}
	}
}

// TestJudgeByTheReferenceModels: what only an ensemble and a reward model with
// terminals can say.
func TestJudgeByTheReferenceModels(t *testing.T) {
	agreeing, alive := Config{Delta: 0.5, MaxDisagreement: 0.2}, Config{Delta: 0.5, RejectTerminal: true}
	tests := []struct {
		name         string
		cfg          Config
		worst        float32 // error
		disagreement float32
		endsEarly    bool
		want         string
	}{
		{"below", agreeing, 0.1, 0.1, false, ""},
		{"above", agreeing, 0.1, 0.3, false, ReasonDisagreement},
		{"dynamics first", agreeing, 0.6, 0.3, false, ReasonDynamics},
		{"agreement not asked for", Config{Delta: 0.5}, 0.1, 100, false, ""},
		{"disagreement without δ", Config{Off: true, MaxDisagreement: 0.2}, 100, 0.3, false, ReasonDisagreement},
		{"NaN", Config{Off: true}, 0.1, float32(math.NaN()), false, ReasonNotFinite},
		{"infinite", agreeing, 0.1, float32(math.Inf(1)), false, ReasonNotFinite},
		{"no terminal state", alive, 0.1, 0, false, ""},
		{"terminal state", alive, 0.1, 0, true, ReasonTerminal},
		{"terminal state without δ", Config{Off: true, RejectTerminal: true}, 100, 0, true, ReasonTerminal},
		{"terminal before gain", Config{Off: true, RejectTerminal: true, RequireGain: true}, 0.1, 0, true, ReasonTerminal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := trajectory.Bridge{Errors: []float32{test.worst}, MaxDisagreement: test.disagreement}
			if got := test.cfg.judge(b, float64(slices.Max(b.Errors)), test.endsEarly); got != test.want {
				t.Errorf("rejected as %q, want %q", got, test.want)
			}
		})
	}
}

// TestTerminalStatesOfTheBridge: only a state between s_T and s′_1 can be
// rejected as terminal.
func TestTerminalStatesOfTheBridge(t *testing.T) {
	models, s := fixture.Models(t), fixture.Session(t)
	dying, living := terminalStep(t, s), []float32{0, 0, 0, 0, 0}
	bridge := func(index int64, steps ...[]float32) trajectory.Bridge {
		b := trajectory.Bridge{Pair: trajectory.Pair{Index: index, Steps: int32(len(steps) - 1)}, Rewards: make([]float32, len(steps))}
		for _, step := range steps {
			b.States, b.Actions = append(b.States, step[:3]...), append(b.Actions, step[3:]...)
		}
		b.States = append(b.States, 0, 0, 0)
		return b
	}
	in := trajectory.BridgeBatch{Bridges: []trajectory.Bridge{
		bridge(0, living, living), bridge(1, dying, living), bridge(2, living, dying), bridge(3, dying), bridge(4, living, dying, living),
	}}
	fn := fixture.SetUp(t, &stitchFn{Models: inference.Models{Options: models}, Config: Config{Off: true, RejectTerminal: true}})
	out, err := fn.qualify(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", ReasonTerminal, "", "", ReasonTerminal} {
		if got := out.Bridges[i].Rejected; got != want {
			t.Errorf("bridge %d is rejected as %q, want %q", i, got, want)
		}
	}
}

// terminalStep finds a state and an action, [3+2], from which the models expect a
// terminal state. They know so little that it lies far from any data.
func terminalStep(t *testing.T, s *session.Session) []float32 {
	t.Helper()
	for d := range 5 {
		for _, v := range []float32{-100, 100} {
			step := make([]float32, 5)
			step[d] = v
			p, err := s.Terminals(step[:3], step[3:])
			if err != nil {
				t.Fatal(err)
			}
			if p[0] > 0.5 {
				return step
			}
		}
	}
	t.Fatal("no step ends in a terminal state")
	return nil
}

func TestDistances(t *testing.T) {
	if got := training.Distances([]float32{1, 2, 3, 4}, []float32{4, 6, 3, 5}, 2); !slices.Equal(got, []float32{5, 1}) {
		t.Errorf("distances %v, want 5 and 1", got)
	}
}
