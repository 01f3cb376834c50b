package learners

import (
	"strings"
	"testing"
)

// TestPresets checks the settings that differ between environments.
func TestPresets(t *testing.T) {
	tests := []struct {
		environment   string
		deterministic bool
		tau, beta     float64
		expectile     float64
		byReturns     bool
		actorDropout  float64
	}{
		{"", false, 0.005, 3, 0.7, false, 0},
		{"pointmaze", false, 0.005, 3, 0.7, false, 0},
		{"Pendulum-v1", false, 0.005, 3, 0.7, false, 0},
		{"AdroitHandDoor-v1", false, 0.005, 3, 0.7, false, 0},
		{"AdroitHandPenSparse-v1", false, 0.005, 3, 0.7, false, 0},
		{"maze2d-umaze-v1", false, 0.005, 3, 0.7, false, 0},
		{"halfcheetah-medium-expert-v2", false, 0.005, 3, 0.7, true, 0},
		{"Walker2d-v5", false, 0.005, 3, 0.7, true, 0},
		{"Hopper-v5", false, 0.005, 3, 0.7, true, 0},
		{"hopper-medium-v2", true, 0.001, 3, 0.7, true, 0},
		{"mujoco/hopper/medium-v0", true, 0.001, 3, 0.7, true, 0},
		{"hopper-medium-replay-v2", true, 0.001, 3, 0.7, true, 0},
		{"hopper-medium-expert-v2", false, 0.005, 6, 0.5, true, 0},
		{"pen-human-v1", false, 0.005, 3, 0.8, false, 0.1},
		{"pen-cloned-v1", false, 0.005, 3, 0.8, false, 0.1},
		{"pen", false, 0.005, 3, 0.8, false, 0.1},
		{"AdroitHandPen-v1", false, 0.005, 3, 0.8, false, 0.1},
		{"D4RL/pen/human-v2", false, 0.005, 3, 0.8, false, 0.1},
		{"d4rl/pen/cloned-v2", false, 0.005, 3, 0.8, false, 0.1},
	}
	for _, tc := range tests {
		cfg, err := Preset(IQL, tc.environment)
		if err != nil {
			t.Fatal(err)
		}
		got := *cfg.IQL
		if got.Deterministic != tc.deterministic || got.Tau != tc.tau || got.Beta != tc.beta || got.Expectile != tc.expectile || cfg.Rewards.ByReturns != tc.byReturns || got.ActorDropout != tc.actorDropout {
			t.Errorf("%q: %+v, %+v", tc.environment, got, cfg.Rewards)
		}
	}
	if HasPreset("pointmaze") || !HasPreset("Hopper-v5") {
		t.Error("it is not told which environments have settings")
	}
	if _, err := Preset("sac", ""); err == nil {
		t.Error("a learner that is none has a preset")
	}
}

// TestDecisionTransformerPresets checks what CORL's files have for an environment, and
// that its program's own defaults are for others.
func TestDecisionTransformerPresets(t *testing.T) {
	type row struct {
		batch, steps        int
		rate, target, scale float64
		dropout             float64
	}
	for environment, want := range map[string]row{
		"halfcheetah-medium-v2":   {4096, 50_000, 8e-4, 12000, 0.001, 0.1},
		"hopper-medium-replay-v2": {4096, 50_000, 8e-4, 3600, 0.001, 0.1},
		"Hopper-v5":               {4096, 50_000, 8e-4, 3600, 0.001, 0.1},
		"walker2d-medium-v2":      {4096, 50_000, 8e-4, 5000, 0.001, 0.1},
		"pen-human-v1":            {4096, 100_000, 8e-4, 3100, 1, 0.1},
		"AdroitHandPen-v1":        {4096, 100_000, 8e-4, 3100, 1, 0.1},
		"D4RL/pen/cloned-v2":      {4096, 100_000, 8e-4, 3100, 1, 0.1},
		"maze2d-umaze-v1":         {4096, 100_000, 8e-4, 280, 1, 0.1},
		"pointmaze":               {64, 100_000, 1e-4, 0, 1, 0.1},
	} {
		cfg, err := Preset(DT, environment)
		if err != nil {
			t.Fatal(err)
		}
		if got := (row{cfg.Batch, cfg.Steps, cfg.LearningRate, cfg.DT.TargetReturn, cfg.Rewards.Scale, cfg.DT.Dropout}); got != want {
			t.Errorf("%s: %+v, want %+v", environment, got, want)
		}
	}
}

func TestPresetsAreValid(t *testing.T) {
	for _, learner := range Learners {
		for _, environment := range append(PresetNames(), "") {
			cfg, err := Preset(learner, environment)
			if err == nil {
				err = cfg.Validate()
			}
			if err != nil {
				t.Errorf("%s for %q: %v", learner, environment, err)
			}
		}
	}
}

func TestInvalidConfig(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no seeds", func(c *Config) { c.Seeds = nil }, "seeds is empty"},
		{"a seed twice", func(c *Config) { c.Seeds = []uint64{1, 2, 1} }, "twice"},
		{"no steps", func(c *Config) { c.Steps = 0 }, "steps"},
		{"no ratio", func(c *Config) { c.Ratio = Ratio{} }, "ratio"},
		{"a batch too small", func(c *Config) { c.Batch, c.Ratio = 1, Ratio{1, 1} }, "batch 1"},
		{"no rate", func(c *Config) { c.LearningRate = 0 }, "learning_rate"},
		{"an expectile of 1", func(c *Config) { c.IQL.Expectile = 1 }, "expectile"},
		{"all dropped", func(c *Config) { c.IQL.ActorDropout = 1 }, "actor_dropout"},
		{"no part", func(c *Config) { c.IQL = nil }, "has the part of iql alone"},
		{"no learner", func(c *Config) { c.Learner, c.IQL = "sac", nil }, "no such learner"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			cfg := toyConfig(t, IQL, 1)
			tc.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
