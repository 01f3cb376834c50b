package main

import (
	"time"

	"diffstitch/pipelines/snapshots"

	"github.com/spf13/cobra"
)

// defaultGrace is for readers that have a snapshot open when the next takes its place.
const defaultGrace = 24 * time.Hour

func newSnapshots() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshots",
		Short: "List, compare, check and prune the snapshots of a published folder, and go back (docs/snapshots.md)",
		Args:  cobra.ArbitraryArgs,
		RunE:  helpOrUnknown,
	}
	cmd.AddCommand(newSnapshotsList(), newSnapshotsShow(), newSnapshotsDiff(), newSnapshotsRollback(), newSnapshotsVerify(), newSnapshotsPrune())
	return cmd
}

// onSnapshots is a command on a published folder, which --out names, and of so many ids at
// most.
func onSnapshots(use, short, long string, ids int, do func(out string, ids []string) (interface{ Text() string }, error)) *cobra.Command {
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: args(cobra.MaximumNArgs(ids)),
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := required(cmd.Flags(), "out"); err != nil {
				return err
			}
			result, err := do(out, append(given, make([]string, ids)...))
			if err != nil {
				return err
			}
			return printResult(cmd, asJSON, result)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder that runs publish in (required)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

func newSnapshotsList() *cobra.Command {
	return onSnapshots("list --out DIR", "List the snapshots, oldest first", "", 0,
		func(out string, _ []string) (interface{ Text() string }, error) { return snapshots.List(out) })
}

func newSnapshotsShow() *cobra.Command {
	return onSnapshots("show [ID] --out DIR", "Show what a snapshot holds and was made from (default: the current one)", "", 1,
		func(out string, ids []string) (interface{ Text() string }, error) {
			return snapshots.Show(out, ids[0])
		})
}

func newSnapshotsDiff() *cobra.Command {
	return onSnapshots("diff [FROM [TO]] --out DIR", "Compare two snapshots (default: the current one with its parent)", "", 2,
		func(out string, ids []string) (interface{ Text() string }, error) {
			return snapshots.Diff(out, ids[0], ids[1])
		})
}

func newSnapshotsRollback() *cobra.Command {
	return onSnapshots("rollback [ID] --out DIR", "Go back to an earlier snapshot (default: the current one's parent)",
		`Have CURRENT name an earlier snapshot, whose files are checked before, hashes
included. Nothing is removed: the way back is another rollback. A run that is at
work then finds itself overtaken, and exits with 4.`, 1,
		func(out string, ids []string) (interface{ Text() string }, error) {
			return snapshots.Rollback(out, ids[0])
		})
}

func newSnapshotsVerify() *cobra.Command {
	return onSnapshots("verify [ID] --out DIR", "Check that files are those of the manifests: names, sizes, hashes (default: of all snapshots)", "", 1,
		func(out string, ids []string) (interface{ Text() string }, error) {
			return snapshots.Verify(out, ids[0])
		})
}

func newSnapshotsPrune() *cobra.Command {
	var keep int
	grace := defaultGrace
	cmd := onSnapshots("prune --keep N --out DIR", "Remove old snapshots",
		`Remove all snapshots but the newest N, the current one, those that were current
less than the grace ago, and those whose files one that stays lists. What readers
have open stays readable for as long as the grace.`, 0,
		func(out string, _ []string) (interface{ Text() string }, error) {
			return snapshots.Prune(out, keep, grace)
		})
	cmd.Flags().IntVar(&keep, "keep", 0, "how many of the newest snapshots stay, at least 1 (required)")
	cmd.Flags().DurationVar(&grace, "grace", grace, "how long a snapshot stays after it was the current one")
	return cmd
}
