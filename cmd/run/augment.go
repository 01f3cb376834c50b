package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/mix"
	"diffstitch/transforms/pair"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// augmentFlags are the flags of augment as they are given, and the options that
// come of them.
type augmentFlags struct {
	options                     augment.Options
	method, mix, batch          string
	delta, deltaSpace           string
	metricsAddress              string
	asJSON, dryRun, onlyPlanned bool
	price                       float64
}

func newAugment() *cobra.Command {
	f := &augmentFlags{options: augment.DefaultOptions()}
	cmd := &cobra.Command{
		Use:   "augment --data PATH --models DIR --out DIR (--stitches N | --transitions M)",
		Short: "Stitch episodes, or generate some by a baseline, and publish the mixed dataset D*",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.settle(cmd); err != nil {
				return err
			}
			return f.run(cmd)
		},
	}
	flags := cmd.Flags()
	f.addTo(flags)
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what would be done, looking at schemas and models alone, and how long it would take by a batch of made-up stitches, and do nothing")
	flags.Float64Var(&f.price, "price", 0, "what an hour of this machine costs, for --dry-run to say what the run would")
	flags.BoolVar(&f.onlyPlanned, "plan-only", false, "read, rank and plan, print how much there is to do, and publish nothing")
	flags.BoolVar(&f.asJSON, "json", false, "print the manifest, or the amounts of --plan-only, as JSON")
	return cmd
}

// addTo offers all that D* depends on, and how the run goes.
func (f *augmentFlags) addTo(flags *pflag.FlagSet) {
	o := &f.options
	addData(flags, &o.Data)
	addModels(flags, &o.Models, &o.Backend, &o.Seed)
	addPrecision(flags, &o.Precision)
	flags.StringVar(&o.Out, "out", "", "folder to publish in (required)")
	flags.StringVar(&f.method, "method", string(o.Method), "what makes the new episodes: "+methodNames())
	addAmounts(flags, o)
	stitching := pflag.NewFlagSet("stitching", pflag.ContinueOnError)
	stitching.Int64Var(&o.Stitches, "stitches", 0, "how many stitches to attempt")
	addStitching(stitching, &o.Settings, &o.Mix)
	addDelta(stitching, &f.delta, &f.deltaSpace)
	addOf(flags, training.MethodDiffStitch, stitching)
	synther := pflag.NewFlagSet("synther", pflag.ContinueOnError)
	synther.IntVar(&o.SynthER.Steps, "heun-steps", 0, "steps of the sampler; 0 for those of the model's preset")
	addOf(flags, training.MethodSynthER, synther)
	tatu := pflag.NewFlagSet("tatu", pflag.ContinueOnError)
	tatu.IntVar(&o.TATU.Length, "rollout-steps", o.TATU.Length, "steps of a rollout, at most")
	tatu.Float64Var(&o.TATU.Truncation, "truncation", o.TATU.Truncation, "share of the data's largest uncertainty at which a rollout is cut: 1/α of the paper")
	tatu.Float64Var(&o.TATU.Penalty, "penalty", o.TATU.Penalty, "what uncertainty takes off rewards, as a multiple of it: λ")
	addOf(flags, training.MethodTATU, tatu)
	flags.StringVar(&f.batch, "batch", "", "attempts a batch: a number, or auto to measure what suits the device; by default 64 stitches, or 1024 transitions or rollouts")
	flags.StringVar(&f.mix, "mix", "concat", "original:augmented transitions of the files, such as 4:1, for which stitches are left out or repeated, or concat for all there is")
	addWatching(flags, &f.metricsAddress)
	addBeam(flags)
}

// settle reads the options off the flags, and refuses what contradicts itself.
func (f *augmentFlags) settle(cmd *cobra.Command) (err error) {
	if err := required(cmd.Flags(), "data", "models", "out"); err != nil {
		return err
	}
	if flag.Lookup("template_location").Value.String() != "" {
		return usage(fmt.Errorf("%s runs several jobs, each on what the one before left, and a template holds one", cmd.Name()))
	}
	if f.price < 0 || cmd.Flags().Changed("price") && !f.dryRun {
		return usage(errors.New("--price is what an hour costs, for --dry-run to reckon with"))
	}
	if f.dryRun && f.onlyPlanned {
		return usage(errors.New("--dry-run reads no data, --plan-only reads all: give one of them"))
	}
	f.options.Method = training.Method(f.method)
	if err := refuseOthers(cmd.Flags(), f.options.Method); err != nil {
		return err
	}
	if f.options.Delta, err = method.ParseDelta(f.delta); err == nil {
		f.options.Delta, err = f.options.Delta.In(f.deltaSpace)
	}
	if err != nil {
		return usage(err)
	}
	if f.options.Mix.Ratio, err = mix.ParseRatio(f.mix); err != nil {
		return usage(err)
	}
	f.options.Runner = runner()
	return settleBatch(cmd.ErrOrStderr(), f.batch, &f.options)
}

