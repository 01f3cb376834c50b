package training

import (
	"fmt"
	"strings"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/cvae"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/edm"
	"diffstitch/modelops/nets"
)

// presets by name.
var presets = map[string]func() Config{
	"tiny":      tiny,
	"small":     small,
	"paper":     paper,
	"reference": reference,
}

// PresetNames lists the presets from the cheapest to the dearest.
var PresetNames = []string{"tiny", "small", "paper", "reference"}

// Preset is the configuration of that name:
//
//	tiny       trains in a minute or two without an accelerator
//	small      the sizes of the prototype, for datasets such as D4RL's Hopper
//	paper      the paper's: section 3 read literally
//	reference  the authors' code where it differs from the paper
func Preset(name string) (Config, error) {
	make, ok := presets[name]
	if !ok {
		return Config{}, fmt.Errorf("training: no preset %q, there are %s", name, strings.Join(PresetNames, ", "))
	}
	return make(), nil
}

func tiny() Config {
	unet := nets.UNetConfig{Horizon: 16, Channels: 16, Multipliers: []int{1, 2, 4}, Kernel: 5, Groups: 8}
	cfg := fourNets(deviating(unet), Schedule{
		Steps: 1500, Batch: 32, LearningRate: 1e-3, WarmupSteps: 50, Decay: Cosine, EMA: 0.99,
		EvaluateEvery: 300, SaveEvery: 500,
	}, "swish", 128, Schedule{
		Steps: 2000, Batch: 256, LearningRate: 2e-3, WarmupSteps: 50, Decay: Cosine, EMA: 0.99,
		EvaluateEvery: 200, SaveEvery: 500,
	})
	cfg.Dynamics = ensemble(cfg.Dynamics, 2)
	cfg.Policy = rolloutPolicy(cfg.Dynamics.Schedule, 64)
	cfg.SynthER = transitions(128, 64, 32, Schedule{
		Steps: 4000, Batch: 256, LearningRate: 1e-3, WarmupSteps: 50, Decay: Cosine, EMA: 0.99,
		EvaluateEvery: 400, SaveEvery: 1000,
	})
	return cfg
}

func small() Config {
	unet := nets.UNetConfig{Horizon: 32, Channels: 32, Multipliers: []int{1, 2, 4}, Kernel: 5, Groups: 8}
	cfg := fourNets(deviating(unet), Schedule{
		Steps: 4000, Batch: 64, LearningRate: 1e-3, WarmupSteps: 100, Decay: Cosine, EMA: 0.995,
		EvaluateEvery: 200, SaveEvery: 200,
	}, "swish", 256, Schedule{
		Steps: 10_000, Batch: 256, LearningRate: 1e-3, WarmupSteps: 100, Decay: Cosine, EMA: 0.995,
		EvaluateEvery: 500, SaveEvery: 2000,
	})
	cfg.Dynamics = ensemble(cfg.Dynamics, 3)
	cfg.Policy = rolloutPolicy(cfg.Dynamics.Schedule, 256)
	cfg.SynthER = transitions(256, 128, 64, Schedule{
		Steps: 20_000, Batch: 256, LearningRate: 5e-4, WarmupSteps: 100, Decay: Cosine, EMA: 0.995,
		EvaluateEvery: 1000, SaveEvery: 2000,
	})
	return cfg
}

func paper() Config {
	cfg := fourNets(literal(diffusion.TwoHidden), Schedule{
		Steps: 1_000_000, Batch: 32, LearningRate: 2e-4, WarmupSteps: 0, Decay: Constant, EMA: 0.995,
		EvaluateEvery: 5000, SaveEvery: 5000,
	}, "relu", 256, Schedule{
		Steps: 100_000, Batch: 256, LearningRate: 1e-3, WarmupSteps: 0, Decay: Constant, EMA: 0.995,
		EvaluateEvery: 2000, SaveEvery: 10_000,
	})
	cfg.Denoiser.Diffusion.Loss = diffusion.LossAll
	cfg.Policy = rolloutPolicy(cfg.Dynamics.Schedule, 750)
	cfg.SynthER = transitions(1024, 128, 128, Schedule{
		Steps: 100_000, Batch: 256, LearningRate: 3e-4, WarmupSteps: 0, Decay: Cosine, EMA: 0.995,
		EvaluateEvery: 2000, SaveEvery: 5000,
	})
	return cfg
}

