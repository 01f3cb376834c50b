package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/version"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "diffstitch",
		Short:         "Grow a trajectory dataset by stitching low-return episodes to high-return ones",
		Version:       version.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          helpOrUnknown,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	verbose := root.PersistentFlags().BoolP("verbose", "v", false, "show the runner's own log")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		observe.LogInDriver(*verbose)
		if dryRun := flag.Lookup("dry_run"); dryRun.Value.String() == "true" {
			log.SetLogger(jobPrinter{cmd.OutOrStdout()})
		}
		return nil
	}
	root.AddCommand(
		newDemo(), newGenerate(), newInspect(), newTrain(), newAugment(), newRefresh(), newStream(), newEvaluate(), newStudy(), newImport(), newExport(), newSnapshots(), newTable(), newClean(), newBackends(),
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
func usage(err error) error { return fmt.Errorf("%w: %w", failure.ErrUsage, err) }

// args wraps a check of positional arguments, so that it fails as wrong usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := check(cmd, given); err != nil {
			return usage(fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath()))
		}
		return nil
	}
}

// jobPrinter prints what the Dataflow runner logs of a dry run, the pipeline and
// the job, as it is.
type jobPrinter struct{ out io.Writer }

func (p jobPrinter) Log(_ context.Context, _ log.Severity, _ int, message string) {
	fmt.Fprintln(p.out, message)
}

// notOffered are flags of Beam's that are for the workers, or that would have a
// command go on before its job is done.
var notOffered = []string{
	"worker", "id", "logging_endpoint", "control_endpoint", "semi_persist_dir", "options", "async", "execute_async",
}

// addBeam offers Beam's own flags, under their own names, on a command that runs
// a pipeline. Only the runner is shown in its help.
func addBeam(flags *pflag.FlagSet) {
	flag.VisitAll(func(f *flag.Flag) {
		if flags.Lookup(f.Name) != nil || slices.Contains(notOffered, f.Name) {
			return
		}
		added := flags.VarPF(beamFlag{f}, f.Name, "", f.Usage)
		added.Hidden = f.Name != "runner"
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			added.NoOptDefVal = "true"
		}
	})
	flags.Lookup("runner").Usage = "Beam runner: " + strings.Join(engine.Runners, ", ") + "; Beam's own flags for it are taken too (see deploy/)"
	flags.Lookup("runner").DefValue = engine.Runners[0]
}

// beamFlag sets a flag in the standard flag set, where Beam looks for those that
// were given.
type beamFlag struct{ *flag.Flag }

func (f beamFlag) Set(value string) error { return flag.Set(f.Name, value) }
func (f beamFlag) String() string         { return f.Value.String() }
func (f beamFlag) Type() string           { return "string" }

// runner is the runner that was chosen.
func runner() string {
	return cmp.Or(*runners.Runner, engine.Runners[0])
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