// run does what the flags ask for, and prints what came of it.
func (f *augmentFlags) run(cmd *cobra.Command) error {
	if f.dryRun {
		plan, err := augment.EstimateOf(f.options, f.price)
		if err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), plan)
	}
	sayBackend(cmd.ErrOrStderr(), f.options.Backend)
	show, err := watching(cmd, f.metricsAddress)
	if err != nil {
		return err
	}
	if f.onlyPlanned {
		return measure(cmd, f.options, show, f.asJSON)
	}
	published, err := augment.Run(cmd.Context(), f.options, nil, show)
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), published.Manifest)
	}
	printSnapshot(cmd.OutOrStdout(), published)
	return nil
}

// measure prints how much there is to do.
func measure(cmd *cobra.Command, o augment.Options, show func(observe.Progress), asJSON bool) error {
	a, err := augment.Measure(cmd.Context(), o, show)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if asJSON {
		return printJSON(out, a)
	}
	round := ""
	if a.FirstRound {
		round = fmt.Sprintf(" in the first round; %d transitions are wanted", a.Wanted)
	}
	fmt.Fprintf(out, "read        %d transitions of %d episodes in %d files (%s); %d rejected\n", a.Transitions, a.Episodes, a.Files, mib(a.Bytes), a.Rejected)
	if o.Method != training.MethodDiffStitch {
		fmt.Fprintf(out, "plan        %d episodes of %d transitions at most, in %d batches and %d partitions%s\n", a.Pairs, a.Generated, a.Batches, a.Partitions, round)
		if a.Starts.States > 0 {
			fmt.Fprintf(out, "starts      %d states: %d windows, %s\n", a.Starts.States, a.Starts.Windows, mib(a.Starts.Bytes))
		}
		fmt.Fprintf(out, "models      %d runs at most, each on a batch\n", a.ModelRuns)
		return nil
	}
	fmt.Fprintf(out, "pools       %d low and %d high episodes\n", a.LowEpisodes, a.HighEpisodes)
	fmt.Fprintf(out, "plan        %d pairs, %d of them crossings, in %d batches and %d partitions%s\n", a.Pairs, a.Crossings, a.Batches, a.Partitions, round)
	fmt.Fprintf(out, "candidates  %d states: %d windows, %s\n", a.Candidates.States, a.Candidates.Windows, mib(a.Candidates.Bytes))
	fmt.Fprintf(out, "low ends    %d states: %d windows, %s\n", a.LowEnds.States, a.LowEnds.Windows, mib(a.LowEnds.Bytes))
	fmt.Fprintf(out, "entries     of %d states at most: %d windows, %s\n", a.HighPool.States, a.HighPool.Windows, mib(a.HighPool.Bytes))
	return nil
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// addAmounts offers what all methods take.
func addAmounts(flags *pflag.FlagSet, o *augment.Options) {
	flags.Int64Var(&o.Transitions, "transitions", 0, "how many transitions D_aug must hold; attempts go on until it does")
	flags.IntVar(&o.GPUConcurrency, "gpu-concurrency", o.GPUConcurrency, "batches that may run at once on the device of a worker process")
	flags.Float64Var(&o.MaxFailedShare, "max-failed-share", 0, "share of the attempts that may be missing because their batch failed")
	flags.IntVar(&o.CacheMB, "cache-mb", o.CacheMB, "MiB of memory that each worker process spends on keeping episode windows")
	flags.Int64Var(&o.Mix.RowGroupRows, "row-group-rows", o.Mix.RowGroupRows, "rows of a row group, at least")
	flags.Int64Var(&o.Mix.PartRows, "part-rows", o.Mix.PartRows, "rows of a file, at least")
}

// ofMethod is the annotation of a flag that says which method it is of.
const ofMethod = "diffstitch_method"

// addOf offers the flags of one method alone.
func addOf(flags *pflag.FlagSet, method training.Method, own *pflag.FlagSet) {
	own.VisitAll(func(f *pflag.Flag) {
		f.Annotations = map[string][]string{ofMethod: {string(method)}}
		if method != training.MethodDiffStitch {
			f.Usage = string(method) + ": " + f.Usage
		}
	})
	flags.AddFlagSet(own)
}

// refuseOthers fails where a flag was given that is of another method.
func refuseOthers(flags *pflag.FlagSet, method training.Method) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		if of := f.Annotations[ofMethod]; of != nil && of[0] != string(method) && err == nil {
			err = usage(fmt.Errorf("--%s is of --method %s, and means nothing to %s", f.Name, of[0], method))
		}
	})
	return err
}

