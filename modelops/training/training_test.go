package training

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/diffusion"
)

func mustTrain(t *testing.T, kind Kind, cfg Config, data *Data, dir string, opts Options) Result {
	t.Helper()
	result, err := Train(context.Background(), kind, cfg, data, dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// weightsOf are the weights of a finished model.
func weightsOf(t *testing.T, r Result) []checkpoint.Tensor {
	t.Helper()
	_, _, weights, err := checkpoint.Open(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return weights
}

// An interrupted and resumed training must end as one that was not, down to the
// last bit and the last point of the loss curve.
func TestResumedTrainingEqualsUninterrupted(t *testing.T) {
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		kinds := Kinds
		if name == backend.XLA {
			kinds = []Kind{Denoiser, Dynamics} // the others' graphs are made of the same
		}
		testResumed(t, name, kinds)
	})
}

func testResumed(t *testing.T, backendName string, kinds []Kind) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			data, opts := toy(6, 20), Options{Backend: backendName, Seed: 11}
			whole := mustTrain(t, kind, toyConfig(), data, t.TempDir(), opts)

			dir := t.TempDir()
			ctx, cancel := context.WithCancel(context.Background())
			interrupted := opts
			interrupted.Progress = func(p Progress) {
				if p.Step >= 20 {
					cancel()
				}
			}
			if _, err := Train(ctx, kind, toyConfig(), data, dir, interrupted); !errors.Is(err, context.Canceled) {
				t.Fatalf("interrupted training gave %v", err)
			}
			_, _, _, err := checkpoint.Open(filepath.Join(dir, string(kind)))
			if err == nil || !strings.Contains(err.Error(), "to resume") {
				t.Fatalf("opening the half-trained model gave %v", err)
			}
			resumed := mustTrain(t, kind, toyConfig(), data, dir, opts)
			if resumed.ResumedFrom < 20 || resumed.ResumedFrom >= 40 {
				t.Errorf("resumed from step %d", resumed.ResumedFrom)
			}
			if diff := cmp.Diff(weightsOf(t, whole), weightsOf(t, resumed)); diff != "" {
				t.Errorf("weights differ:\n%s", diff)
			}
			if resumed.Hash != whole.Hash {
				t.Errorf("models differ:\n%s", cmp.Diff(whole.Details, resumed.Details))
			}
		})
	}
}

