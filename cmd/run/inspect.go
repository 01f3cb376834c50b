package main

import (
	"fmt"

	"diffstitch/io/dataset"
	"diffstitch/pipelines/exchange"

	"github.com/spf13/cobra"
)

func newInspect() *cobra.Command {
	var opts dataset.Options
	var asJSON, verify bool
	cmd := &cobra.Command{
		Use:   "inspect PATH",
		Short: "Show what a dataset holds, or verify a D*",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			result, err := exchange.Inspect(cmd.Context(), given[0], opts, verify)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), result)
			} else {
				_, err = fmt.Fprint(cmd.OutOrStdout(), result.Text())
			}
			if err == nil {
				err = result.Err()
			}
			return err
		},
	}
	addReading(cmd.Flags(), &opts)
	cmd.Flags().BoolVar(&verify, "verify", false, "check a D* against the rules of its layout")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}
