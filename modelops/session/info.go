package session

import (
	"cmp"
	"encoding/json"
	"fmt"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training"
)

// Info describes models of a folder. What is said of a model is zero where it is
// not one of them.
type Info struct {
	Kinds          []training.Kind // in the order of training.Kinds
	ObservationDim int             // S
	ActionDim      int             // A
	Horizon        int             // H, states in a window: the net's, or those of the longest training episode if fewer
	DenoisingSteps int             // K of the denoiser
	SamplerSteps   int             // of SynthER's sampler
	Latent         int             // values that an action of the rollout policy is drawn from

	ActionLow  []float32 // [A], the training data's range
	ActionHigh []float32 // [A]
	StateScale []float32 // [S], standard deviation of the training data's states
	StateMean  []float32 // [S]
	DeltaScale []float32 // [S], root mean square of s_{t+1} − s_t
	// EpisodeConstant lists the dimensions of the states that no step changes, though
	// they differ between episodes: a bridge has them from s′_1.
	EpisodeConstant []int
	// Windows are what the denoiser learned from.
	Windows training.Windows

	Conditioning string // of the denoiser: zeros or interpolated
	// States is how the denoiser has states.
	States checkpoint.Normalizer

	DatasetFingerprint string
	// Terminals is whether f_ϕ predicts terminal states too.
	Terminals bool
	// DynamicsNets is the number of nets that f_ω is the mean of.
	DynamicsNets int
	// Refiners is the number of nets that refine bridges and don't judge; 0 where the
	// same ones do both.
	Refiners int
	// RefinerError is the error on held-out transitions of the nets that refine.
	RefinerError training.ErrorQuantiles
	// MaxDisagreement is the nets' largest disagreement on the training data.
	MaxDisagreement float64
	// DynamicsError is f_ω's error on held-out transitions, and StretchError the largest
	// on each held-out stretch: that of transitions in models of earlier versions.
	DynamicsError, StretchError training.ErrorQuantiles

	Models  map[training.Kind]Model
	Backend backend.Info // zero from Describe
}

// Model is what is known of one of the models.
type Model struct {
	Hash     string
	Identity checkpoint.Identity
	Details  training.Details
}

// Hashes are the models' hashes, as Options takes them.
func (i Info) Hashes() (hashes Hashes) {
	for n, kind := range training.Kinds {
		hashes[n] = i.Models[kind].Hash
	}
	return hashes
}

// Describe reads what models of a folder say of themselves, and checks that all
// are finished and belong together. It opens no backend.
func Describe(dir string, kinds []training.Kind) (Info, error) {
	info := Info{Kinds: kinds, Models: map[training.Kind]Model{}}
	for i, kind := range kinds {
		folder := checkpoint.Join(dir, string(kind))
		m, hash, err := checkpoint.Describe(folder)
		if err != nil {
			return Info{}, fmt.Errorf("session: %w", err)
		}
		if i == 0 {
			info.ObservationDim, info.ActionDim = m.ObservationDim, m.ActionDim
			info.DatasetFingerprint = m.Identity.DatasetFingerprint
		}
		if err := info.agrees(kind, m); err != nil {
			return Info{}, fmt.Errorf("session: %s: %w", folder, err)
		}
		described := Model{Hash: hash, Identity: m.Identity}
		if err := json.Unmarshal(m.Details, &described.Details); err != nil {
			return Info{}, fmt.Errorf("session: reading the details of %s: %w", folder, err)
		}
		info.Models[kind] = described
	}
	if err := info.fill(); err != nil {
		return Info{}, fmt.Errorf("session: %s: %w", dir, err)
	}
	return info, nil
}

