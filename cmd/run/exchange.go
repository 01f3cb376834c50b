package main

import (
	"fmt"
	"strings"

	"diffstitch/io/dataset"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/input"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newExport() *cobra.Command {
	var o exchange.ExportOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "export --layout NAME --data PATH --out DIR",
		Short: "Write a dataset in the layout of LeRobot or Minari",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "layout", "data", "out"); err != nil {
				return err
			}
			x, err := exchange.Export(cmd.Context(), o)
			return showExchanged(cmd, x, err, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Layout, "layout", "", "layout to write: "+strings.Join(dataset.Exports, ", ")+" (required)")
	addExchange(flags, &o.Data, &asJSON)
	flags.StringVar(&o.Out, "out", "", "folder to make (required)")
	flags.StringVar(&o.ID, "id", "", "of a Minari dataset, such as maze/stitched-v0 (default the name of --out)")
	flags.StringVar(&o.Task, "task", "", "of a LeRobot dataset, in words (default the name of --out)")
	flags.IntVar(&o.FPS, "fps", 1, "of a LeRobot dataset, steps per second: its timestamps are step/fps")
	return cmd
}

func newImport() *cobra.Command {
	var o exchange.ImportOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import --data PATH --out FILE|DIR",
		Short: "Write a dataset of any layout in the canonical one",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "data", "out"); err != nil {
				return err
			}
			x, err := exchange.Import(cmd.Context(), o)
			return showExchanged(cmd, x, err, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Data.Options.Layout, "layout", "", "layout of the data, where it is not recognised: "+dataset.Layouts())
	addExchange(flags, &o.Data, &asJSON)
	flags.StringVar(&o.Out, "out", "", "a file called *.parquet, or a folder to make (required)")
	return cmd
}

func addExchange(flags *pflag.FlagSet, data *input.Data, asJSON *bool) {
	addPath(flags, data)
	addColumns(flags, &data.Options)
	flags.BoolVar(asJSON, "json", false, "print the result as JSON")
}

func showExchanged(cmd *cobra.Command, x exchange.Exchanged, err error, asJSON bool) error {
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), x)
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), x.Text())
	return err
}
