package session

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
)

// walk is a point in the plane that moves by its action: s′ = s + a/10.
func walk() *training.Data {
	rng := rand.New(rand.NewPCG(3, 5))
	data := &training.Data{ObservationDim: 2, ActionDim: 2, Fingerprint: "walk"}
	for range 30 {
		var t training.Trajectory
		x, y, heading := 5+rng.NormFloat64(), rng.NormFloat64(), rng.Float64()*2*math.Pi
		for range 30 {
			heading += 0.3 * rng.NormFloat64()
			t.States = append(t.States, float32(x), float32(y))
			t.Actions = append(t.Actions, float32(math.Cos(heading)), float32(math.Sin(heading)))
			t.Rewards = append(t.Rewards, float32(x+math.Sin(heading)))
			x, y = x+math.Cos(heading)/10, y+math.Sin(heading)/10
		}
		data.Trajectories = append(data.Trajectories, t)
	}
	return data
}

func walkConfig(t *testing.T) training.Config {
	t.Helper()
	cfg, err := training.Preset("tiny")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Denoiser.Steps, cfg.Denoiser.Batch = 20, 4
	unet := &cfg.Denoiser.Diffusion.UNet
	unet.Horizon, unet.Channels, unet.Multipliers, unet.Kernel, unet.Groups = 8, 8, []int{1, 2}, 3, 4
	for _, c := range []*training.RegressorConfig{&cfg.Inverse, &cfg.Reward, &cfg.Dynamics} {
		c.Steps, c.Batch, c.Hidden = 300, 64, 32
	}
	cfg.Dynamics.Members, cfg.Dynamics.Elites = 1, 1 // that judges, beside those that refine
	cfg.SynthER.Steps, cfg.SynthER.Batch, cfg.SynthER.Diffusion.Net.Width = 1500, 128, 64
	cfg.Policy.Steps, cfg.Policy.Batch, cfg.Policy.Net.Hidden = 300, 64, 32
	if testing.Short() {
		for _, steps := range []*int{&cfg.Denoiser.Steps, &cfg.Inverse.Steps, &cfg.Reward.Steps, &cfg.Dynamics.Steps, &cfg.SynthER.Steps, &cfg.Policy.Steps} {
			*steps = 2
		}
	}
	return cfg
}

// needsLearning skips a test of what the models learnt, which in short they did not.
func needsLearning(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("the models are not trained")
	}
}

func train(t *testing.T, cfg training.Config, data *training.Data, dir string) {
	t.Helper()
	for _, kind := range training.Kinds {
		if _, err := training.Train(context.Background(), kind, cfg, data, dir, training.Options{Backend: backend.Go}); err != nil {
			t.Fatal(err)
		}
	}
}

// models trains the four models of the walk once for all tests.
var models = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "session-models") })

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := models(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func walkModels(t *testing.T) string {
	t.Helper()
	dir, err := models()
	if err != nil {
		t.Fatal(err)
	}
	train(t, walkConfig(t), walk(), dir) // finished models are reused
	return dir
}

func ddim(dir, name string) Options {
	return Options{Dir: dir, Backend: name, Batch: 4, Sampler: diffusion.Sampler{Kind: diffusion.DDIM, Steps: 5}}
}

func mustOpen(t *testing.T, opts Options) *Session {
	t.Helper()
	s, err := Shared(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// task is n windows of which states 0 and 5 are known and the others hold NaN.
func task(n int) (known, mask []float32, seeds []uint64) {
	rng := rand.New(rand.NewPCG(1, 1))
	for row := range n {
		seeds = append(seeds, uint64(row)+100)
		for step := range 8 {
			if step == 0 || step == 5 {
				mask = append(mask, 1)
				known = append(known, 5+rng.Float32(), rng.Float32())
			} else {
				mask = append(mask, 0)
				known = append(known, float32(math.NaN()), float32(math.NaN()))
			}
		}
	}
	return known, mask, seeds
}

func TestSampleKeepsKnownStates(t *testing.T) {
	dir := walkModels(t)
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		for _, kind := range []string{diffusion.DDIM, diffusion.DDPM} {
			opts := ddim(dir, name)
			opts.Sampler.Kind = kind
			s := mustOpen(t, opts)
			known, mask, seeds := task(6) // a batch and a half
			got, err := s.Sample(known, mask, seeds)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range got {
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					t.Fatalf("%s: value %d is %v", kind, i, v)
				}
				if mask[i/2] == 1 && math.Float32bits(v) != math.Float32bits(known[i]) {
					t.Fatalf("%s: known value %d changed from %v to %v", kind, i, known[i], v)
				}
			}
			again, err := s.Sample(known, mask, seeds)
			if err != nil || !slices.Equal(got, again) {
				t.Errorf("%s: the same seeds gave another sample (%v)", kind, err)
			}
			other, err := s.Sample(known, mask, []uint64{1, 2, 3, 4, 5, 6})
			if err != nil || slices.Equal(got, other) {
				t.Errorf("%s: other seeds gave the same sample (%v)", kind, err)
			}
		}
	})
}

