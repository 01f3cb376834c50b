package learners

import (
	"math"
	"strings"
	"testing"

	"github.com/gomlx/compute"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
)

// bandit is a state that says nothing, actions of which most are near -0.5 and some
// near 0.5, and a reward that is larger near 0.5.
func bandit() *Data {
	data := toyData(240)
	for row := range data.Rewards {
		action := float32(-0.5)
		if row%4 == 0 {
			action = 0.5
		}
		for i := range data.ActionDim {
			data.Actions[row*data.ActionDim+i] = action + 0.1*data.Actions[row*data.ActionDim+i]
		}
		data.Rewards[row] = data.Actions[row*data.ActionDim]
		data.Terminals[row] = true
	}
	return data
}

// trained is a policy fresh from training, for the length of the test.
func trained(t *testing.T, engine compute.Backend, cfg Config, data *Data) Policy {
	t.Helper()
	dir := t.TempDir()
	if _, err := Train(t.Context(), engine, dir, cfg, data, nil); err != nil {
		t.Fatal(err)
	}
	p, err := Open(engine, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Finalize)
	return p
}

// meanAction of a policy over the bandit's observations.
func meanAction(t *testing.T, engine compute.Backend, dir string, data *Data) float64 {
	t.Helper()
	p, err := Open(engine, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Finalize()
	const n = 8
	p.Begin(n)
	actions, err := p.Act(data.Observations[:n*data.ObservationDim], make([]float32, n))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, a := range actions {
		sum += float64(a)
	}
	return sum / float64(len(actions))
}

// TestImprovement trains on the bandit: what clones behaviour does what most of the
// data does, what learns values does what is rewarded.
func TestImprovement(t *testing.T) {
	tests := []struct {
		name     string
		learner  Learner
		change   func(*Config)
		from, to float64
	}{
		{"behaviour cloning", IQL, func(c *Config) { c.IQL.Beta = 0 }, -0.6, 0},
		{"iql", IQL, func(c *Config) { c.IQL.Beta = 10 }, 0.3, 0.7},
		{"td3bc", TD3BC, func(c *Config) {}, 0.1, 1},
		{"iql deterministic", IQL, func(c *Config) { c.IQL.Beta, c.IQL.Deterministic = 10, true }, 0.3, 0.7},
	}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		for _, tc := range tests {
			t.Run(tc.name, func(t *testing.T) {
				cfg, data, dir := toyConfig(t, tc.learner, 1), bandit(), t.TempDir()
				cfg.Steps, cfg.Batch, cfg.LearningRate = 600, 32, 3e-3
				tc.change(&cfg)
				if _, err := Train(t.Context(), engine, dir, cfg, data, nil); err != nil {
					t.Fatal(err)
				}
				if got := meanAction(t, engine, dir, data); !(got > tc.from && got < tc.to) {
					t.Errorf("mean action %.3f, want it in (%v, %v)", got, tc.from, tc.to)
				}
			})
		}
	})
}

// TestPolicyOfSeeds checks that each seed acts by its own weights on its own
// observations, whatever the number of episodes.
func TestPolicyOfSeeds(t *testing.T) {
	engine := backendtest.Open(t, backend.Go)
	cfg, data := toyConfig(t, IQL, 1, 2), toyData(16)
	cfg.MaxAction = 2
	p := trained(t, engine, cfg, data)
	if p.Seeds() != 2 {
		t.Errorf("%d seeds", p.Seeds())
	}
	p.Begin(1)
	same := append(data.Observations[:3:3], data.Observations[:3]...)
	one, err := p.Act(same, make([]float32, 2))
	if err != nil {
		t.Fatal(err)
	}
	if near(one[:2], one[2:], 1e-3) {
		t.Errorf("the seeds act alike: %v", one)
	}
	p.Begin(2)
	two, err := p.Act(append(data.Observations[3:6:6], append(same, data.Observations[3:6]...)...), make([]float32, 4))
	if err != nil {
		t.Fatal(err)
	}
	if !near(append(two[2:4:4], two[4:6]...), one, 1e-5) {
		t.Errorf("alone %v, among others %v", one, two)
	}
	for _, a := range two {
		if math.Abs(float64(a)) > 2 {
			t.Errorf("action %v is out of bounds", a)
		}
	}
	if _, err := p.Act(same[1:], make([]float32, 4)); err == nil {
		t.Error("too few observations are taken")
	}
}

func TestOpenUnfinished(t *testing.T) {
	_, err := Open(backendtest.Open(t, backend.Go), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "train one there first") {
		t.Errorf("got %v", err)
	}
}

// TestAim trains a Decision Transformer on episodes that act one way or the other: it
// acts the way whose return it is told to aim at.
func TestAim(t *testing.T) {
	data := toyData(240)
	for row := range data.Rewards {
		action := float32(0.5)
		if row%8 >= 4 {
			action = -0.5
		}
		data.Augmented[row] = false
		data.Rewards[row] = action
		data.Actions[2*row], data.Actions[2*row+1] = action, action
	}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		cfg := toyConfig(t, DT, 1)
		cfg.Steps, cfg.Batch, cfg.LearningRate, cfg.DT.GradientClip = 400, 32, 3e-3, 10
		p := trained(t, engine, cfg, data)
		for _, target := range []float64{math.NaN(), -2, 2} { // the first leaves what is in the data
			if !math.IsNaN(target) {
				p.(Conditioned).Aim(target)
			}
			sign := float32(1)
			if target < 0 {
				sign = -1
			}
			p.Begin(2)
			rewards := make([]float32, 2)
			for step := range 4 { // the last ones with a full context
				actions, err := p.Act(data.Observations[6*step:6*step+6], rewards)
				if err != nil {
					t.Fatal(err)
				}
				for i, a := range actions {
					if !(a*sign > 0.25 && a*sign < 0.75) {
						t.Errorf("aiming at %v, step %d: action %v", target, step, a)
					}
					rewards[i/2] = a
				}
			}
		}
	})
}