// TestStepsDoNotDependOnCalls: what a step computes is the same in one call of many steps and
// in a call of its own.
func TestStepsDoNotDependOnCalls(t *testing.T) {
	engine := backendtest.Open(t, backend.XLA)
	const steps = 12
	for _, kind := range []Kind{Denoiser, Dynamics} {
		trained := func(perCall int) (losses float64, variables []checkpoint.Tensor) {
			j, err := newJob(kind, toyConfig(), toy(6, 20), Options{Seed: 5})
			if err != nil {
				t.Fatal(err)
			}
			l, err := newLoop(engine, j, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Finalize()
			for l.Done() < steps {
				if err := l.advance(l.Done() + perCall); err != nil {
					t.Fatal(err)
				}
			}
			variables, err = l.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			return l.progress.LossSum, variables
		}
		once, want := trained(steps)
		each, got := trained(1)
		if diff := cmp.Diff(want, got); diff != "" || once != each {
			t.Errorf("%s: losses of %g in one call, %g in %d; variables differ:\n%s", kind, once, each, steps, diff)
		}
	}
}

func TestFinishedModels(t *testing.T) {
	dir, data, opts := t.TempDir(), toy(4, 10), Options{Backend: backend.Go, Seed: 1, Steps: 8}
	first := mustTrain(t, InverseDynamics, toyConfig(), data, dir, opts)
	again := mustTrain(t, InverseDynamics, toyConfig(), data, dir, opts)
	if first.Reused || !again.Reused || again.Hash != first.Hash {
		t.Errorf("first %v, again %v", first.Reused, again.Reused)
	}
	if diff := cmp.Diff(first.Details, again.Details); diff != "" {
		t.Errorf("details of a reused model:\n%s", diff)
	}
	tests := []struct {
		name   string
		change func(cfg *Config, data *Data, opts *Options)
		want   string
	}{
		{"configuration", func(cfg *Config, _ *Data, _ *Options) { cfg.Inverse.Hidden = 32 }, "hidden 16 against 32"},
		{"steps", func(_ *Config, _ *Data, opts *Options) { opts.Steps = 9 }, "steps 8 against 9"},
		{"seed", func(_ *Config, _ *Data, opts *Options) { opts.Seed = 2 }, "seed 1 against 2"},
		{"data", func(_ *Config, data *Data, _ *Options) { data.Fingerprint = "other" }, "dataset toy against other"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			cfg, other, changed := toyConfig(), *data, opts
			tc.change(&cfg, &other, &changed)
			_, err := Train(context.Background(), InverseDynamics, cfg, &other, dir, changed)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "another folder") {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestUnfinishedTrainingOfSomethingElse(t *testing.T) {
	dir, data := t.TempDir(), toy(4, 10)
	ctx, cancel := context.WithCancel(context.Background())
	opts := Options{Backend: backend.Go, Progress: func(Progress) { cancel() }}
	if _, err := Train(ctx, Reward, toyConfig(), data, dir, opts); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	_, err := Train(context.Background(), Reward, toyConfig(), data, dir, Options{Backend: backend.Go, Seed: 9})
	if err == nil || !strings.Contains(err.Error(), "unfinished training of something else (seed 0 against 9)") {
		t.Errorf("got %v", err)
	}
}

func TestPerceptronsLearn(t *testing.T) {
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		cfg, data := toyConfig(), toy(40, 40)
		for _, c := range []*RegressorConfig{&cfg.Inverse, &cfg.Reward, &cfg.Dynamics} {
			c.Steps, c.Batch, c.Hidden, c.EvaluateEvery = 400, 64, 32, 100
		}
		dir, opts := t.TempDir(), Options{Backend: name, Seed: 1}
		limits := map[Kind]float64{InverseDynamics: 0.01, Reward: 0.1, Dynamics: 0.01}
		for _, kind := range []Kind{InverseDynamics, Reward, Dynamics} {
			details := mustTrain(t, kind, cfg, data, dir, opts).Details
			if details.HeldOutLoss > limits[kind] {
				t.Errorf("%s: held-out loss %v, want at most %v", kind, details.HeldOutLoss, limits[kind])
			}
			if len(details.Curve) != 4 || details.Curve[3].Loss > details.Curve[0].Loss/2 {
				t.Errorf("%s: curve %v", kind, details.Curve)
			}
			if kind == Dynamics {
				checkErrors(t, *details.HeldOutError)
				// Two steps of 0.1 in any directions lead up to 0.2 apart.
				if median, most := details.ActionEffect.Quantile(0.5), details.ActionEffect.Quantile(1); median < 0.05 || math.Abs(most-0.2) > 0.03 {
					t.Errorf("another's action moves the next state by %v in the median, %v at most, want 0.2", median, most)
				}
			}
		}
	})
}

// A point that is driven over the edge x = 1 ends there: its last state, known or
// not, is terminal. The reward is learned beside that as well as alone.
func TestTerminalsAreLearned(t *testing.T) {
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		cfg := toyConfig().Reward
		cfg.Steps, cfg.Batch, cfg.Hidden, cfg.EvaluateEvery, cfg.Terminals = 800, 64, 32, 100, true
		details := mustTrain(t, Reward, Config{Reward: cfg}, cliff(200), t.TempDir(), Options{Backend: name, Seed: 1}).Details
		score := details.HeldOutTerminals
		if score.Terminal < 5 || score.Found < score.Terminal*3/4 || score.Mistaken > score.Terminal/4 {
			t.Errorf("terminal states: %+v of %d transitions", *score, details.HeldOutExamples)
		}
		if reward := details.HeldOutLoss - score.Loss; reward < 0 || reward > 0.1 {
			t.Errorf("held-out loss of the reward %v, want at most 0.1", reward)
		}
	})
}

func checkErrors(t *testing.T, e ErrorQuantiles) {
	t.Helper()
	if len(e.Raw) != errorQuantiles || len(e.Normalized) != errorQuantiles {
		t.Fatalf("%d and %d quantiles", len(e.Raw), len(e.Normalized))
	}
	for i := 1; i < errorQuantiles; i++ {
		if e.Raw[i] < e.Raw[i-1] || e.Normalized[i] < e.Normalized[i-1] {
			t.Fatalf("quantile %d falls", i)
		}
	}
	// A step moves the point by 0.1.
	if median := e.Quantile(0.5); median <= 0 || median > 0.01 {
		t.Errorf("median error %v, want at most a tenth of a step", median)
	}
}

func TestErrorQuantile(t *testing.T) {
	e := ErrorQuantiles{Raw: []float32{1, 2, 4}}
	for p, want := range map[float64]float64{-1: 1, 0: 1, 0.25: 1.5, 0.5: 2, 0.75: 3, 1: 4, 2: 4} {
		if got := e.Quantile(p); got != want {
			t.Errorf("quantile %v is %v, want %v", p, got, want)
		}
	}
}

