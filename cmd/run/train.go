package main

import (
	"fmt"
	"io"
	"strings"

	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/train"

	"github.com/spf13/cobra"
)

// printLearned says how much of the data the denoiser learned from, where there is one.
func printLearned(w io.Writer, models session.Info) {
	details := models.Models[training.Denoiser].Details
	if learned := details.LearnedFrom(); learned != "" {
		fmt.Fprintf(w, "denoiser learned from %s\n", learned)
	}
	if notice := details.Statistics.Notice(); notice != "" {
		fmt.Fprintln(w, notice)
	}
}

func newTrain() *cobra.Command {
	var o train.Options
	var methods []string
	var metricsAddress string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "train --data PATH --models DIR",
		Short: "Train the models of a method on a dataset",
		Long: `Train the models that a method runs. Those of diffstitch are the denoiser, the
inverse dynamics, the reward and the dynamics model; that of synther is its denoiser
of transitions; those of tatu are its rollout policy, a reward model that predicts
terminal states, and an ensemble of dynamics models. Methods that share a folder are
trained together, as in --method diffstitch,synther,tatu: then DiffStitch has the
reward model and the ensemble of tatu.

Finished models in the folder are kept, unfinished ones resumed from their last
saved step, with the same result as if they had not been interrupted.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "data", "models"); err != nil {
				return err
			}
			o.Runner = runner()
			for _, name := range methods {
				o.Methods = append(o.Methods, training.Method(name))
			}
			sayBackend(cmd.ErrOrStderr(), o.Backend)
			show, err := watching(cmd, metricsAddress)
			if err != nil {
				return err
			}
			models, err := train.Run(cmd.Context(), o, show)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), models)
			}
			for _, kind := range models.Kinds {
				m := models.Models[kind]
				fmt.Fprintf(cmd.OutOrStdout(), "%-9s held-out loss %.6f  %s\n", kind, m.Details.HeldOutLoss, m.Hash)
			}
			printLearned(cmd.OutOrStdout(), models)
			return nil
		},
	}
	flags := cmd.Flags()
	addData(flags, &o.Data)
	addModels(flags, &o.Models, &o.Backend, &o.Seed)
	flags.StringSliceVar(&methods, "method", []string{string(training.MethodDiffStitch)}, "method whose models are trained, or several: "+methodNames())
	flags.StringVar(&o.Preset, "preset", training.PresetNames[0], "sizes and schedule: "+strings.Join(training.PresetNames, ", "))
	flags.IntVar(&o.Steps, "steps", 0, "optimizer steps of each model, in place of the preset's")
	flags.StringVar(&o.Conditioning, "conditioning", "", "how the denoiser is shown the known states, in place of the preset's: zeros (the paper), interpolated or deviation")
	addHorizon(flags, &o.Horizon)
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	addWatching(flags, &metricsAddress)
	addBeam(flags)
	return cmd
}
