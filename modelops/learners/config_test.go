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
	}{
		{"", false, 0.005, 3, 0.7, false},
		{"pointmaze", false, 0.005, 3, 0.7, false},
		{"maze2d-umaze-v1", false, 0.005, 3, 0.7, false},
		{"halfcheetah-medium-expert-v2", false, 0.005, 3, 0.7, true},
		{"Walker2d-v5", false, 0.005, 3, 0.7, true},
		{"Hopper-v5", false, 0.005, 3, 0.7, true},
		{"hopper-medium-v2", true, 0.001, 3, 0.7, true},
		{"hopper-medium-replay-v2", true, 0.001, 3, 0.7, true},
		{"hopper-medium-expert-v2", false, 0.005, 6, 0.5, true},
		{"pen-human-v1", false, 0.005, 3, 0.8, false},
	}
	for _, tc := range tests {
		cfg, err := Preset(IQL, tc.environment)
		if err != nil {
			t.Fatal(err)
		}
		got := *cfg.IQL
		if got.Deterministic != tc.deterministic || got.Tau != tc.tau || got.Beta != tc.beta || got.Expectile != tc.expectile || cfg.Rewards.ByReturns != tc.byReturns {
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