func TestDenoiserLearns(t *testing.T) {
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		cfg := toyConfig()
		cfg.Denoiser.Steps, cfg.Denoiser.Batch = 150, 16
		cfg.Denoiser.Diffusion.UNet.Multipliers = []int{1} // XLA compiles for long as it is
		details := mustTrain(t, Denoiser, cfg, toy(20, 30), t.TempDir(), Options{Backend: name}).Details
		if details.HeldOutLoss >= 0.7 {
			t.Errorf("held-out loss %v, want clearly less than the 1 of an untrained net", details.HeldOutLoss)
		}
	})
}

func TestReferenceVariants(t *testing.T) {
	cfg, data, opts := toyConfig(), toy(6, 20), Options{Backend: backend.Go, Steps: 16}
	authors, err := Preset("reference")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("guided denoiser with the quantile normaliser", func(t *testing.T) {
		unet := cfg.Denoiser.Diffusion.UNet
		cfg.Denoiser.Normalizer, cfg.Denoiser.Diffusion = authors.Denoiser.Normalizer, authors.Denoiser.Diffusion
		cfg.Denoiser.Diffusion.UNet = unet
		details := mustTrain(t, Denoiser, cfg, data, t.TempDir(), opts).Details
		if details.Normalizer.Kind != checkpoint.Quantile || details.HeldOutLoss == 0 {
			t.Errorf("details %+v", details)
		}
	})
	t.Run("ensemble", func(t *testing.T) {
		cfg.Dynamics.Members, cfg.Dynamics.Elites = 3, 2
		result := mustTrain(t, Dynamics, cfg, data, t.TempDir(), opts)
		if len(result.Details.Elites) != 2 || result.Details.Elites[0] >= result.Details.Elites[1] {
			t.Errorf("elites %v", result.Details.Elites)
		}
		if n := len(weightsOf(t, result)); n != 3*2*3 {
			t.Errorf("%d weight tensors, want 3 nets of 3 layers of 2", n)
		}
	})
}