// agrees compares a model with the first one.
func (i Info) agrees(kind training.Kind, m checkpoint.Model) error {
	switch {
	case m.Kind != string(kind):
		return fmt.Errorf("%w: it holds a %s model", errDisagree, m.Kind)
	case m.ObservationDim != i.ObservationDim || m.ActionDim != i.ActionDim:
		return fmt.Errorf("%w: it is for %d observation and %d action dimensions, the %s for %d and %d",
			errDisagree, m.ObservationDim, m.ActionDim, i.Kinds[0], i.ObservationDim, i.ActionDim)
	case m.Identity.DatasetFingerprint != i.DatasetFingerprint:
		return fmt.Errorf("%w: it was trained on dataset %.12s, the %s on %.12s",
			errDisagree, m.Identity.DatasetFingerprint, i.Kinds[0], i.DatasetFingerprint)
	}
	return nil
}

// fill takes the common values out of the models.
func (i *Info) fill() error {
	first := i.Kinds[0]
	stats := i.Models[first].Details.Statistics
	if len(stats.ObservationScale) != i.ObservationDim || len(stats.ActionLow) != i.ActionDim {
		return fmt.Errorf("the %s model's statistics have %d and %d dimensions, want %d and %d",
			first, len(stats.ObservationScale), len(stats.ActionLow), i.ObservationDim, i.ActionDim)
	}
	i.ActionLow, i.ActionHigh = stats.ActionLow, stats.ActionHigh
	i.EpisodeConstant = stats.EpisodeConstant
	i.StateMean, i.StateScale, i.DeltaScale = stats.ObservationMean, stats.ObservationScale, stats.DeltaScale
	for _, kind := range i.Kinds {
		if err := i.fillFrom(kind); err != nil {
			return fmt.Errorf("the %s model: %w", kind, err)
		}
	}
	return nil
}

// fillFrom takes what the others don't say out of one model.
func (i *Info) fillFrom(kind training.Kind) error {
	m := i.Models[kind]
	switch kind {
	case training.Denoiser:
		var cfg training.DenoiserConfig
		if err := json.Unmarshal(m.Identity.Config, &cfg); err != nil {
			return fmt.Errorf("reading its configuration: %w", err)
		}
		i.DenoisingSteps = cfg.Diffusion.DenoisingSteps
		if err := current(m.Details); err != nil {
			return err
		}
		i.Horizon, i.Windows = windowStates(cfg, m.Details), *m.Details.Windows
		i.Conditioning, i.States = string(cfg.Diffusion.Conditioning), m.Details.Normalizer
	case training.Reward:
		var cfg training.RegressorConfig
		if err := json.Unmarshal(m.Identity.Config, &cfg); err != nil {
			return fmt.Errorf("reading its configuration: %w", err)
		}
		i.Terminals = cfg.Terminals
	case training.Dynamics:
		if m.Details.HeldOutError == nil {
			return fmt.Errorf("it has no held-out error")
		}
		i.DynamicsNets, i.DynamicsError = len(m.Details.Elites), *m.Details.HeldOutError
		i.MaxDisagreement = m.Details.MaxDisagreement
		var cfg training.RegressorConfig
		if err := json.Unmarshal(m.Identity.Config, &cfg); err != nil {
			return fmt.Errorf("reading its configuration: %w", err)
		}
		i.StretchError = *cmp.Or(m.Details.StretchError, m.Details.HeldOutError)
		i.Refiners, i.RefinerError = cfg.Refiners, *cmp.Or(m.Details.RefinerError, m.Details.HeldOutError)
	case training.SynthER:
		var cfg training.SynthERConfig
		if err := json.Unmarshal(m.Identity.Config, &cfg); err != nil {
			return fmt.Errorf("reading its configuration: %w", err)
		}
		i.SamplerSteps = cfg.Diffusion.Steps
	case training.RolloutPolicy:
		var cfg training.PolicyConfig
		if err := json.Unmarshal(m.Identity.Config, &cfg); err != nil {
			return fmt.Errorf("reading its configuration: %w", err)
		}
		i.Latent = cfg.Net.Latent()
	}
	return nil
}
