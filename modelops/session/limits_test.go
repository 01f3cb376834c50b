package session

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
)

// withConstants is the walk with three more dimensions of the states: always 1, 1 up to
// its last bit, and a goal of each episode.
func withConstants(episodes, steps int) *training.Data {
	data, rng := walk(), rand.New(rand.NewPCG(6, 1))
	data.Trajectories, data.ObservationDim = data.Trajectories[:episodes], 5
	for i := range data.Trajectories {
		t := &data.Trajectories[i]
		goal := 3 + rng.Float32()
		var states []float32
		for step := range steps {
			one := float32(1)
			if rng.IntN(2) == 0 {
				one = math.Nextafter32(1, 2)
			}
			states = append(states, t.States[2*step], t.States[2*step+1], 1, one, goal)
		}
		t.States, t.Actions, t.Rewards = states, t.Actions[:2*steps], t.Rewards[:steps]
	}
	return data
}

// trainDenoiser trains one of few steps.
func trainDenoiser(t *testing.T, data *training.Data, change func(*training.DenoiserConfig)) (dir string) {
	t.Helper()
	cfg, dir := walkConfig(t), t.TempDir()
	cfg.Denoiser.Steps = 4
	change(&cfg.Denoiser)
	if _, err := training.Train(t.Context(), training.Denoiser, cfg, data, dir, training.Options{Backend: backend.Go}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSampledStatesKeepToTheData: hidden states, of a net that has hardly learned, lie
// within the data's range and its margin; what is constant there is so in them; and a goal
// is that of s′_1 on a bridge, and that of s_T where nothing else is known.
func TestSampledStatesKeepToTheData(t *testing.T) {
	data := withConstants(10, 20)
	low, high := []float32{math.MaxFloat32, math.MaxFloat32}, []float32{-math.MaxFloat32, -math.MaxFloat32}
	for _, trajectory := range data.Trajectories {
		for i, v := range trajectory.States {
			if d := i % 5; d < 2 {
				low[d], high[d] = min(low[d], v), max(high[d], v)
			}
		}
	}
	for _, normalizer := range []string{checkpoint.Gaussian, checkpoint.Quantile} {
		margin := float32(0.05)
		dir := trainDenoiser(t, data, func(c *training.DenoiserConfig) {
			if c.Normalizer = normalizer; normalizer == checkpoint.Quantile {
				c.Diffusion.Margin, margin = 0, 0
			}
		})
		backendtest.ForEachName(t, func(t *testing.T, name string) {
			for _, kind := range []string{diffusion.DDIM, diffusion.DDPM} {
				opts := ddim(dir, name)
				opts.Kinds, opts.Sampler.Kind = []training.Kind{training.Denoiser}, kind
				s := mustOpen(t, opts)
				known, mask := make([]float32, 2*8*5), make([]float32, 2*8)
				copy(known, []float32{5, 0, 1, 1, 3.25})
				copy(known[5*5:], []float32{5, 1, 1, 1, 3.75})
				copy(known[8*5:], []float32{5, 0, 1, 1, 3.5})
				mask[0], mask[5], mask[8] = 1, 1, 1
				states, err := s.Sample(known, mask, []uint64{1, 2})
				if err != nil {
					t.Fatal(err)
				}
				for i, m := range mask {
					if m == 1 {
						continue
					}
					state, goal := states[5*i:5*i+5], float32(3.75)
					if i > 8 {
						goal = 3.5
					}
					if state[2] != 1 || math.Abs(float64(state[3]-1)) > 1e-6 || state[4] != goal {
						t.Errorf("%s, %s: position %d has %v, want 1, 1 and %v", normalizer, kind, i, state[2:], goal)
					}
					for d := range 2 {
						room := margin*(high[d]-low[d]) + 1e-4
						if state[d] < low[d]-room || state[d] > high[d]+room {
							t.Errorf("%s, %s: position %d has %v, the data [%v, %v]", normalizer, kind, i, state[d], low[d], high[d])
						}
					}
				}
			}
		})
	}
}

// TestDataShorterThanTheHorizon: windows are as long as the longest episode then.
func TestDataShorterThanTheHorizon(t *testing.T) {
	dir := trainDenoiser(t, withConstants(10, 6), func(*training.DenoiserConfig) {})
	opts := ddim(dir, backend.Go)
	opts.Kinds = []training.Kind{training.Denoiser}
	s := mustOpen(t, opts)
	if got := s.Info().Horizon; got != 6 {
		t.Fatalf("windows of %d states, want 6", got)
	}
	known, mask := make([]float32, 6*6*5), make([]float32, 6*6) // a batch and a half
	for row := range 6 {
		copy(known[row*6*5:], []float32{5, float32(row), 1, 1, float32(row)})
		mask[row*6] = 1
	}
	states, err := s.Sample(known, mask, []uint64{1, 2, 3, 4, 5, 6})
	if err != nil || len(states) != len(known) {
		t.Fatalf("%d values, %v; want %d", len(states), err, len(known))
	}
	for i, v := range states {
		if d, row := i%5, i/30; d == 4 && v != float32(row) || math.IsNaN(float64(v)) {
			t.Errorf("window %d, position %d, dimension %d is %v", row, i/5%6, d, v)
		}
	}
}

// TestEarlierModels: a denoiser without the details that sampling needs is refused; the
// other models run as they did.
func TestEarlierModels(t *testing.T) {
	dir := copyOf(t, walkModels(t))
	for _, kind := range training.KindsOf(training.MethodDiffStitch) {
		folder := filepath.Join(dir, string(kind))
		m, _, weights, err := checkpoint.Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		m.Details = regexp.MustCompile(`"(windows|observation_low|observation_high)"`).ReplaceAll(m.Details, []byte(`"of_later_$1"`))
		if _, err := checkpoint.Save(folder, m, weights); err != nil {
			t.Fatal(err)
		}
	}
	opts := ddim(dir, backend.Go)
	if _, err := Shared(opts); err == nil || !strings.Contains(err.Error(), "run `diffstitch train` again") {
		t.Errorf("a denoiser of an earlier version gave %v", err)
	}
	opts.Kinds = []training.Kind{training.InverseDynamics, training.Reward, training.Dynamics}
	states, actions := []float32{5, 0}, []float32{1, 0}
	got, _, err := mustOpen(t, opts).Dynamics(states, actions)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := mustOpen(t, ddim(walkModels(t), backend.Go)).Dynamics(states, actions)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("a dynamics model of an earlier version predicts %v, want %v (%v)", got, want, err)
	}
}

// TestLimitsHoldTheData: in every preset no state of the data, however skewed, lies out of
// the bounds, which are its range and at most a margin.
func TestLimitsHoldTheData(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var data []float32
	low, high := []float32{math.MaxFloat32, math.MaxFloat32}, []float32{-math.MaxFloat32, -math.MaxFloat32}
	for range 5000 {
		row := []float32{float32(rng.NormFloat64()), float32(math.Exp(2 * rng.NormFloat64()))} // up to dozens of σ
		for d, v := range row {
			low[d], high[d] = min(low[d], v), max(high[d], v)
		}
		data = append(data, row...)
	}
	for _, name := range training.PresetNames {
		cfg, err := training.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		normalizer, err := checkpoint.Fit(cfg.Denoiser.Normalizer, data, 2)
		if err != nil {
			t.Fatal(err)
		}
		l := limits(cfg.Denoiser.Diffusion, training.Details{
			Normalizer: normalizer, Statistics: training.Statistics{ObservationLow: low, ObservationHigh: high},
		})
		normalised := make([]float32, len(data))
		normalizer.Apply(normalised, data)
		for i, v := range normalised {
			if d := i % 2; v < l.Last.Low[d] || v > l.Last.High[d] {
				t.Fatalf("%s: %v, normalised to %v, lies out of [%v, %v]", name, data[i], v, l.Last.Low[d], l.Last.High[d])
			}
		}
		for d := range 2 {
			if l.First.Low[d] < -1 || l.First.High[d] > 1 || l.First.Low[d] < l.Last.Low[d] || l.First.High[d] > l.Last.High[d] {
				t.Errorf("%s: dimension %d begins within [%v, %v] and ends within [%v, %v]", name, d, l.First.Low[d], l.First.High[d], l.Last.Low[d], l.Last.High[d])
			}
		}
		bounds := append(append([]float32(nil), l.Last.Low...), l.Last.High...)
		normalizer.Invert(bounds, bounds)
		for d := range 2 {
			room := float32(0.051) * (high[d] - low[d])
			if bounds[d] < low[d]-room || bounds[2+d] > high[d]+room {
				t.Errorf("%s: dimension %d is bounded by [%v, %v], the data by [%v, %v]", name, d, bounds[d], bounds[2+d], low[d], high[d])
			}
		}
	}
}
