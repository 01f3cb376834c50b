package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"diffstitch/modelops/env"
	"diffstitch/modelops/learners"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/evaluate/truth"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// evaluation is what the flags of evaluate say.
type evaluation struct {
	options evaluate.Options
	truth   truth.Options
	learner string
	ratio   string
	seeds   int
	seed    uint64

	metricsAddress string
	asJSON         bool
}

func newEvaluate() *cobra.Command {
	var e evaluation
	cmd := &cobra.Command{
		Use:   "evaluate --env NAME (--data PATH --learner NAME --out DIR | --policy DIR | --truth D*)",
		Short: "Train a learner on a dataset and roll it out; or judge a D* by a simulator",
		Long: `Train a policy for each of several seeds on D or D*, and roll them out.

A finished evaluation in the folder is not made again, an interrupted one goes on.
With --policy DIR, policies that are trained already are only rolled out. With
--truth D*, every generated transition is replayed in the environment's simulator.

The environment is pointmaze, the built-in maze, or any of Gymnasium's with vectors
of numbers for observations and actions, where Python has it.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneSubject(cmd.Flags()); err != nil {
				return err
			}
			if e.truth.Data.Path != "" {
				return e.judge(cmd)
			}
			return e.score(cmd)
		},
	}
	e.addFlags(cmd.Flags())
	return cmd
}

// subjects are what can be evaluated, by their flags.
var subjects = []string{"data", "policy", "truth"}

// subjectsOf are those that a flag says something of; of all where it is not here.
var subjectsOf = map[string][]string{
	"learner": {"data"}, "preset": {"data"}, "steps": {"data"}, "ratio": {"data"}, "seeds": {"data"},
	"seed": {"data", "truth"}, "layout": {"data", "truth"}, "max-episode-steps": {"data", "truth"}, "column": {"data", "truth"}, "max-reject-share": {"data", "truth"}, "verify": {"data", "truth"},
	"episodes": {"data", "policy"}, "backend": {"data", "policy"},
	"dimensions": {"truth"},
}

// oneSubject fails where there is not one subject, or a flag that says nothing of it.
func oneSubject(flags *pflag.FlagSet) (err error) {
	given := slices.DeleteFunc(slices.Clone(subjects), func(name string) bool { return flags.Lookup(name).Value.String() == "" })
	if len(given) != 1 {
		return usage(fmt.Errorf("evaluate takes one of --%s; %d are given", strings.Join(subjects, ", --"), len(given)))
	}
	flags.Visit(func(f *pflag.Flag) {
		if of := subjectsOf[f.Name]; of != nil && !slices.Contains(of, given[0]) && err == nil {
			err = usage(fmt.Errorf("--%s goes with --%s, and means nothing to --%s", f.Name, strings.Join(of, " and --"), given[0]))
		}
	})
	return err
}

func (e *evaluation) addFlags(flags *pflag.FlagSet) {
	o := &e.options
	addData(flags, &o.Data)
	flags.Lookup("data").Usage = "dataset to learn from: a Parquet file, a folder, a glob, or a published folder"
	flags.StringVar(&o.Policy, "policy", "", "folder of policies that are trained already, to be rolled out")
	flags.StringVar(&e.truth.Data.Path, "truth", "", "D* whose generated transitions are replayed in the simulator")
	flags.StringVar(&o.Env, "env", "", "environment: pointmaze, or one of Gymnasium's, such as Hopper-v5 (required)")
	flags.Var(&optionsValue{&o.EnvOptions}, "env-option", "setting of a Gymnasium environment, in JSON: of gymnasium.make, as in continuing_task=false, or with reset. before it of reset(options=…), as in reset.goal_cell=[1,1] (repeatable)")
	flags.StringVar(&o.Python, "python", "", "Python that has gymnasium[mujoco], for Gymnasium's environments (default python3)")
	flags.StringVar(&o.Out, "out", "", "folder of the policies and of what is found")
	flags.StringVar(&e.learner, "learner", "", "learner: "+strings.Join(names(learners.Learners), ", "))
	flags.StringVar(&o.Preset, "preset", "", "environment whose settings the learner has, such as hopper-medium-replay (default --env)")
	flags.IntVar(&o.Steps, "steps", 0, "updates, in place of the preset's")
	flags.BoolVar(&o.Tiny, "tiny", false, "small nets and batches with fast schedules in place of the preset's, as in studies of --scale small")
	flags.StringVar(&e.ratio, "ratio", "", "original:augmented rows in every batch (default "+evaluate.DefaultRatio.String()+", or 1:0 where the data has no augmented rows)")
	flags.IntVar(&e.seeds, "seeds", 3, "how many policies")
	flags.Uint64Var(&e.seed, "seed", 0, "seed of the first policy; the others' follow it. With --truth, of the sample of real transitions")
	flags.IntVar(&o.Episodes, "episodes", 10, "episodes a policy")
	addBackend(flags, &o.Backend)
	flags.IntSliceVar(&e.truth.Dimensions, "dimensions", nil, "with --truth: dimensions of the observation, from 0, that errors are taken over, such as 0,1 (default all)")
	flags.BoolVar(&e.asJSON, "json", false, "print the result as JSON")
	addWatching(flags, &e.metricsAddress)
}

func names(all []learners.Learner) (names []string) {
	for _, learner := range all {
		names = append(names, string(learner))
	}
	return names
}

// score trains, unless policies are given, and rolls out.
func (e *evaluation) score(cmd *cobra.Command) (err error) {
	o := &e.options
	needed := []string{"env", "data", "learner", "out"}
	if o.Policy != "" {
		needed = needed[:1]
	}
	if err := required(cmd.Flags(), needed...); err != nil {
		return err
	}
	o.Learner = learners.Learner(e.learner)
	if o.Preset != "" && !learners.HasPreset(o.Preset) {
		return usage(fmt.Errorf("--preset %s: there are settings for names that begin with %s", o.Preset, strings.Join(learners.PresetNames(), ", ")))
	}
	for i := range e.seeds {
		o.Seeds = append(o.Seeds, e.seed+uint64(i))
	}
	if e.ratio != "" {
		if o.Ratio, err = learners.ParseRatio(e.ratio); err != nil {
			return usage(err)
		}
	}
	sayBackend(cmd.ErrOrStderr(), o.Backend)
	show, err := watching(cmd, e.metricsAddress)
	if err != nil {
		return err
	}
	result, err := evaluate.Run(cmd.Context(), *o, show)
	if err != nil {
		return err
	}
	return e.print(cmd, result)
}

// judge replays a D*.
func (e *evaluation) judge(cmd *cobra.Command) error {
	if err := required(cmd.Flags(), "env"); err != nil {
		return err
	}
	o := &e.truth
	path := o.Data.Path
	o.Data = e.options.Data
	o.Data.Path = path
	o.Env, o.EnvOptions, o.Python, o.Seed = e.options.Env, e.options.EnvOptions, e.options.Python, e.seed
	show, err := watching(cmd, e.metricsAddress)
	if err != nil {
		return err
	}
	truth, err := truth.Judge(cmd.Context(), *o, show)
	if err == nil && e.options.Out != "" {
		err = truth.Write(e.options.Out, o.Data.Path)
	}
	if err != nil {
		return err
	}
	return e.print(cmd, truth)
}

func (e *evaluation) print(cmd *cobra.Command, result interface{ Text() string }) error {
	if e.asJSON {
		return printJSON(cmd.OutOrStdout(), result)
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), result.Text())
	return err
}

// optionsValue is the flag of an environment's options: name=JSON, repeatable.
type optionsValue struct{ options *env.Options }

func (v *optionsValue) Set(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found || name == "" || !json.Valid([]byte(value)) {
		return fmt.Errorf("%q is not name=value with a value in JSON, such as reset.goal_cell=[1,1], continuing_task=false or reward_type=\"dense\"", text)
	}
	if *v.options == nil {
		*v.options = env.Options{}
	}
	(*v.options)[name] = json.RawMessage(value)
	return nil
}

func (v *optionsValue) String() string { return v.options.String() }

func (v *optionsValue) Type() string { return "name=JSON" }
