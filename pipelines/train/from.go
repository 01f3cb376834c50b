package train

import (
	"encoding/json"
	"errors"
	"fmt"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// chosen is what is trained: a preset, or what there is in From.
func (o *Options) chosen() (cfg training.Config, kinds []training.Kind, err error) {
	if o.From == "" {
		if cfg, err = o.config(); err != nil {
			return cfg, nil, fmt.Errorf("%w: %w", failure.ErrUsage, err)
		}
		return cfg, o.kinds(), nil
	}
	if err := input.Absolute(&o.From); err != nil {
		return cfg, nil, err
	}
	if kinds, err = Finished(o.From); err != nil {
		return cfg, nil, err
	}
	for _, kind := range kinds {
		m, _, err := checkpoint.Describe(checkpoint.Join(o.From, string(kind)))
		if err == nil {
			err = json.Unmarshal(m.Identity.Config, cfg.Of(kind))
		}
		if err != nil {
			return cfg, nil, fmt.Errorf("train: reading the configuration of the %s model in %q: %w", kind, o.From, err)
		}
	}
	return cfg, kinds, nil
}

// Finished are the models that a folder has; it must have one.
func Finished(dir string) (kinds []training.Kind, err error) {
	var missing error
	for _, kind := range training.Kinds {
		switch _, _, err := checkpoint.Describe(checkpoint.Join(dir, string(kind))); {
		case err == nil:
			kinds = append(kinds, kind)
		case errors.Is(err, checkpoint.ErrUnfinished):
			if missing == nil {
				missing = err
			}
		default:
			return nil, fmt.Errorf("train: %w", err)
		}
	}
	if len(kinds) == 0 {
		return nil, fmt.Errorf("train: %w", missing)
	}
	return kinds, nil
}

// before has the options go on from the model that there is of a kind, and says what it
// knew.
func (fn *modelFn) before(kind training.Kind, opts *training.Options) (known, error) {
	if fn.From == "" {
		return known{}, nil
	}
	m, _, err := checkpoint.Describe(checkpoint.Join(fn.From, string(kind)))
	if err != nil {
		return known{}, err
	}
	var details training.Details
	if err := json.Unmarshal(m.Details, &details); err != nil {
		return known{}, fmt.Errorf("train: reading the details of the %s model in %q: %w", kind, fn.From, err)
	}
	opts.Initial, opts.Seed = fn.From, m.Identity.Seed
	return known{fingerprint: m.Identity.DatasetFingerprint, episodes: details.Knew()}, nil
}