func TestTrainRefuses(t *testing.T) {
	nothing := func(*Config, *Data) {}
	tests := []struct {
		name   string
		kind   Kind
		change func(*Config, *Data)
		want   string
	}{
		{"unknown kind", "critic", nothing, "no such model"},
		{"no episodes", Reward, func(_ *Config, d *Data) { d.Trajectories = nil }, "0 episodes"},
		{"one episode", Reward, func(_ *Config, d *Data) { d.Trajectories = d.Trajectories[:1] }, "at least 2"},
		{"ragged episode", Reward, func(_ *Config, d *Data) { d.Trajectories[1].Actions = d.Trajectories[1].Actions[1:] }, "episode 1"},
		{"bad batch", Reward, func(c *Config, _ *Data) { c.Reward.Batch = 0 }, "batch (0)"},
		{"bad elites", Reward, func(c *Config, _ *Data) { c.Reward.Elites = 2 }, "elites (2)"},
		{"terminals of dynamics", Dynamics, func(c *Config, _ *Data) { c.Dynamics.Terminals = true }, "reward model alone"},
		{"bad activation", Reward, func(c *Config, _ *Data) { c.Reward.Activation = "step" }, "activation"},
		{"bad normalizer", Denoiser, func(c *Config, _ *Data) { c.Denoiser.Normalizer = "minmax" }, "minmax"},
		{"bad decay", Denoiser, func(c *Config, _ *Data) { c.Denoiser.Decay = "linear" }, "linear"},
		{"diverging", Dynamics, func(c *Config, _ *Data) { c.Dynamics.LearningRate = 1e30; c.Dynamics.WarmupSteps = 0 }, "lower learning rate"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			cfg, data := toyConfig(), toy(4, 10)
			tc.change(&cfg, data)
			_, err := Train(context.Background(), tc.kind, cfg, data, t.TempDir(), Options{Backend: backend.Go})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestPresetsAreValid(t *testing.T) {
	for _, name := range PresetNames {
		cfg, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range Kinds {
			data := toy(2, cfg.Denoiser.Diffusion.UNet.Horizon)
			if _, err := newJob(kind, cfg, data, Options{}); err != nil {
				t.Errorf("%s: %s: %v", name, kind, err)
			}
		}
	}
	if _, err := Preset("huge"); err == nil {
		t.Error("made a preset that is not there")
	}
}

// TestPresetsFollowTheirSources holds what docs/presets.md says of the nets and the loss.
func TestPresetsFollowTheirSources(t *testing.T) {
	literal, _ := Preset("paper")
	authors, _ := Preset("reference")
	type facts struct {
		Inverse, Dynamics, Width, Nets, Elites, Batch int // linear layers, the output's included
		Loss                                          diffusion.Counted
		Masks                                         diffusion.Masks
		Margin                                        float64
		Normalizer                                    string
	}
	of := func(c Config) facts {
		return facts{c.Inverse.Layers, c.Dynamics.Layers, c.Dynamics.Hidden, c.Dynamics.Members, c.Dynamics.Elites, c.Denoiser.Batch,
			c.Denoiser.Diffusion.Loss, c.Denoiser.Diffusion.Masks, c.Denoiser.Diffusion.Margin, c.Denoiser.Normalizer}
	}
	want := []facts{
		{2, 4, 256, 1, 1, 32, diffusion.LossAll, diffusion.TwoHidden, 0.05, checkpoint.Gaussian},
		{3, 5, 200, 7, 5, 64, diffusion.LossButFirst, diffusion.OneKnown, 0, checkpoint.Quantile},
	}
	if diff := cmp.Diff(want, []facts{of(literal), of(authors)}); diff != "" {
		t.Errorf("paper and reference (-want +got):\n%s", diff)
	}
}

func TestSplitHoldsEpisodesOut(t *testing.T) {
	data := toy(40, 6)
	count := func(t Trajectory) int { return len(t.Rewards) }
	got, err := split(data, 5, count)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.heldOut) != 2*6 || len(got.train) != 38*6 {
		t.Errorf("%d and %d examples, want 2 and 38 episodes of 6", len(got.heldOut), len(got.train))
	}
	held := map[int32]bool{}
	for _, e := range got.heldOut {
		held[e.episode] = true
	}
	for _, e := range got.train {
		if held[e.episode] {
			t.Fatalf("episode %d is on both sides", e.episode)
		}
	}
	again, _ := split(data, 5, count)
	if diff := cmp.Diff(got, again, cmp.AllowUnexported(examples{}, example{})); diff != "" {
		t.Error("the same seed splits differently")
	}
}

func TestSchedule(t *testing.T) {
	s := Schedule{Steps: 100, LearningRate: 1, WarmupSteps: 9, Decay: Cosine, EMA: 0.9}
	if got := s.rate(0); math.Abs(got-0.1) > 1e-9 {
		t.Errorf("first rate %v, want a tenth", got)
	}
	if got := s.rate(50); math.Abs(got-0.5) > 1e-9 {
		t.Errorf("rate half-way %v, want a half", got)
	}
	if got := s.averaging(0); got != 0 {
		t.Errorf("first averaging %v, want 0", got)
	}
	if got := s.averaging(10_000); got != 0.9 {
		t.Errorf("averaging at last %v, want 0.9", got)
	}
	s.Decay = Constant
	if got := s.rate(99); got != 1 {
		t.Errorf("constant rate %v", got)
	}
}

// TestLayoutOfTransitions: a row gives the transition back that it was made of.
func TestLayoutOfTransitions(t *testing.T) {
	data := cliff(10)
	layout := NewLayout(data.statistics())
	last := data.Trajectories[0]
	n := len(last.Rewards) - 2 // of which the state after is known
	row := make([]float32, layout.Width())
	state, action, next := last.States[2*n:2*n+2], last.Actions[2*n:2*n+2], last.States[2*n+2:2*n+4]
	for _, terminal := range []bool{false, true} {
		layout.encode(row, state, action, last.Rewards[n], next, terminal)
		want := Transitions{States: state, Actions: action, Rewards: last.Rewards[n : n+1], Next: next, Terminals: []bool{terminal}}
		if diff := cmp.Diff(want, layout.Decode(row), cmpopts.EquateApprox(0, 1e-5)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	for d := range 2 {
		row[2+d] = 1000 // standard deviations
	}
	if got := layout.Decode(row).Actions; !slices.Equal(got, layout.stats.ActionHigh) {
		t.Errorf("actions %v are out of the data's range, up to %v", got, layout.stats.ActionHigh)
	}
}

func TestKindsOf(t *testing.T) {
	if got := KindsOf(MethodSynthER, MethodDiffStitch); !slices.Equal(got, []Kind{Denoiser, InverseDynamics, Reward, Dynamics, SynthER}) {
		t.Errorf("both methods run %v", got)
	}
	if got := KindsOf(MethodTATU); !slices.Equal(got, []Kind{Reward, Dynamics, RolloutPolicy}) {
		t.Errorf("TATU runs %v", got)
	}
	for _, m := range Methods {
		if len(KindsOf(m)) == 0 {
			t.Errorf("%s runs no model", m)
		}
	}
}
