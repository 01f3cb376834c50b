package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/failure"
)

// withHorizon puts the horizon that was asked for in the place of the preset's.
func (o Options) withHorizon(cfg training.Config) (training.Config, error) {
	if o.Horizon == 0 {
		return cfg, nil
	}
	if !slices.Contains(o.kinds(), training.Denoiser) {
		return cfg, fmt.Errorf("--horizon %d: the models of --method %s have no windows of states: leave the flag out, or train those of %s too",
			o.Horizon, o.Methods[0], training.MethodDiffStitch)
	}
	changed, err := cfg.WithHorizon(o.Horizon)
	if err != nil {
		return cfg, fmt.Errorf("--horizon %d: %w", o.Horizon, err)
	}
	return changed, nil
}

// fitsHorizon fails where a horizon that was asked for is longer than every episode. A
// preset's may be: what lies past an episode's end is padding.
func fitsHorizon(data *training.Data, horizon int) error {
	longest := 0
	for _, t := range data.Trajectories {
		longest = max(longest, len(t.States)/data.ObservationDim)
	}
	if horizon > longest {
		return fmt.Errorf("--horizon %d: the longest episode has %d states: give %d or less, or leave the flag out", horizon, longest, longest)
	}
	return nil
}

// sameHorizon fails where the folder of the models holds a denoiser of another
// horizon, finished or begun.
func (o Options) sameHorizon(cfg training.Config) error {
	if !slices.Contains(o.kinds(), training.Denoiser) {
		return nil
	}
	there, err := horizonOf(checkpoint.Join(o.Models, string(training.Denoiser)))
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if wanted := cfg.Denoiser.Diffusion.UNet.Horizon; there > 0 && there != wanted {
		return fmt.Errorf("%w: --models %s holds a denoiser of horizon %d, and %d is asked for: say --horizon %d to go on with it, or give another --models",
			failure.ErrUsage, o.Models, there, wanted, there)
	}
	return nil
}

// horizonOf is that of a denoiser in a folder; 0 where there is none.
func horizonOf(dir string) (int, error) {
	m, _, err := checkpoint.Describe(dir)
	identity := m.Identity
	if errors.Is(err, checkpoint.ErrUnfinished) {
		var state checkpoint.State
		var begun bool
		if state, begun, err = checkpoint.LoadState(dir); !begun {
			return 0, err
		}
		identity = state.Identity
	}
	if err != nil {
		return 0, err
	}
	var cfg training.DenoiserConfig
	if err := json.Unmarshal(identity.Config, &cfg); err != nil {
		return 0, fmt.Errorf("reading the configuration of %s: %w", dir, err)
	}
	return cfg.Diffusion.UNet.Horizon, nil
}