// addDelta offers δ.
func addDelta(flags *pflag.FlagSet, delta, space *string) {
	flags.StringVar(delta, "delta", "auto", "δ of the qualification: a number, off, auto, or auto:QUANTILE of the worst dynamics error in held-out stretches of 10 steps")
	flags.StringVar(space, "delta-space", method.SpaceRaw, "in which δ and the error are measured: "+method.SpaceRaw+", the units of the observations, or "+method.SpaceNormalised+", their standard deviations")
}

// addStitching offers how pairs and bridges are made and judged.
func addStitching(flags *pflag.FlagSet, o *method.Settings, m *mix.Config) {
	flags.StringVar(&o.Pairing, "pairing", o.Pairing, "how pairs are drawn: "+pair.Uniform+" (the paper), "+pair.Reference+" (the authors' retrieval, the default with models of --preset paper or reference), "+pair.Reachable+" (entries nearest to what is imagined) or "+pair.Crossings+" (where episodes come near each other, the default with other models)")
	flags.IntVar(&o.Hops, "hops", o.Hops, "bridges that a stitched episode has, at most, with --pairing crossings; 1 is the paper's")
	flags.IntVar(&o.Candidates, "candidates", o.Candidates, "high-return states that a batch chooses its entries from, with reference pairing; reachable looks at 32 times as many")
	flags.Int32Var(&o.MinLeft, "min-left", 0, "steps that an entry's episode must have left, at least (101 in the authors' code)")
	flags.Float64Var(&o.Pools.Low, "low-quantile", o.Pools.Low, "episodes at or under this quantile are low")
	flags.Float64Var(&o.Pools.High, "high-quantile", o.Pools.High, "episodes at or above this quantile are high")
	flags.StringVar(&o.Scoring.Kind, "rank-by", o.Scoring.Kind, "what episodes are ranked by: "+trajectory.ScoreReturn+", "+trajectory.ScoreDiscounted+" or "+trajectory.ScorePerStep)
	flags.Float64Var(&o.Scoring.Discount, "discount", 0, "γ for --rank-by "+trajectory.ScoreDiscounted)
	flags.StringVar(&o.Estimate.Similarity.Kind, "similarity", o.Estimate.Similarity.Kind, "how states are compared: "+estimate.Cosine+" (the paper) or "+estimate.Distance)
	flags.StringVar(&o.Estimate.Similarity.Space, "similarity-space", o.Estimate.Similarity.Space, "on which states: "+estimate.Raw+", "+estimate.Normalised+" by the data's moments, or "+estimate.Denoiser+", as the denoiser has them (the authors' code)")
	flags.Float64Var(&o.Estimate.Threshold, "similarity-threshold", 0, "draw the entry at random from the candidates at least this similar, in place of the most similar one; 0 takes that (0.9 or so in the authors' code)")
	flags.BoolVar(&o.Estimate.Argmax, "argmax-steps", false, "Δ is the most similar step i* itself (the paper) in place of i*−1, with which s′_1 stands where it was imagined")
	flags.IntVar(&o.Estimate.MinSteps, "min-steps", 0, "least Δ")
	flags.IntVar(&o.Estimate.MaxSteps, "max-steps", 0, "most Δ; 0 for what the horizon allows")
	flags.IntVar(&o.Estimate.Constant, "constant-steps", 0, "Δ for every stitch, instead of estimating it")
	flags.StringVar(&o.Sampler.Kind, "sampler", o.Sampler.Kind, "reverse diffusion: "+diffusion.DDIM+", "+diffusion.DPM+" (DPM-Solver++) or "+diffusion.DDPM+" (the paper)")
	flags.IntVar(&o.Sampler.Steps, "sampler-steps", o.Sampler.Steps, "denoising steps; 0 for all the model has")
	flags.Float64Var(&o.Sampler.NoiseScale, "noise-scale", 0, "factor of the sampler's noise, at the start and in each step; 0 for 1 (0.5 in the authors' code)")
	flags.StringVar(&o.Sampler.Variance, "ddpm-variance", "", "of the noise that ddpm adds in a step: "+diffusion.VariancePosterior+" (the default, and the authors' code) or "+diffusion.VarianceBeta+" (the paper)")
	flags.Float64Var(&o.GuidedReturn, "guided-return", o.GuidedReturn, "return that guides the denoiser, from 0 to 1, the data's highest (models of --preset reference; 0.85 or so in the authors' code)")
	flags.StringVar(&o.Refine, "refine", "", "roll bridges out through the dynamics model under optimised actions: "+method.RefineOn+" or "+method.RefineOff+"; by default "+method.RefineOn+" where the models have nets for it (--preset tiny and small)")
	flags.Float64Var(&o.MaxDisagreement, "max-disagreement", 0, "drop stitches on which a net of the dynamics ensemble strays farther than this from the nets' mean, in the units of the observations; 0 to keep them (models of --preset tiny, small and reference)")
	flags.BoolVar(&o.RejectTerminal, "reject-terminal", false, "drop stitches of which a generated state is predicted to be terminal (models of --preset reference)")
	flags.BoolVar(&o.RequireGain, "require-gain", false, "drop stitches that earn no more than what they replace")
	flags.BoolVar(&o.AcceptTies, "accept-ties", false, "with --require-gain, keep those that earn as much (the authors' code)")
	flags.StringVar(&m.Emit, "emit", m.Emit, "what a stitch leaves in D*: "+mix.EmitTrajectory+" (the paper) or "+mix.EmitBridge+" (the authors' code)")
}