// reference follows the authors' code: quantile normaliser, one known interval, a loss
// over all states but the first, two batches of 32 windows an optimizer step, guidance by
// the return, clean states clipped to the normaliser's range, hidden layers of 2 × 256
// for f_ψ, an ensemble of 7 dynamics nets of 4 × 200, of which the best 5 are used, and
// predicted terminal states: learned from the data, where the authors' code has each
// environment's own rule. What differs still is in docs/presets.md.
func reference() Config {
	cfg := paper()
	cfg.Denoiser.Normalizer = checkpoint.Quantile
	cfg.Denoiser.Diffusion = literal(diffusion.OneKnown)
	cfg.Denoiser.Diffusion.Margin, cfg.Denoiser.Diffusion.Loss = 0, diffusion.LossButFirst
	// The mean gradient of two batches of 32 is that of one of 64.
	cfg.Denoiser.Batch = 2 * 32
	cfg.Denoiser.Diffusion.Guidance = &diffusion.Guidance{Dropout: 0.25, Weight: 1.2}
	cfg.Inverse.Layers, cfg.Dynamics.Layers = 2+1, 4+1
	cfg.Dynamics.Hidden, cfg.Dynamics.Activation = 200, "swish"
	cfg.Dynamics.Members, cfg.Dynamics.Elites = ensembleNets, ensembleElites
	cfg.Reward.Terminals = true
	return cfg
}

// fourNets is a denoiser of states scaled by their moments, and three perceptrons
// of the paper's depths, each one net: 2 layers for the inverse dynamics and 4
// for the others.
func fourNets(denoiser diffusion.Config, denoising Schedule, activation string, hidden int, regression Schedule) Config {
	deep := RegressorConfig{Schedule: regression, Hidden: hidden, Layers: 4, Activation: activation, Members: 1, Elites: 1}
	return Config{
		Denoiser: DenoiserConfig{Schedule: denoising, Normalizer: checkpoint.Gaussian, Diffusion: denoiser},
		Inverse:  withLayers(deep, 2),
		Reward:   deep,
		Dynamics: deep,
	}
}

// transitions is SynthER's denoiser, of its paper's depth.
func transitions(width, embedding, steps int, schedule Schedule) SynthERConfig {
	return SynthERConfig{Schedule: schedule, Diffusion: edm.Config{
		Net: nets.ResidualConfig{Width: width, Depth: 6, Embedding: embedding}, Steps: steps,
	}}
}

// rolloutPolicy is TATU's.
func rolloutPolicy(schedule Schedule, hidden int) PolicyConfig {
	return PolicyConfig{Schedule: schedule, Net: cvae.Config{Hidden: hidden}}
}

// literal is the paper's denoiser: horizon 100, K = 100, zeros between the known
// states.
func literal(masks diffusion.Masks) diffusion.Config {
	return diffusion.Config{
		UNet:           nets.UNetConfig{Horizon: 100, Channels: 128, Multipliers: []int{1, 4, 8}, Kernel: 5, Groups: 8},
		DenoisingSteps: 100, Conditioning: diffusion.ConditionZeros, Masks: masks, Margin: margin,
	}
}

// deviating denoises the deviations from lines between the known states, which
// a briefly trained net follows far better than zeros.
func deviating(unet nets.UNetConfig) diffusion.Config {
	return diffusion.Config{UNet: unet, DenoisingSteps: 100, Conditioning: diffusion.ConditionDeviation, Masks: diffusion.TwoHidden, Margin: margin}
}

// margin is how far past the data's range predicted clean states may lie, as a share
// of its width. The authors' code, whose quantile normaliser maps the range to [-1, 1],
// leaves none.
const margin = 0.05

// ensemble has as many nets judge bridges as refine them.
func ensemble(cfg RegressorConfig, nets int) RegressorConfig {
	cfg.Members, cfg.Elites, cfg.Refiners = nets, nets, nets
	return cfg
}

func withLayers(cfg RegressorConfig, layers int) RegressorConfig {
	cfg.Layers = layers
	return cfg
}
