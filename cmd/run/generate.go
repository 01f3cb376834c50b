package main

import (
	"fmt"

	"diffstitch/pipelines/exchange"

	"github.com/spf13/cobra"
)

func newGenerate() *cobra.Command {
	cmd := &cobra.Command{Use: "generate", Short: "Make a built-in dataset", Args: cobra.ArbitraryArgs, RunE: helpOrUnknown}
	var o exchange.GenerateOptions
	maze := &cobra.Command{
		Use:   "pointmaze --out FILE",
		Short: "A point mass in a maze: many wandering episodes, few experts",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "out"); err != nil {
				return err
			}
			rows, err := exchange.GeneratePointMaze(cmd.Context(), o)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d episodes, %d transitions: %s\n", o.Episodes, rows, o.Out)
			return nil
		},
	}
	maze.Flags().StringVar(&o.Out, "out", "", "Parquet file to write (required)")
	maze.Flags().IntVar(&o.Episodes, "episodes", 500, "how many episodes")
	maze.Flags().Uint64Var(&o.Seed, "seed", 0, "seed of every random number")
	maze.Flags().BoolVar(&o.Stitch, "stitch", false, "each pilot works one section of the maze, so that no episode leads from the start to the goal")
	cmd.AddCommand(maze)
	return cmd
}
