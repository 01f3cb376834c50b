package main

import (
	"fmt"

	"diffstitch/pipelines/demo"

	"github.com/spf13/cobra"
)

func newDemo() *cobra.Command {
	o := demo.DefaultOptions()
	var metricsAddress string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The whole job on the built-in maze: generate, train, augment, publish, judge",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Runner = runner()
			sayBackend(cmd.ErrOrStderr(), o.Backend)
			show, err := watching(cmd, metricsAddress)
			if err != nil {
				return err
			}
			made, err := demo.Run(cmd.Context(), o, show)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, fact := range made.Truth.Lead {
				fmt.Fprintf(out, "%s %s\n", fact.Value, fact.Name)
			}
			printSnapshot(out, made.Snapshot)
			fmt.Fprintln(out, "asked for, and measured:")
			for _, c := range made.Truth.Criteria {
				met := "met"
				if !c.Met {
					met = "NOT met"
				}
				fmt.Fprintf(out, "  %-80s %9s  (%s: %s)\n", c.Name, c.Measured, c.Target, met)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Dir, "dir", o.Dir, "folder of all that the demo makes")
	addHorizon(flags, &o.Horizon)
	addBackend(flags, &o.Backend)
	flags.Uint64Var(&o.Seed, "seed", o.Seed, "seed of every random number")
	addWatching(flags, &metricsAddress)
	addBeam(flags)
	return cmd
}
