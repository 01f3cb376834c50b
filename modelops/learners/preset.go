package learners

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// presets are CORL's settings where they differ from the learner's defaults, by
// environment. A name stands for all that begin with it, and the longest counts.
var presets = map[string]func(*Config){
	"halfcheetah":          locomotion,
	"hopper":               locomotion,
	"hopper-medium":        hopperMedium,
	"hopper-medium-expert": hopperMediumExpert,
	"walker2d":             locomotion,
	"pen":                  pen,
	"maze":                 maze,
	"pointmaze":            maze,
}

// Preset is a learner's configuration for an environment, by a name such as
// hopper-medium-replay-v2, pen-human-v1 or pointmaze; the learner's defaults where the
// name is empty or none of PresetNames begins it.
func Preset(learner Learner, environment string) (Config, error) {
	cfg := Config{
		Learner: learner, Seeds: []uint64{0}, Steps: 1_000_000, Batch: 256, Ratio: Ratio{Original: 1},
		LearningRate: 3e-4, ObservationEpsilon: 1e-3, Rewards: Rewards{Scale: 1}, MaxAction: 1, SaveEvery: 20_000,
	}
	switch learner {
	case IQL:
		cfg.IQL = &IQLConfig{Hidden: 256, Discount: 0.99, Tau: 0.005, Beta: 3, Expectile: 0.7, MaxAdvantage: 100}
	default:
		return Config{}, fmt.Errorf("learners: no learner %q, there are %v", learner, Learners)
	}
	longest := ""
	for name := range presets {
		if strings.HasPrefix(strings.ToLower(environment), name) && len(name) > len(longest) {
			longest = name
		}
	}
	if set, found := presets[longest]; found {
		set(&cfg)
	}
	return cfg, nil
}

// PresetNames lists the environments that have settings of their own.
func PresetNames() []string { return slices.Sorted(maps.Keys(presets)) }

// locomotion scales the rewards so that returns span 1000.
func locomotion(cfg *Config) {
	if cfg.IQL != nil {
		cfg.Rewards = Rewards{Scale: 1000, ByReturns: true}
	}
}

func hopperMedium(cfg *Config) {
	locomotion(cfg)
	if cfg.IQL != nil {
		cfg.IQL.Deterministic, cfg.IQL.Tau = true, 0.001
	}
}

func hopperMediumExpert(cfg *Config) {
	locomotion(cfg)
	if cfg.IQL != nil {
		cfg.IQL.Beta, cfg.IQL.Expectile = 6, 0.5
	}
}

func pen(cfg *Config) {
	if cfg.IQL != nil {
		cfg.IQL.Expectile = 0.8
	}
}

func maze(cfg *Config) {}
