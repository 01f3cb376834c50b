package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"diffstitch/pipelines"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "diffstitch",
		Short:         "Grow a trajectory dataset by stitching low-return episodes to high-return ones",
		Version:       pipelines.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          helpOrUnknown,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	verbose := root.PersistentFlags().BoolP("verbose", "v", false, "show the runner's own log")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		setLog(*verbose)
		return passToBeam(cmd.Flags())
	}
	root.AddCommand(
		newDemo(), newGenerate(), newInspect(), newTrain(), newAugment(), newClean(), newBackends(),
	)
	return root
}

// helpOrUnknown is for a command that only has subcommands.
func helpOrUnknown(cmd *cobra.Command, given []string) error {
	if len(given) > 0 {
		return usage(fmt.Errorf("unknown command %q (see %s --help)", given[0], cmd.CommandPath()))
	}
	return cmd.Help()
}

// usage marks an error as one of wrong usage.
func usage(err error) error { return fmt.Errorf("%w: %w", pipelines.ErrUsage, err) }

// args wraps a check of positional arguments, so that it fails as wrong usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := check(cmd, given); err != nil {
			return usage(fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath()))
		}
		return nil
	}
}

// setLog silences the runner's log unless it is asked for: what fails a run
// comes back as its error.
func setLog(verbose bool) {
	level := slog.LevelError + 1
	if verbose {
		level = slog.LevelInfo
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
}

// beamFlags are Beam's own, under their own names.
var beamFlags = []string{"runner", "endpoint", "environment_type", "environment_config", "worker_binary", "job_name", "parallelism", "experiments"}

// addBeam offers Beam's flags on a command that runs a pipeline.
func addBeam(flags *pflag.FlagSet) {
	for _, name := range beamFlags {
		if f := flag.Lookup(name); f != nil {
			flags.AddGoFlag(f)
			flags.Lookup(name).Hidden = name != "runner"
		}
	}
	flags.Lookup("runner").Usage = "Beam runner: " + strings.Join(pipelines.Runners, ", ")
	flags.Lookup("runner").DefValue = pipelines.Runners[0]
}

// passToBeam sets Beam's flags in the standard flag set, where Beam looks for
// those that were given.
func passToBeam(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		if err == nil && flag.Lookup(f.Name) != nil {
			err = flag.Set(f.Name, f.Value.String())
		}
	})
	return err
}

// runner is the runner that was chosen.
func runner() string {
	return cmp.Or(*runners.Runner, pipelines.Runners[0])
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
