package learners

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// setting is what an environment's configuration changes in the learners' defaults.
type setting struct {
	iql func(*Config)
	dt  func(*Config)
}

// settings are CORL's, by environment. A name stands for all that begin with it, and
// the longest counts. TD3+BC has one configuration for all.
var settings = map[string]setting{
	"halfcheetah":          {iql: scaleByReturns, dt: aim(12000, 0.001, 50_000)},
	"hopper":               {iql: scaleByReturns, dt: aim(3600, 0.001, 50_000)},
	"hopper-medium":        {iql: hopperMedium, dt: aim(3600, 0.001, 50_000)},
	"hopper-medium-expert": {iql: hopperMediumExpert, dt: aim(3600, 0.001, 50_000)},
	"walker2d":             {iql: scaleByReturns, dt: aim(5000, 0.001, 50_000)},
	"pen":                  {iql: pen, dt: aim(3100, 1, 100_000)},
	"maze2d":               {dt: aim(280, 1, 100_000)},
}

// PresetNames lists the environments that have settings of their own.
func PresetNames() []string { return slices.Sorted(maps.Keys(settings)) }

// Preset is a learner's configuration for an environment, by a name such as
// hopper-medium-replay-v2, Hopper-v5, pen-human-v1 or pointmaze; the learner's defaults
// where none of PresetNames begins it.
func Preset(learner Learner, environment string) (Config, error) {
	cfg := Config{
		Learner: learner, Seeds: []uint64{0}, Steps: 1_000_000, Batch: 256, Ratio: Ratio{Original: 1},
		LearningRate: 3e-4, ObservationEpsilon: 1e-3, Rewards: Rewards{Scale: 1}, MaxAction: 1, SaveEvery: 20_000,
	}
	special := settings[presetOf(environment)]
	change := special.iql
	switch learner {
	case IQL:
		cfg.IQL = &IQLConfig{Hidden: 256, Discount: 0.99, Tau: 0.005, Beta: 3, Expectile: 0.7, MaxAdvantage: 100}
	case TD3BC:
		cfg.TD3BC = &TD3BCConfig{Hidden: 256, Discount: 0.99, Tau: 0.005, PolicyNoise: 0.2, NoiseClip: 0.5, PolicyDelay: 2, Alpha: 2.5}
		change = nil
	case DT:
		cfg.Steps, cfg.Batch, cfg.LearningRate, cfg.ObservationEpsilon, cfg.SaveEvery = 100_000, 64, 1e-4, 1e-6, 2_000
		cfg.DT = &DTConfig{
			Context: 20, Layers: 3, Width: 128, EpisodeSteps: 1000, Dropout: 0.1,
			WeightDecay: 1e-4, GradientClip: 0.25, WarmupSteps: 10_000,
		}
		change = special.dt
	default:
		return Config{}, fmt.Errorf("learners: no learner %q, there are %v", learner, Learners)
	}
	if change != nil {
		change(&cfg)
	}
	return cfg, nil
}

// HasPreset says whether one of PresetNames begins an environment's name.
func HasPreset(environment string) bool { return presetOf(environment) != "" }

// presetOf finds the longest of PresetNames that begins a name, or "".
func presetOf(environment string) (longest string) {
	for name := range settings {
		if strings.HasPrefix(strings.ToLower(environment), name) && len(name) > len(longest) {
			longest = name
		}
	}
	return longest
}

// scaleByReturns has the returns span 1000.
func scaleByReturns(cfg *Config) { cfg.Rewards = Rewards{Scale: 1000, ByReturns: true} }

func hopperMedium(cfg *Config) {
	scaleByReturns(cfg)
	cfg.IQL.Deterministic, cfg.IQL.Tau = true, 0.001
}

func hopperMediumExpert(cfg *Config) {
	scaleByReturns(cfg)
	cfg.IQL.Beta, cfg.IQL.Expectile = 6, 0.5
}

func pen(cfg *Config) { cfg.IQL.Expectile = 0.8 }

// aim is a Decision Transformer's target return, its scale, and the paper's steps.
func aim(target, scale float64, steps int) func(*Config) {
	return func(cfg *Config) {
		cfg.DT.TargetReturn, cfg.Rewards.Scale, cfg.Steps = target, scale, steps
	}
}

// Tiny is a configuration with nets and batches so small, and rates so high, that
// policies for the built-in maze train in seconds on two cores. What they score is
// nothing to compare with the defaults'.
func Tiny(cfg Config) Config {
	cfg.LearningRate = 1e-3
	switch {
	case cfg.IQL != nil:
		part := *cfg.IQL
		part.Hidden, cfg.Batch, cfg.IQL = 64, 128, &part
	case cfg.TD3BC != nil:
		part := *cfg.TD3BC
		part.Hidden, cfg.Batch, cfg.TD3BC = 64, 128, &part
	case cfg.DT != nil:
		part := *cfg.DT
		part.Context, part.Layers, part.Width, part.WarmupSteps = 10, 1, 64, 100
		cfg.Batch, cfg.DT = 32, &part
	}
	return cfg
}
