// Package demo is the whole job in one call, on the dataset of the built-in maze in which
// no episode leads from the start to the goal. It measures in the run whether what is
// made is true, and whether it helps a learner.
package demo

import (
	"context"
	"path/filepath"
	"slices"

	"diffstitch/io/report"
	"diffstitch/io/snapshot"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/env/pointmaze"
	"diffstitch/modelops/learners"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/train"
)

// Options configure the demo.
type Options struct {
	Dir      string // folder of all that the demo makes
	Episodes int
	Stitches int64
	Horizon  int // of the denoiser, in place of its preset's; 0 keeps that
	Updates  int // of the learner, on D and on D*
	Trials   int // episodes that each policy flies
	Seed     uint64
	Backend  string
	Runner   string
}

// DefaultOptions is the demo's configuration.
func DefaultOptions() Options {
	return Options{
		Dir:      "demo",
		Episodes: 500,
		Stitches: 1024,
		Updates:  5000,
		Trials:   100,
		Seed:     1,
		Backend:  backend.Auto,
		Runner:   engine.Runners[0],
	}
}

// Made is what the demo made.
type Made struct {
	Data     string
	Snapshot snapshot.Snapshot
	Truth    report.Truth
}

// Run generates the dataset, trains the tiny models on it and a policy, stitches it,
// has the simulator judge every bridge, and trains a policy on D* as on D.
func Run(ctx context.Context, o Options, progress func(observe.Progress)) (Made, error) {
	if err := input.Local(o.Dir); err != nil {
		return Made{}, err
	}
	made := Made{Data: filepath.Join(o.Dir, "maze.parquet")}
	generated := exchange.GenerateOptions{Out: made.Data, Episodes: o.Episodes, Seed: o.Seed, Stitch: true}
	if _, err := exchange.GeneratePointMaze(ctx, generated); err != nil {
		return made, err
	}
	models := filepath.Join(o.Dir, "models")
	_, err := train.Run(ctx, train.Options{
		Data: input.Data{Path: made.Data}, Models: models, Preset: "tiny", Horizon: o.Horizon, Seed: o.Seed, Backend: o.Backend, Runner: o.Runner,
	}, progress)
	if err != nil {
		return made, err
	}
	before, err := o.learn(ctx, made.Data, "learner-d", fromD, progress)
	if err != nil {
		return made, err
	}
	options := augment.DefaultOptions()
	options.Data = input.Data{Path: made.Data}
	options.Models, options.Out = models, filepath.Join(o.Dir, "dataset")
	options.Stitches = o.Stitches
	options.Sampler = sampler
	options.Seed, options.Backend, options.Runner = o.Seed, o.Backend, o.Runner
	judge := func(judged augment.Judged) (*augment.Verdict, error) {
		j := judge{maze: pointmaze.Default(), before: before}
		fromDStar := fromDStar
		if !slices.ContainsFunc(judged.Outcomes, accepted) { // D* is D
			fromDStar = fromD
		}
		if j.after, err = o.learn(ctx, judged.Data, "learner-dstar", fromDStar, progress); err != nil {
			return nil, err
		}
		verdict, err := j.judge(ctx, judged)
		if err == nil {
			made.Truth = verdict.Truth
		}
		return verdict, err
	}
	made.Snapshot, err = augment.Run(ctx, options, judge, progress)
	return made, err
}

// sampler takes few steps: what is sampled is a plan, of which refinement makes a
// trajectory. With the noise that DDPM draws in each more of the plans are accepted.
var sampler = diffusion.Sampler{Kind: diffusion.DDPM, Steps: 10}

// Original to augmented rows in a policy's batches: most of what it learns from D* leads
// from one corridor to another.
var fromD, fromDStar = learners.Ratio{Original: 1}, learners.Ratio{Original: 1, Augmented: 4}

// learn is how three policies fare that learn from data, since one says little; what is
// trained goes to a folder of a name.
func (o Options) learn(ctx context.Context, data, name string, ratio learners.Ratio, progress func(observe.Progress)) (evaluate.Evaluation, error) {
	return evaluate.Run(ctx, evaluate.Options{
		Data: input.Data{Path: data}, Learner: learners.IQL, Tiny: true, Steps: o.Updates, Seeds: []uint64{o.Seed, o.Seed + 1, o.Seed + 2}, Ratio: ratio, Out: filepath.Join(o.Dir, name),
		Env: pointmaze.Name, Episodes: o.Trials, Backend: o.Backend,
	}, progress)
}
