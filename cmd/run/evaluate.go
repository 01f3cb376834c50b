package main

import (
	"fmt"

	"diffstitch/pipelines"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newEvaluate() *cobra.Command {
	var o pipelines.TruthOptions
	var out, metricsAddress string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "evaluate --truth D* --env NAME",
		Short: "Judge a D* by a simulator",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "truth", "env"); err != nil {
				return err
			}
			show, err := watching(cmd, metricsAddress)
			if err != nil {
				return err
			}
			truth, err := pipelines.JudgeTruth(cmd.Context(), o, show)
			if err != nil {
				return err
			}
			if out != "" {
				if err := truth.Write(out, o.Data.Path); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), truth)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), truth.Text())
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Data.Path, "truth", "", "D*: replay its generated transitions in the environment's simulator")
	addReading(flags, &o.Data.Options)
	flags.Float64Var(&o.Data.MaxRejectShare, "max-reject-share", 0.01, "share of episodes, or of files, that may be rejected")
	flags.IntSliceVar(&o.Dimensions, "dimensions", nil, "dimensions of the observation, from 0, that true errors are taken over, as in 0,1 (default all)")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of every random number")
	flags.StringVar(&out, "out", "", "folder for what is found, as JSON and as a page")
	addEnvironment(flags, &o.Env, &o.Python)
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	addWatching(flags, &metricsAddress)
	return cmd
}

// addEnvironment offers which environment, and what runs it.
func addEnvironment(flags *pflag.FlagSet, name, python *string) {
	flags.StringVar(name, "env", "", "environment: pointmaze (built in), or one of Gymnasium's, such as Hopper-v5")
	flags.StringVar(python, "python", "", "Python that has gymnasium[mujoco] (default python3)")
}
