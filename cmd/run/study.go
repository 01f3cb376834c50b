package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"diffstitch/modelops/training"
	"diffstitch/pipelines/study"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newStudy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "study",
		Short: "Run an experiment of the paper: learners on the data and on what methods make of it",
		Long: `Run an experiment of the paper's evaluation, on the built-in maze or on a dataset of a
Gymnasium environment: train the models, make each D*, train learners on them, score
the policies, and write one page with the table, the paper's own beside it.

What is finished is kept: an interrupted study goes on where it stopped, and studies
of one folder share what they have in common.`,
		Args: cobra.ArbitraryArgs,
		RunE: helpOrUnknown,
	}
	for _, name := range study.Names {
		cmd.AddCommand(newStudyOf(name))
	}
	return cmd
}

// studyFlags are the flags of a study, and the options that come of them.
type studyFlags struct {
	options        study.Options
	metricsAddress string
	dryRun, asJSON bool
}

func newStudyOf(name string) *cobra.Command {
	f := &studyFlags{options: study.DefaultOptions(name)}
	cmd := &cobra.Command{
		Use:   name,
		Short: study.Titles[name],
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags, o := cmd.Flags(), &f.options
	flags.StringVar(&o.Out, "out", o.Out, "folder of the studies and their steps")
	addData(flags, &o.Data)
	flags.Lookup("data").Usage = "dataset to study, as elsewhere; the built-in maze where there is none"
	flags.StringVar(&o.Env, "env", "", "environment that the data is of: "+study.Maze+", or a name of Gymnasium's such as Hopper-v5")
	flags.StringVar(&o.Scale, "scale", o.Scale, "sizes, where no flag says otherwise: "+scaleNames())
	addStudySizes(flags, o)
	flags.StringVar(&o.Python, "python", "", "Python that has gymnasium[mujoco], for Gymnasium's environments (default python3)")
	addBackend(flags, &o.Backend)
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of every random number; that of the first policy")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the steps, which of them are finished, and what the others cost, and do nothing")
	flags.BoolVar(&f.asJSON, "json", false, "print the plan or the result as JSON")
	addWatching(flags, &f.metricsAddress)
	addBeam(flags)
	return cmd
}

// addStudySizes offers what is otherwise the scale's.
func addStudySizes(flags *pflag.FlagSet, o *study.Options) {
	flags.StringSliceVar(&o.Learners, "learners", o.Learners, "learners to compare")
	if o.Study == study.Main || o.Study == study.Small {
		flags.StringSliceVar(&o.Methods, "methods", o.Methods, "what learners learn from")
	}
	flags.StringVar(&o.Preset, "preset", "", "sizes and schedule of the models: "+strings.Join(training.PresetNames, ", "))
	addHorizon(flags, &o.Horizon)
	flags.IntVar(&o.Updates, "steps", 0, "updates of each learner")
	flags.IntVar(&o.Seeds, "seeds", 0, "policies of each learner")
	flags.IntVar(&o.Episodes, "episodes", 0, "episodes that each policy is scored over")
	flags.Int64Var(&o.Stitches, "stitches", 0, "stitches that DiffStitch attempts")
	if o.Study == study.Main || o.Study == study.Small || o.Study == study.Stitch {
		flags.Int64Var(&o.Transitions, "transitions", 0, "transitions that each baseline adds")
	}
}

func scaleNames() string {
	var names []string
	for _, s := range study.Scales {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

func (f *studyFlags) run(cmd *cobra.Command) error {
	f.options.Runner = runner()
	if f.dryRun {
		preview, err := study.Look(f.options)
		if err != nil {
			return err
		}
		if f.asJSON {
			return printJSON(cmd.OutOrStdout(), preview)
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), preview.Text())
		return err
	}
	sayBackend(cmd.ErrOrStderr(), f.options.Backend)
	show, err := watching(cmd, f.metricsAddress)
	if err != nil {
		return err
	}
	say := func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	result, err := study.Run(cmd.Context(), f.options, study.Pipelines, study.Watch{Say: say, Show: show}, strings.Join(os.Args, " "))
	if result.Page == "" {
		return err
	}
	if f.asJSON {
		return errors.Join(err, printJSON(cmd.OutOrStdout(), result))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%spage  %s\n", result.Text(), result.Page)
	return err
}
