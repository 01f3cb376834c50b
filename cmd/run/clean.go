package main

import (
	"errors"
	"fmt"

	"diffstitch/pipelines/augment"

	"github.com/spf13/cobra"
)

func newClean() *cobra.Command {
	var out, models string
	cmd := &cobra.Command{
		Use:   "clean [--out DIR] [--models DIR]",
		Short: "Remove what runs that died left behind",
		Long: `Remove what runs that died left in the staging of an output folder, and unfinished
files among the models. Published datasets and finished models are not touched,
and neither is anything while a run is at work there.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" && models == "" {
				return usage(errors.New("give --out, --models or both"))
			}
			removed, err := augment.Clean(out, models)
			for _, r := range removed {
				fmt.Fprintf(cmd.OutOrStdout(), "removed %s: %d files, %d bytes\n", r.Path, r.Files, r.Bytes)
			}
			if err == nil && len(removed) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing was left behind")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder that runs publish in")
	cmd.Flags().StringVar(&models, "models", "", "folder of the four models")
	return cmd
}
