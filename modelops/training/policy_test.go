package training

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/checkpoint"
)

// opened is a finished model, and what runs it.
func opened(t *testing.T, name string, r Result) (compute.Backend, checkpoint.Model, []checkpoint.Tensor) {
	t.Helper()
	m, _, weights, err := checkpoint.Open(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return backendtest.Open(t, name), m, weights
}

// TestPolicyActsAsTheData: on the cliff actions point to the right, within the unit
// circle, and differ with their latent values.
func TestPolicyActsAsTheData(t *testing.T) {
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		cfg, data := toyConfig(), cliff(60)
		cfg.Policy.Steps, cfg.Policy.Batch, cfg.Policy.Net.Hidden = 400, 64, 32
		trained := mustTrain(t, RolloutPolicy, cfg, data, t.TempDir(), Options{Backend: name, Seed: 1})
		engine, m, weights := opened(t, name, trained)
		p, err := NewPolicy(engine, m, weights)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Finalize()
		halved := slices.DeleteFunc(slices.Clone(weights), func(w checkpoint.Tensor) bool { return strings.HasPrefix(w.Name, "decoder/") })
		if _, err := NewPolicy(engine, m, halved); err == nil || !strings.Contains(err.Error(), "lack") {
			t.Errorf("with %d of %d weights: %v", len(halved), len(weights), err)
		}
		const n = regressorRows + 10
		rng := rand.New(rand.NewPCG(1, 2))
		latent := make([]float32, n*p.Latent())
		for i := range latent {
			latent[i] = float32(rng.NormFloat64())
		}
		actions, err := p.Act(make([]float32, 2*n), latent)
		if err != nil || len(actions) != 2*n {
			t.Fatalf("%d action values: %v", len(actions), err)
		}
		stats, mean := trained.Details.Statistics, 0.0
		for i, a := range actions {
			if a < stats.ActionLow[i%2] || a > stats.ActionHigh[i%2] {
				t.Fatalf("action value %g is out of [%g, %g]", a, stats.ActionLow[i%2], stats.ActionHigh[i%2])
			}
			if i%2 == 0 {
				mean += float64(a) / n
			}
		}
		if math.Abs(mean-float64(stats.ActionMean[0])) > 0.3 {
			t.Errorf("actions go to the right by %.2f, the data's by %.2f", mean, stats.ActionMean[0])
		}
		if slices.Equal(actions[:2], actions[2:4]) {
			t.Error("other latent values give the same action")
		}
		if _, err := p.Act(make([]float32, 2), nil); err == nil {
			t.Error("an action of no latent values")
		}
	})
}

// TestPickOfAnEnsemble: the nets' own predictions have the mean as theirs, no transition
// of the data has a larger disagreement than the model says, and there are no more nets
// than the elites.
func TestPickOfAnEnsemble(t *testing.T) {
	cfg, data := toyConfig(), toy(10, 20)
	cfg.Dynamics.Members, cfg.Dynamics.Elites = 3, 2
	trained := mustTrain(t, Dynamics, cfg, data, t.TempDir(), Options{Backend: backend.Go, Seed: 1})
	engine, m, weights := opened(t, backend.Go, trained)
	r, err := NewRegressor(engine, m, weights)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Finalize()
	e := data.Trajectories[3]
	states, actions, n := e.States[:2*len(e.Rewards)], e.Actions, len(e.Rewards)
	mean, first, disagreement, err := r.Pick(states, actions, make([]int, n))
	if err != nil {
		t.Fatal(err)
	}
	_, second, _, err := r.Pick(states, actions, slices.Repeat([]int{1}, n))
	if err != nil {
		t.Fatal(err)
	}
	for i := range mean {
		if middle := (first[i] + second[i]) / 2; math.Abs(float64(middle-mean[i])) > 1e-5 {
			t.Errorf("value %d: the nets have %g and %g, the mean is %g", i, first[i], second[i], mean[i])
		}
	}
	if most := float64(slices.Max(disagreement)); most <= 0 || most > trained.Details.MaxDisagreement+1e-6 {
		t.Errorf("a disagreement of %g, at most %g on the data", most, trained.Details.MaxDisagreement)
	}
	if _, _, _, err := r.Pick(states, actions, slices.Repeat([]int{2}, n)); err == nil {
		t.Error("a net that is not in use")
	}
}
