package learners

import (
	"fmt"
	"maps"
	"slices"
)

// setting is what an environment's configuration changes in the learners' defaults.
type setting struct {
	iql func(*Config)
	dt  func(*Config)
}

// settings are those of CORL's published configurations, by environment. A name
// stands for all that go on from it with a dash or the like, and the longest counts.
// TD3+BC has one configuration for all.
var settings = map[string]setting{
	"halfcheetah":          {iql: scaleByReturns, dt: published(12000, 0.001, 50_000)},
	"hopper":               {iql: scaleByReturns, dt: published(3600, 0.001, 50_000)},
	"hopper-medium":        {iql: hopperMedium, dt: published(3600, 0.001, 50_000)},
	"hopper-medium-expert": {iql: hopperMediumExpert, dt: published(3600, 0.001, 50_000)},
	"walker2d":             {iql: scaleByReturns, dt: published(5000, 0.001, 50_000)},
	"pen":                  {iql: pen, dt: published(3100, 1, 100_000)},
	"maze2d":               {dt: published(280, 1, 100_000)},
}

// PresetNames lists the environments that have settings of their own.
func PresetNames() []string { return slices.Sorted(maps.Keys(settings)) }

// Preset is a learner's configuration for an environment, by a name of D4RL's
// (hopper-medium-replay-v2), Gymnasium's (Hopper-v5, AdroitHandPen-v1) or Minari's
// (D4RL/pen/human-v2), or pointmaze; the learner's defaults where none of PresetNames
// begins it.
func Preset(learner Learner, environment string) (Config, error) {
	cfg := Config{
		Learner: learner, Seeds: []uint64{0}, Steps: 1_000_000, Batch: 256, Ratio: Ratio{Original: 1},
		LearningRate: 3e-4, ObservationEpsilon: 1e-3, Rewards: Rewards{Scale: 1}, MaxAction: 1, SaveEvery: 20_000,
	}
	special := settings[PresetOf(environment)]
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

func pen(cfg *Config) { cfg.IQL.Expectile, cfg.IQL.ActorDropout = 0.8, 0.1 }

// published is what CORL's files have for a Decision Transformer, where its program's
// own defaults are batches of 64 and a rate of 1e-4 (docs/learners.md): the target
// return and its scale are the environment's, the steps the paper's.
func published(target, scale float64, steps int) func(*Config) {
	return func(cfg *Config) {
		cfg.Batch, cfg.LearningRate = 4096, 8e-4
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
		part.Hidden, part.Tau, cfg.Batch, cfg.IQL = 64, 0.02, 128, &part
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
