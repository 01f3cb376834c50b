package qualify

import (
	"cmp"
	"math"
	"os"
	"slices"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

func TestMain(m *testing.M) {
	code := ptest.MainRet(m)
	fixture.RemoveModels()
	os.Exit(code)
}

func TestValidate(t *testing.T) {
	tests := []struct {
		cfg Config
		bad bool
	}{
		{Config{Delta: 0.1}, false},
		{Config{Off: true}, false},
		{Config{}, true},
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
		{"no gain asked for", strict, []float32{0.1, 0.1}, []float32{0, 0}, 2, 1, ""},
		{"no gain, off", Config{Off: true, RequireGain: true}, []float32{9, 9}, []float32{0, 0}, 2, 1, ReasonNoGain},
		{"dynamics before gain", gainful, []float32{0.9, 0.1}, []float32{0, 0}, 2, 1, ReasonDynamics},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := trajectory.Bridge{Errors: test.errors, Rewards: test.rewards}
			b.Pair.LowRest, b.Pair.HighReturn = test.lowRest, test.highGives
			if got := test.cfg.judge(b); got != test.want {
				t.Errorf("rejected as %q, want %q", got, test.want)
			}
		})
	}
}

// TestStitches: δ lies between the errors of two bridges, so that one goes.
func TestStitches(t *testing.T) {
	models := fixture.Models(t)
	s, err := session.Shared(models)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	walk := slices.MaxFunc(fixture.RandomWalks(fixture.Walks, fixture.WalksSeed), func(a, b *trajectory.Episode) int { return cmp.Compare(a.Len(), b.Len()) })
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
		b.Errors = make([]float32, b.Pair.BridgeRows())
		predicted, disagreement, err := s.Dynamics(b.States[:len(b.States)-3], b.Actions)
		if err != nil {
			t.Fatal(err)
		}
		b.MaxDisagreement = slices.Max(disagreement)
		for row := range b.Errors {
			b.Errors[row] = distance(predicted[row*3:(row+1)*3], b.States[(row+1)*3:(row+2)*3])
		}
		want.Bridges = append(want.Bridges, b)
	}
	cfg := Config{Delta: 50}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.Equals(s, fixture.NoneDead(s)(Stitches(s, cfg, models, beam.Create(s, in))), want)
	})
}

func TestJudgeDisagreement(t *testing.T) {
	agreeing := Config{Delta: 0.5, MaxDisagreement: 0.2}
	tests := []struct {
		name         string
		cfg          Config
		worst        float32 // error
		disagreement float32
		want         string
	}{
		{"below", agreeing, 0.1, 0.1, ""},
		{"above", agreeing, 0.1, 0.3, ReasonDisagreement},
		{"dynamics first", agreeing, 0.6, 0.3, ReasonDynamics},
		{"not asked for", Config{Delta: 0.5}, 0.1, 100, ""},
		{"without δ", Config{Off: true, MaxDisagreement: 0.2}, 100, 0.3, ReasonDisagreement},
		{"NaN", Config{Off: true}, 0.1, float32(math.NaN()), ReasonNotFinite},
		{"infinite", agreeing, 0.1, float32(math.Inf(1)), ReasonNotFinite},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := trajectory.Bridge{Errors: []float32{test.worst}, MaxDisagreement: test.disagreement}
			if got := test.cfg.judge(b); got != test.want {
				t.Errorf("rejected as %q, want %q", got, test.want)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	if got := distance([]float32{1, 2, 3}, []float32{1, 5, 7}); got != 5 {
		t.Errorf("distance %v, want 5", got)
	}
}
