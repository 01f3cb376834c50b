package main

import (
	"errors"
	"fmt"

	"diffstitch/io/snapshot"
	"diffstitch/pipelines/refresh"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// refreshFlags are the flags of refresh as they are given, and the options that come of
// them.
type refreshFlags struct {
	augment        augmentFlags
	options        refresh.Options
	asJSON, dryRun bool
}

func newRefresh() *cobra.Command {
	f := &refreshFlags{options: refresh.DefaultOptions()}
	f.augment.options = f.options.Augment
	cmd := &cobra.Command{
		Use:   "refresh --data PATH --models DIR --out DIR (--stitches N | --transitions M)",
		Short: "Bring a published D* up to date with its data, if that has changed (docs/refresh.md)",
		Long: `Compare the data's files, the settings and the models with those that the current
snapshot was made of. Where all are the same nothing is done. Else the models are trained
on, if --retrain says so, D* is made anew, by the same settings as augment has, and it is
published if it passes the quality gates.

Exit codes: 0 up to date or published, 4 another run was faster, 5 one is at work there,
6 a quality gate refused what was made.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.settle(cmd); err != nil {
				return err
			}
			return f.run(cmd)
		},
	}
	flags := cmd.Flags()
	f.augment.addTo(flags)
	flags.Lookup("batch").Usage = "attempts a batch; by default 64 stitches, or 1024 transitions or rollouts"
	flags.BoolVar(&f.options.Full, "full", false, "make everything anew, also where nothing has changed")
	addRetraining(flags, &f.options.Training)
	addGates(flags, &f.options.Gates)
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what has changed and what would be done, and do nothing")
	flags.BoolVar(&f.asJSON, "json", false, "print the plan, and the manifest of the snapshot that is current then, as JSON")
	return cmd
}

// addRetraining offers when the models are trained on, and how.
func addRetraining(flags *pflag.FlagSet, t *refresh.Training) {
	flags.StringVar(&t.Policy, "retrain", t.Policy, "when inputs have changed, train the models on: "+refresh.Never+", "+refresh.OnDrift+" (where new episodes are far from what they learned from) or "+refresh.OnChange)
	flags.Float64Var(&t.MaxDistance, "drift-distance", t.MaxDistance, "drift: how far the mean and the spread of the new episodes' states may be from the models', in standard deviations")
	flags.Float64Var(&t.MaxError, "drift-error", t.MaxError, "drift: what the dynamics model's error on the new episodes may be, as a multiple of that on held-out ones")
	flags.IntVar(&t.Steps, "retrain-steps", 0, "optimizer steps of each model that is trained on; 0 for a quarter of those it was trained for at first")
}

// addGates offers what a snapshot must be like to be published.
func addGates(flags *pflag.FlagSet, g *refresh.Gates) {
	flags.Float64Var(&g.MinAcceptance, "min-acceptance", g.MinAcceptance, "gate: share of the attempts that must be accepted")
	flags.Float64Var(&g.Tolerance, "tolerance", g.Tolerance, "gate: share by which acceptance, errors, distributions, truth and rows may differ for the worse from the current snapshot's, where the settings are the same")
	flags.StringVar(&g.Env, "env", "", "environment whose simulator judges what was generated, as evaluate --truth does")
	flags.Var(&optionsValue{&g.EnvOptions}, "env-option", "setting of the environment, as in evaluate (repeatable)")
	flags.StringVar(&g.Python, "python", "", "Python that has gymnasium[mujoco], for Gymnasium's environments (default python3)")
	flags.Float64Var(&g.MinTruth, "min-truth", 0, "gate: share of the generated episodes that must be true in every transition, by --env")
}

// settle reads the options off the flags.
func (f *refreshFlags) settle(cmd *cobra.Command) error {
	if f.augment.batch == "auto" {
		return usage(errors.New("--batch auto may choose another one each time, and D* depends on it: give a number"))
	}
	if err := f.augment.settle(cmd); err != nil {
		return err
	}
	f.options.Augment = f.augment.options
	return nil
}

// refreshed is what is printed as JSON.
type refreshed struct {
	Plan     refresh.Plan       `json:"plan"`
	Manifest *snapshot.Manifest `json:"manifest,omitempty"`
}

// run does what the flags ask for, and prints what came of it.
func (f *refreshFlags) run(cmd *cobra.Command) error {
	if f.dryRun {
		plan, err := refresh.PlanOf(cmd.Context(), f.options)
		if err != nil {
			return err
		}
		return f.print(cmd, refresh.Result{Plan: plan})
	}
	sayBackend(cmd.ErrOrStderr(), f.options.Augment.Backend)
	show, err := watching(cmd, f.augment.metricsAddress)
	if err != nil {
		return err
	}
	result, err := refresh.Run(cmd.Context(), f.options, show)
	if err != nil {
		return err
	}
	return f.print(cmd, result)
}

func (f *refreshFlags) print(cmd *cobra.Command, r refresh.Result) error {
	out := cmd.OutOrStdout()
	if f.asJSON {
		printed := refreshed{Plan: r.Plan}
		if !f.dryRun {
			printed.Manifest = &r.Snapshot.Manifest
		}
		return printJSON(out, printed)
	}
	if f.dryRun || r.UpToDate {
		_, err := fmt.Fprint(out, r.Plan.Text())
		return err
	}
	printSnapshot(out, r.Snapshot)
	return nil
}
