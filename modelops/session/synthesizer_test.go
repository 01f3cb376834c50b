package session

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat"

	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/training"
)

func synther(dir, name string) Options {
	return Options{Dir: dir, Backend: name, Batch: 512, Kinds: training.KindsOf(training.MethodSynthER)}
}

func seedsUpTo(n int) []uint64 {
	seeds := make([]uint64, n)
	for i := range seeds {
		seeds[i] = uint64(i) + 1
	}
	return seeds
}

// columnsOf are the values of each column, [n, dim].
func columnsOf(values []float32, dim int) [][]float64 {
	columns := make([][]float64, dim)
	for i, v := range values {
		columns[i%dim] = append(columns[i%dim], float64(v))
	}
	return columns
}

// TestSynthesizeMatchesMoments: a briefly trained SynthER gives the walk's moments,
// and the state after follows from the state and the action.
func TestSynthesizeMatchesMoments(t *testing.T) {
	needsLearning(t)
	dir := walkModels(t)
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		s := mustOpen(t, synther(dir, name))
		const n = 1000
		got, err := s.Synthesize(seedsUpTo(n))
		if err != nil {
			t.Fatal(err)
		}
		stats := s.Info().Models[training.SynthER].Details.Statistics
		check := func(what string, values []float32, mean, deviation []float32) {
			for d, column := range columnsOf(values, len(mean)) {
				m, sd := stat.MeanStdDev(column, nil)
				if off := math.Abs(m-float64(mean[d])) / float64(deviation[d]); off > 0.2 {
					t.Errorf("%s %d: mean %.3f, the data's is %.3f ± %.3f", what, d, m, mean[d], deviation[d])
				}
				if ratio := sd / float64(deviation[d]); ratio < 0.8 || ratio > 1.2 {
					t.Errorf("%s %d: deviation %.3f, the data's is %.3f", what, d, sd, deviation[d])
				}
			}
		}
		check("state", got.States, stats.ObservationMean, stats.ObservationScale)
		check("next state", got.Next, stats.ObservationMean, stats.ObservationScale)
		check("action", got.Actions, stats.ActionMean, stats.ActionScale)
		check("reward", got.Rewards, []float32{stats.RewardMean}, []float32{stats.RewardScale})
		states, next := columnsOf(got.States, 2), columnsOf(got.Next, 2)
		for d := range states {
			if r := stat.Correlation(states[d], next[d], nil); r < 0.95 {
				t.Errorf("dimension %d of a state and the one after correlate by %.3f", d, r)
			}
		}
		if slices.Contains(got.Terminals, true) {
			t.Error("a terminal state, of which the data has none")
		}
	})
}

// TestSynthesizeInParts: a row depends on its seed alone, also where the device
// lacks the memory for a batch.
func TestSynthesizeInParts(t *testing.T) {
	dir := walkModels(t)
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		opts := synther(dir, name)
		opts.Batch, opts.Steps = 6, 4
		s := mustOpen(t, opts)
		want, err := s.Synthesize(seedsUpTo(9)) // a batch and a half
		if err != nil {
			t.Fatal(err)
		}
		alone, err := s.Synthesize([]uint64{3})
		if err != nil || !slices.Equal(alone.States, want.States[4:6]) {
			t.Errorf("alone it is %v, with others %v (%v)", alone.States, want.States[4:6], err)
		}
		sampler := onDevice(s).synthesizer
		sampler.fail = func(rows int) error {
			if rows > 2 {
				return ErrOutOfMemory
			}
			return nil
		}
		s.Take()
		got, err := s.Synthesize(seedsUpTo(9))
		if err != nil {
			t.Fatal(err)
		}
		if halvings := s.Take().Halvings; halvings != 2 {
			t.Errorf("%d halvings of 6 rows to at most 2, want 2", halvings)
		}
		for i, v := range got.States {
			// The sampler's steps amplify rounding, with large values more of it.
			if math.Abs(float64(v-want.States[i])) > 20*rounding*max(1, math.Abs(float64(v))) {
				t.Errorf("value %d is %g in parts, %g in a batch", i, v, want.States[i])
			}
		}
	})
}

func TestModelsThatAreNotRun(t *testing.T) {
	dir := walkModels(t)
	s := mustOpen(t, synther(dir, "go"))
	if _, err := s.Rewards([]float32{1, 2}, []float32{3, 4}); err == nil {
		t.Error("rewards without a reward model")
	}
	if _, err := s.Sample(nil, nil, nil); err == nil {
		t.Error("windows without a denoiser")
	}
	if _, err := mustOpen(t, ddim(dir, "go")).Synthesize([]uint64{1}); err == nil {
		t.Error("transitions without SynthER's denoiser")
	}
	if len(Hashes{}) != len(training.Kinds) {
		t.Errorf("%d hashes of %d kinds", len(Hashes{}), len(training.Kinds))
	}
}
