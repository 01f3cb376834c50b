package estimate

import (
	"math"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/inference"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func TestValidate(t *testing.T) {
	cosine := Similarity{Kind: Cosine, Space: Raw}
	tests := []struct {
		name string
		cfg  Config
		want string // part of the error, "" for none
	}{
		{"the paper's", Config{Similarity: cosine}, ""},
		{"a window", Config{Similarity: Similarity{Kind: Distance, Space: Normalised}, MinSteps: 2, MaxSteps: 2}, ""},
		{"at least", Config{Similarity: cosine, MinSteps: 9}, ""},
		{"constant", Config{Similarity: cosine, Constant: 5}, ""},
		{"no kind", Config{Similarity: Similarity{Space: Raw}}, "unknown similarity"},
		{"no space", Config{Similarity: Similarity{Kind: Cosine}}, "unknown space"},
		{"a threshold", Config{Similarity: cosine, Threshold: 0.9}, ""},
		{"no threshold", Config{Similarity: cosine, Threshold: math.NaN()}, "no threshold"},
		{"negative", Config{Similarity: cosine, MinSteps: -1}, "must not be negative"},
		{"an empty window", Config{Similarity: cosine, MinSteps: 3, MaxSteps: 2}, "leave none"},
		{"constant and a window", Config{Similarity: cosine, Constant: 3, MaxSteps: 5}, "no window"},
	}
	for _, test := range tests {
		err := test.cfg.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestBounds(t *testing.T) {
	tests := []struct {
		name        string
		cfg         Config
		horizon     int
		first, last int
		bad         bool
	}{
		{"the whole horizon", Config{}, 8, 1, 7, false},
		{"the least horizon", Config{}, 2, 1, 1, false},
		{"at least", Config{MinSteps: 2}, 8, 3, 7, false},
		{"at most", Config{MaxSteps: 3}, 8, 1, 4, false},
		{"more than fit", Config{MinSteps: 1, MaxSteps: 100}, 8, 2, 7, false},
		{"just one", Config{MinSteps: 6, MaxSteps: 6}, 8, 7, 7, false},
		{"constant", Config{Constant: 6}, 8, 7, 7, false},
		{"the paper's", Config{Argmax: true}, 8, 1, 6, false},
		{"the paper's, at least and at most", Config{Argmax: true, MinSteps: 2, MaxSteps: 3}, 8, 2, 3, false},
		{"the paper's, constant", Config{Argmax: true, Constant: 6}, 8, 6, 6, false},
		{"the paper's, of two states", Config{Argmax: true}, 2, 0, 0, true},
		{"too many at least", Config{MinSteps: 7}, 8, 0, 0, true},
		{"too many", Config{MinSteps: 7, MaxSteps: 9}, 8, 0, 0, true},
		{"a constant too many", Config{Constant: 7}, 8, 0, 0, true},
	}
	for _, test := range tests {
		first, last, err := test.cfg.Bounds(test.horizon)
		if first != test.first || last != test.last || (err != nil) != test.bad {
			t.Errorf("%s: [%d, %d], %v, want [%d, %d]", test.name, first, last, err, test.first, test.last)
		}
	}
}

const seed = 5

func meta(id int64) trajectory.Meta { return trajectory.Meta{ID: id, Steps: 9} }

// ends are two pairs with the first states of the walks, and s′_1 chosen by the
// plan or open.
func ends(open bool) trajectory.Ends {
	walks := fixture.RandomWalks(fixture.Walks, fixture.WalksSeed)
	e := trajectory.Ends{Batch: trajectory.PairBatch{Index: 1}}
	for i := range 2 {
		p := trajectory.Pair{Index: int64(2 + i), Low: trajectory.StateRef{Episode: meta(int64(i))}}
		if !open {
			p.High = trajectory.StateRef{Episode: meta(int64(10 + i))}
			e.Candidates = append(e.Candidates, p.High)
			e.Targets = append(e.Targets, walks[10+i].Observation(0)...)
		}
		e.Batch.Pairs = append(e.Batch.Pairs, p)
		e.Batch.Low = append(e.Batch.Low, walks[i].Observation(0)...)
	}
	if e.Shared = open; open {
		for i := range 5 {
			e.Candidates = append(e.Candidates, trajectory.StateRef{Episode: meta(int64(20 + i))})
			e.Targets = append(e.Targets, walks[20+i].Observation(0)...)
		}
	}
	return e
}

// rollouts imagines what follows s_T of the pairs, [pairs, H, S].
func rollouts(t *testing.T, opts session.Options, e trajectory.Ends) []float32 {
	t.Helper()
	s, err := session.Shared(opts)
	if err != nil {
		t.Fatal(err)
	}
	window := fixture.Horizon * fixture.Walks.ObservationDim
	known, mask := make([]float32, 2*window), make([]float32, 2*fixture.Horizon)
	var seeds []uint64
	for i, p := range e.Batch.Pairs {
		copy(known[i*window:], e.Batch.Low[i*fixture.Walks.ObservationDim:(i+1)*fixture.Walks.ObservationDim])
		mask[i*fixture.Horizon] = 1
		seeds = append(seeds, trajectory.StreamSeed(seed, p.Index, trajectory.StageImagine))
	}
	states, err := s.Sample(known, mask, seeds)
	if err != nil {
		t.Fatal(err)
	}
	return states
}

func imagined(models session.Options) imagination {
	return imagination{Models: inference.Models{Options: models}, Seed: seed}
}

func TestSteps(t *testing.T) {
	models := fixture.Models(t)
	models.Peaks = true
	cfg := Config{Similarity: Similarity{Kind: Cosine, Space: Raw}, MinSteps: 1, MaxSteps: 4}
	dim := fixture.Walks.ObservationDim
	window := fixture.Horizon * dim

	chosen, open := ends(false), ends(true)
	wantChosen := trajectory.PairBatch{Index: 1, Low: chosen.Batch.Low}
	wantOpen := trajectory.PairBatch{Index: 1, Low: open.Batch.Low}
	states := rollouts(t, models, chosen)
	for i := range 2 {
		p, rollout := chosen.Batch.Pairs[i], states[i*window:(i+1)*window]
		m := cfg.Similarity.best(rollout, chosen.Targets[i*dim:(i+1)*dim], dim, 2, 5)
		p.Steps, p.Similarity = int32(m.step-1), float32(m.similarity)
		wantChosen.Pairs = append(wantChosen.Pairs, p)

		m = cfg.Similarity.best(rollout, open.Targets, dim, 2, 5)
		p.High, p.Steps, p.Similarity = open.Candidates[m.target], int32(m.step-1), float32(m.similarity)
		wantOpen.Pairs = append(wantOpen.Pairs, p)
	}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.Equals(s, fixture.NoneDead(s)(Steps(s, cfg, models, seed, beam.Create(s, chosen))), wantChosen)
		passert.Equals(s, fixture.NoneDead(s)(Steps(s, cfg, models, seed, beam.Create(s, open))), wantOpen)
	})
}

