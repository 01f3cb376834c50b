package training

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
)

// withConstants is the toy with six more dimensions of the states: always 1, 1 up to the
// last bit, a goal of each episode, a goal up to the last bit, one that changes once in
// the data, and one that creeps by a hundred-thousandth of its spread.
func withConstants(episodes, steps int) *Data {
	data, rng := toy(episodes, steps), rand.New(rand.NewPCG(2, 4))
	const added = 6
	for i := range data.Trajectories {
		t := &data.Trajectories[i]
		goal, level := 5+rng.Float32(), float32(rng.NormFloat64())
		var states []float32
		for step := range len(t.States) / data.ObservationDim {
			flip, once := rng.IntN(2) == 0, float32(0)
			if i == 0 && step > 0 {
				once = 1
			}
			states = append(states, t.States[step*2:step*2+2]...)
			states = append(states, 1, lastBit(1, flip), goal, lastBit(goal, flip), once, level+1e-5*float32(step))
		}
		t.States = states
	}
	data.ObservationDim += added
	return data
}

func lastBit(v float32, up bool) float32 {
	if up {
		return math.Nextafter32(v, 2*v)
	}
	return v
}

// TestConstantDimensions: what never varies and what no step changes is recognised, also
// where it varies in its last bit, and σ_Δ stays what a net can be fed with.
func TestConstantDimensions(t *testing.T) {
	stats := withConstants(20, 10).statistics()
	if !slices.Equal(stats.Constant, []int{2, 3}) || !slices.Equal(stats.EpisodeConstant, []int{4, 5}) {
		t.Errorf("constant %v, constant in every episode %v; want [2 3] and [4 5]", stats.Constant, stats.EpisodeConstant)
	}
	if got, want := float64(stats.DeltaScale[7]), 1e-3*float64(stats.ObservationScale[7]); math.Abs(got/want-1) > 1e-6 {
		t.Errorf("σ_Δ of what creeps is %v, want %v: a thousandth of its spread", got, want)
	}
	for d, scale := range stats.DeltaScale {
		if float64(scale) < checkpoint.Resolution(stats.ObservationHigh[d]) {
			t.Errorf("dimension %d: σ_Δ is %v, less than float32 tells apart", d, scale)
		}
	}
	lone := &Data{ObservationDim: 1, ActionDim: 1, Trajectories: []Trajectory{
		{States: []float32{1}, Actions: []float32{0}, Rewards: []float32{0}},
		{States: []float32{2}, Actions: []float32{0}, Rewards: []float32{0}},
	}}
	if got := lone.statistics().EpisodeConstant; len(got) > 0 {
		t.Errorf("episodes of one state have constant dimensions: %v", got)
	}
}

// TestStillDimensionsDoNotReachTheNets: f_ψ is not told that a bridge goes to another
// goal, which it never learned from, and f_ω predicts that what no step changes stays.
func TestStillDimensionsDoNotReachTheNets(t *testing.T) {
	data := withConstants(20, 10)
	stats := data.statistics()
	state := data.Trajectories[0].States[:8]
	next := slices.Clone(data.Trajectories[0].States[8:16])
	inverse := newMapping(InverseDynamics, stats, false)
	want, got := make([]float32, inverse.inputs), make([]float32, inverse.inputs)
	inverse.features(want, state, next)
	for _, d := range []int{2, 3, 4, 5} {
		next[d] += 3
	}
	inverse.features(got, state, next)
	if !slices.Equal(got, want) {
		t.Errorf("features %v of a step to another goal, want %v", got, want)
	}
	dynamics := newMapping(Dynamics, stats, false)
	result, output := make([]float32, 8), []float32{1, 1, 1, 1, 1, 1, 1, 1}
	dynamics.result(result, state, output)
	for d := range result {
		if still := d >= 2 && d < 6; still != (result[d] == state[d]) {
			t.Errorf("dimension %d: %v after %v", d, result[d], state[d])
		}
	}
	transition := NewLayout(stats).Decode(make([]float32, NewLayout(stats).Width()))
	for _, d := range []int{2, 3, 4, 5} {
		if transition.States[d] != transition.Next[d] || d < 4 && transition.States[d] != stats.ObservationMean[d] {
			t.Errorf("SynthER's dimension %d goes from %v to %v", d, transition.States[d], transition.Next[d])
		}
	}
}

// TestTrainsOnConstants: models of data with such dimensions learn as those of the toy.
func TestTrainsOnConstants(t *testing.T) {
	for _, kind := range []Kind{InverseDynamics, Dynamics} {
		cfg := toyConfig()
		for _, c := range []*RegressorConfig{&cfg.Inverse, &cfg.Dynamics} {
			c.Steps, c.Batch, c.Hidden, c.EvaluateEvery = 400, 64, 32, 100
		}
		result, err := Train(context.Background(), kind, cfg, withConstants(40, 40), t.TempDir(), Options{Backend: backend.Go, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if loss := result.Details.HeldOutLoss; loss > 0.02 {
			t.Errorf("%s: held-out loss %v, want at most 0.02", kind, loss)
		}
	}
}