func TestWindowsAreIndependent(t *testing.T) {
	s := mustOpen(t, ddim(walkModels(t), backend.Go))
	known, mask, seeds := task(4)
	together, err := s.Sample(known, mask, seeds)
	if err != nil {
		t.Fatal(err)
	}
	const window = 8 * 2
	alone, err := s.Sample(known[:window], mask[:8], seeds[:1])
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(together[:window], alone) {
		t.Error("a window depends on the others of its batch")
	}
}

func TestPerceptronsOfTheWalk(t *testing.T) {
	needsLearning(t)
	dir := walkModels(t)
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		s := mustOpen(t, ddim(dir, name))
		const n = 1500 // more than one chunk
		var states, next, actions, rewards []float32
		rng := rand.New(rand.NewPCG(8, 8))
		for range n {
			heading := rng.Float64() * 2 * math.Pi
			x, y := 5+0.3*rng.NormFloat64(), 0.3*rng.NormFloat64()
			ax, ay := math.Cos(heading), math.Sin(heading)
			states = append(states, float32(x), float32(y))
			next = append(next, float32(x+ax/10), float32(y+ay/10))
			actions = append(actions, float32(ax), float32(ay))
			rewards = append(rewards, float32(x+ay))
		}
		check := func(what string, limit float64, got, want []float32, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
			}
			sum := 0.0
			for i := range got {
				sum += math.Abs(float64(got[i] - want[i]))
			}
			if mean := sum / float64(len(got)); mean > limit {
				t.Errorf("%s: mean error %v, want at most %v", what, mean, limit)
			}
		}
		got, err := s.InverseDynamics(states, next)
		check("actions", 0.1, got, actions, err)
		got, err = s.Rewards(states, actions)
		check("rewards", 0.2, got, rewards, err)
		got, disagreement, err := s.Dynamics(states, actions)
		check("next states", 0.02, got, next, err)
		if len(disagreement) != n || slices.Max(disagreement) != 0 {
			t.Error("one net disagrees with itself")
		}
	})
}

// TestTerminals: steps that end where x is past 5, with x as their reward.
func TestTerminals(t *testing.T) {
	needsLearning(t)
	dir := copyOf(t, walkModels(t))
	if _, err := mustOpen(t, ddim(dir, backend.Go)).Terminals(nil, nil); err == nil || !strings.Contains(err.Error(), "preset reference") {
		t.Errorf("a reward model without terminals gave %v", err)
	}
	data := &training.Data{ObservationDim: 2, ActionDim: 2, Fingerprint: "walk"}
	for i := range 200 {
		x := 4 + float32(i)/100
		data.Trajectories = append(data.Trajectories, training.Trajectory{
			States: []float32{x, 0}, Actions: []float32{1, 0}, Rewards: []float32{x}, Terminal: x > 5,
		})
	}
	cfg := walkConfig(t)
	cfg.Reward.Terminals = true
	replaceReward(t, dir, cfg, data, 300)
	s := mustOpen(t, ddim(dir, backend.Go))
	states, actions := []float32{5.8, 0, 4.2, 0}, []float32{1, 0, 1, 0}
	terminals, err := s.Terminals(states, actions)
	if err != nil || len(terminals) != 2 || terminals[0] < 0.9 || terminals[0] > 1 || terminals[1] > 0.1 || terminals[1] < 0 {
		t.Errorf("terminals %v, %v; want a likely and an unlikely one", terminals, err)
	}
	rewards, err := s.Rewards(states, actions)
	if err != nil || len(rewards) != 2 || math.Abs(float64(rewards[0])-5.8) > 0.1 || math.Abs(float64(rewards[1])-4.2) > 0.1 {
		t.Errorf("rewards %v, %v; want about 5.8 and 4.2", rewards, err)
	}
}

