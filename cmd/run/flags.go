package main

import (
	"fmt"
	"slices"
	"strings"

	"diffstitch/io/dataset"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/input"

	"github.com/spf13/pflag"
)

// addReading offers how a dataset is read.
func addReading(flags *pflag.FlagSet, opts *dataset.Options) {
	flags.StringVar(&opts.Layout, "layout", "", "layout of the data, where it is not recognised: "+dataset.Layouts())
	addColumns(flags, opts)
}

func addColumns(flags *pflag.FlagSet, opts *dataset.Options) {
	flags.IntVar(&opts.MaxEpisodeSteps, "max-episode-steps", 0, fmt.Sprintf("steps that an episode may have; longer ones are rejected (default %d)", dataset.DefaultMaxEpisodeSteps))
	flags.StringToStringVar(&opts.Columns, "column", nil, "name of a column in the data, as in observations=obs, or of several, observations=obs.position+obs.goal (repeatable)")
}

// addData offers which dataset is read, and how.
func addData(flags *pflag.FlagSet, data *input.Data) {
	addPath(flags, data)
	addReading(flags, &data.Options)
}

func addPath(flags *pflag.FlagSet, data *input.Data) {
	flags.StringVar(&data.Path, "data", "", "dataset: a Parquet file, a folder (of LeRobot or Minari, too), a glob, or a published folder (required)")
	flags.BoolVar(&data.Verify, "verify", false, "check the hashes of a published folder's files before they are read; their sizes and rows are checked always")
	flags.Float64Var(&data.MaxRejectShare, "max-reject-share", 0.01, "share of episodes, or of files, that may be rejected")
}

// methodNames lists the methods for a flag's description.
func methodNames() string {
	var names []string
	for _, m := range training.Methods {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}

// addModels offers where the models are and what runs them.
func addModels(flags *pflag.FlagSet, models, engine *string, seed *uint64) {
	flags.StringVar(models, "models", "", "folder of the models (required)")
	addBackend(flags, engine)
	flags.Uint64Var(seed, "seed", 0, "seed of every random number")
}

// addPrecision offers how exactly the models are run.
func addPrecision(flags *pflag.FlagSet, p *backend.Precision) {
	flags.StringVar((*string)(p), "precision", string(backend.PrecisionAuto), "of the models' matrix products and convolutions on XLA: "+strings.Join(backend.Precisions, ", ")+"; auto is tf32 on CUDA and f32 elsewhere; bf16 rounds in the denoiser")
}

// addHorizon offers the denoiser's window, for what trains one.
func addHorizon(flags *pflag.FlagSet, horizon *int) {
	flags.IntVar(horizon, "horizon", 0, "states in a window of the denoiser, in place of the preset's: 55 for Adroit's pen in the paper")
}

// addBackend offers what runs the models.
func addBackend(flags *pflag.FlagSet, name *string) {
	*name = backend.Auto
	flags.Var(engineFlag{name}, "backend", "engine of the models: "+strings.Join(backend.Names, ", "))
}

// engineFlag takes the names of engines alone.
type engineFlag struct{ name *string }

func (f engineFlag) Set(name string) error {
	if !slices.Contains(backend.Names, name) {
		return fmt.Errorf("it takes %s", strings.Join(backend.Names, ", "))
	}
	*f.name = name
	return nil
}

func (f engineFlag) String() string { return *f.name }
func (f engineFlag) Type() string   { return "string" }

// required fails where a flag is empty.
func required(flags *pflag.FlagSet, names ...string) error {
	var missing []string
	for _, name := range names {
		if f := flags.Lookup(name); f.Value.String() == "" {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) > 0 {
		return usage(fmt.Errorf("missing %s", strings.Join(missing, ", ")))
	}
	return nil
}