// TestArgmax: Δ is the step of the greatest similarity as the paper has it, one more than
// otherwise.
func TestArgmax(t *testing.T) {
	var steps [2][]int32
	for i, argmax := range []bool{false, true} {
		cfg := Config{Similarity: Similarity{Kind: Cosine, Space: Raw}, MinSteps: 1, MaxSteps: 5, Argmax: argmax}
		if argmax {
			cfg.MinSteps, cfg.MaxSteps = 2, 6 // the same steps of the rollouts
		}
		fn := fixture.SetUp(t, &stepsFn{Config: cfg, imagination: imagined(fixture.Models(t))})
		got, err := fn.estimate(t.Context(), ends(false))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range got.Pairs {
			steps[i] = append(steps[i], p.Steps-int32(i))
		}
	}
	if !slices.Equal(steps[0], steps[1]) {
		t.Errorf("Δ = i*−1 gives %v, Δ = i* one more than %v", steps[0], steps[1])
	}
}

// TestThreshold: a pair's draw depends on the pair alone, and is one that comes to the
// threshold.
func TestThreshold(t *testing.T) {
	models := fixture.Models(t)
	models.Peaks = true
	cfg := Config{Similarity: Similarity{Kind: Cosine, Space: Raw}, Threshold: -1}
	fn := fixture.SetUp(t, &stepsFn{Config: cfg, imagination: imagined(models)})
	drawn := map[int64]bool{}
	for pair := range int64(40) {
		in := ends(true)
		in.Batch.Pairs[1].Index = pair
		first, err := fn.estimate(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		again, err := fn.estimate(t.Context(), in)
		if err != nil || first.Pairs[1] != again.Pairs[1] {
			t.Fatalf("pair %d drew %+v, then %+v (%v)", pair, first.Pairs[1], again.Pairs[1], err)
		}
		drawn[first.Pairs[1].High.Episode.ID] = true
	}
	if len(drawn) < 4 {
		t.Errorf("of five candidates that all are similar enough %v were drawn", drawn)
	}
}

func TestConstantSteps(t *testing.T) {
	fn := fixture.SetUp(t, &stepsFn{Config: Config{Constant: 3}, imagination: imagined(fixture.Models(t))})
	in := ends(false)
	got, err := fn.estimate(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ends(false), in); d != "" {
		t.Errorf("the element was changed (-before +after):\n%s", d)
	}
	want := in.Batch.Pairs
	for i := range want {
		want[i].Steps = 3
	}
	if d := cmp.Diff(want, got.Pairs); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestNormalised: scaling states by the data's moments makes them comparable.
func TestNormalised(t *testing.T) {
	fn := fixture.SetUp(t, &stepsFn{Config: Config{Similarity: Similarity{Kind: Cosine, Space: Normalised}}, imagination: imagined(fixture.Models(t))})
	info := fn.Info()
	above := make([]float32, info.ObservationDim)
	for d := range above {
		above[d] = info.StateMean[d] + 2*info.StateScale[d]
	}
	for _, v := range fn.comparable(append(above, info.StateMean...))[:info.ObservationDim] {
		if v < 1.99 || v > 2.01 {
			t.Errorf("two standard deviations above the mean are %v", v)
		}
	}
}

// TestDenoiserSpace: states are compared as the denoiser has them.
func TestDenoiserSpace(t *testing.T) {
	fn := fixture.SetUp(t, &stepsFn{Config: Config{Similarity: Similarity{Kind: Cosine, Space: Denoiser}}, imagination: imagined(fixture.Models(t))})
	states := ends(false).Targets
	got := fn.comparable(states)
	back := make([]float32, len(got))
	fn.Info().States.Invert(back, got)
	for i, v := range back {
		if d := v - states[i]; d < -1e-4 || d > 1e-4 {
			t.Errorf("value %d is %v, and %v when the normaliser is inverted", i, states[i], v)
		}
	}
	if cmp.Equal(got, states) {
		t.Error("the states are as they were")
	}
}

// TestConstantStepsImagineNothing estimates without any model, which an imagination
// would ask for: a constant Δ with entries of the plan's needs none.
func TestConstantStepsImagineNothing(t *testing.T) {
	got, err := (&stepsFn{Config: Config{Constant: 3}}).estimate(t.Context(), ends(false))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range got.Pairs {
		if p.Steps != 3 || p.High.Episode.ID != int64(10+i) || p.Similarity != 0 {
			t.Errorf("pair %d has Δ %d, enters episode %d, similarity %v", i, p.Steps, p.High.Episode.ID, p.Similarity)
		}
	}
}

func TestSetupRefuses(t *testing.T) {
	missing := fixture.Models(t)
	missing.Dir = t.TempDir()
	tests := []struct {
		name   string
		cfg    Config
		models session.Options
		want   string
	}{
		{"too many steps", Config{MinSteps: 7}, fixture.Models(t), "do not fit the model's horizon 8"},
		{"no models", Config{}, missing, missing.Dir},
	}
	for _, test := range tests {
		fn := &stepsFn{Config: test.cfg, imagination: imagined(test.models)}
		if err := fn.Setup(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}