// copyOf is a folder with what another one holds.
func copyOf(t *testing.T, folder string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// replaceReward trains the reward model of a folder anew.
func replaceReward(t *testing.T, dir string, cfg training.Config, data *training.Data, steps int) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, "reward")); err != nil {
		t.Fatal(err)
	}
	if _, err := training.Train(context.Background(), training.Reward, cfg, data, dir, training.Options{Backend: backend.Go, Steps: steps}); err != nil {
		t.Fatal(err)
	}
}

func TestWrongSizesAreErrors(t *testing.T) {
	s := mustOpen(t, ddim(walkModels(t), backend.Go))
	if _, _, err := s.Dynamics(make([]float32, 4), make([]float32, 3)); err == nil {
		t.Error("dynamics took ragged rows")
	}
	if _, err := s.Sample(make([]float32, 5), make([]float32, 8), []uint64{1}); err == nil {
		t.Error("the sampler took a ragged window")
	}
	if got, err := s.Rewards(nil, nil); err != nil || len(got) != 0 {
		t.Errorf("no rows gave %v, %v", got, err)
	}
}

func TestInfo(t *testing.T) {
	dir := walkModels(t)
	info := mustOpen(t, ddim(dir, backend.Go)).Info()
	if info.ObservationDim != 2 || info.ActionDim != 2 || info.Horizon != 8 || info.DatasetFingerprint != "walk" {
		t.Errorf("info %+v", info)
	}
	for d := range 2 {
		if info.ActionLow[d] < -1 || info.ActionHigh[d] > 1 || info.ActionLow[d] > -0.9 || info.ActionHigh[d] < 0.9 {
			t.Errorf("action range %v to %v", info.ActionLow, info.ActionHigh)
		}
		if scale := info.DeltaScale[d]; scale < 0.03 || scale > 0.1 {
			t.Errorf("σ_Δ %v, want about 0.07", scale)
		}
	}
	if len(info.DynamicsError.Raw) == 0 || len(info.Models) != 4 || info.Backend.Kind != backend.Go {
		t.Errorf("info %+v", info)
	}
}

func TestOpenRefuses(t *testing.T) {
	whole := walkModels(t)
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string, opts *Options)
		want    string
	}{
		{"a missing model", func(t *testing.T, dir string, _ *Options) {
			if err := os.RemoveAll(filepath.Join(dir, "reward")); err != nil {
				t.Fatal(err)
			}
		}, "run `diffstitch train`"},
		{"another dataset", func(t *testing.T, dir string, _ *Options) {
			data := walk()
			data.Fingerprint = "other"
			replaceReward(t, dir, walkConfig(t), data, 1)
		}, "trained on dataset other"},
		{"other dimensions", func(t *testing.T, dir string, _ *Options) {
			data := walk()
			data.ActionDim = 1
			for i := range data.Trajectories {
				data.Trajectories[i].Actions = data.Trajectories[i].Actions[:30]
			}
			replaceReward(t, dir, walkConfig(t), data, 1)
		}, "1 action dimensions"},
		{"another kind", func(t *testing.T, dir string, _ *Options) {
			if err := os.CopyFS(filepath.Join(dir, "x"), os.DirFS(filepath.Join(dir, "dynamics"))); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(dir, "reward")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "x"), filepath.Join(dir, "reward")); err != nil {
				t.Fatal(err)
			}
		}, "holds a dynamics model"},
		{"no batch", func(_ *testing.T, _ string, opts *Options) { opts.Batch = 0 }, "batch 0"},
		{"an unknown sampler", func(_ *testing.T, _ string, opts *Options) { opts.Sampler.Kind = "euler" }, "euler"},
		{"an unknown backend", func(_ *testing.T, _ string, opts *Options) { opts.Backend = "torch" }, "torch"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dir := copyOf(t, whole)
			opts := ddim(dir, backend.Go)
			tc.prepare(t, dir, &opts)
			_, err := Shared(opts)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}
