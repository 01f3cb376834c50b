package main

import (
	"fmt"

	"diffstitch/pipelines/table"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newTable() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "table",
		Short: "Publish snapshots of D* to an Apache Iceberg table (docs/table.md)",
		Args:  cobra.ArbitraryArgs,
		RunE:  helpOrUnknown,
	}
	cmd.AddCommand(newTablePublish(), newTableShow())
	return cmd
}

func newTablePublish() *cobra.Command {
	var opts table.PublishOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "publish --out DIR --catalog CATALOG --table NAMESPACE.NAME",
		Short: "Have a table hold a snapshot of a published folder",
		Long: `Have an Iceberg table hold a snapshot of a published folder. The Parquet files are
registered where they lie, in one commit; the table is made where there is none.
What the table holds already is not published twice, so the same command is right
after a failure.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "out", "catalog", "table"); err != nil {
				return err
			}
			published, err := table.Publish(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return printResult(cmd, asJSON, published)
		},
	}
	cmd.Flags().StringVar(&opts.Out, "out", "", "folder that runs publish in (required)")
	cmd.Flags().StringVar(&opts.ID, "snapshot", "", "id of the snapshot (default: the one that CURRENT names)")
	addTable(cmd.Flags(), &opts.Options, &asJSON)
	cmd.Flags().BoolVar(&opts.Append, "append", false, "add the snapshot to what the table holds; without it, the snapshot takes its place")
	cmd.Flags().BoolVar(&opts.Older, "older", false, "let an earlier snapshot take the place of a later one")
	return cmd
}

func newTableShow() *cobra.Command {
	var opts table.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show --catalog CATALOG --table NAMESPACE.NAME",
		Short: "List a table's snapshots, which D* is in each, and the folders they are read from",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "catalog", "table"); err != nil {
				return err
			}
			shown, err := table.Show(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return printResult(cmd, asJSON, shown)
		},
	}
	addTable(cmd.Flags(), &opts, &asJSON)
	return cmd
}

// addTable offers which table.
func addTable(flags *pflag.FlagSet, opts *table.Options, asJSON *bool) {
	flags.StringVar(&opts.Catalog, "catalog", "", "catalog: a SQLite file (PATH or sqlite:///PATH), or the http(s):// address of a REST catalog (required)")
	flags.StringVar(&opts.Table, "table", "", "table, NAMESPACE.NAME (required)")
	flags.StringVar(&opts.Warehouse, "warehouse", "", "folder of the metadata of new tables (default: warehouse, beside a SQLite file), or a REST catalog's warehouse")
	flags.BoolVar(asJSON, "json", false, "print the result as JSON")
}

// printResult prints what a command gives, as JSON or in words.
func printResult(cmd *cobra.Command, asJSON bool, result interface{ Text() string }) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), result)
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), result.Text())
	return err
}