// settleBatch reads --batch, or measures it and says what was chosen.
func settleBatch(w io.Writer, batch string, o *augment.Options) (err error) {
	if batch == "" {
		return nil // the method's own
	}
	if batch != "auto" {
		if o.Batch, err = strconv.Atoi(batch); err != nil {
			return usage(fmt.Errorf("--batch %q: want a number or auto", batch))
		}
		if o.Batch < 1 {
			return usage(fmt.Errorf("--batch %d: a batch must have at least one attempt", o.Batch))
		}
		return nil
	}
	measured, err := augment.ChooseBatch(*o)
	if err != nil {
		return err
	}
	o.Batch = measured[len(measured)-1].Batch
	fmt.Fprintf(w, "--batch %d, of those measured:", o.Batch)
	for _, m := range measured {
		fmt.Fprintf(w, " %d (%.3g per second)", m.Batch, m.PerSecond)
	}
	fmt.Fprintln(w)
	return nil
}

// printSnapshot says what was published, and where.
func printSnapshot(w io.Writer, s snapshot.Snapshot) {
	m := s.Manifest
	for _, stage := range m.Stages {
		fmt.Fprintf(w, "%-9s %8d in %8d out  %s", stage.Stage, stage.In, stage.Out, stage.Unit)
		for _, reason := range slices.Sorted(maps.Keys(stage.Dropped)) {
			fmt.Fprintf(w, ", %d dropped: %s", stage.Dropped[reason], reason)
		}
		for _, kind := range slices.Sorted(maps.Keys(stage.Kinds)) {
			fmt.Fprintf(w, ", %d %s", stage.Kinds[kind], kind)
		}
		if stage.Repeated > 0 {
			fmt.Fprintf(w, ", %d repeated: to hold the ratio", stage.Repeated)
		}
		fmt.Fprintln(w)
	}
	var o augment.Options
	made := "stitched ones"
	switch err := json.Unmarshal(m.Configuration, &o); {
	case err == nil && o.Method == training.MethodDiffStitch:
		fmt.Fprintf(w, "δ: %v\n", o.Delta)
	case err == nil:
		made = "ones by " + string(o.Method)
	}
	fmt.Fprintf(w, "D*: %d transitions of %d original episodes, %d of %d %s\n",
		m.Original.Transitions, m.Original.Episodes, m.Stitched.Transitions, m.Stitched.Episodes, made)
	fmt.Fprintf(w, "published %s\nreport    %s\n", s.DataDir(), s.ReportPath())
}
