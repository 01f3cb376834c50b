// Package demo does the whole job in one call: it generates the built-in maze, trains
// the models, makes D*, and has the simulator judge it.
package demo

import (
	"context"
	"path/filepath"

	"diffstitch/io/report"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/env/pointmaze"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/engine"
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
	Delta    method.Delta
	Horizon  int // of the denoiser, in place of its preset's; 0 keeps that
	Seed     uint64
	Backend  string
	Runner   string
}

// DefaultOptions is the demo's configuration.
func DefaultOptions() Options {
	return Options{
		Dir:      "demo",
		Episodes: 500,
		Stitches: 512,
		Delta:    method.Delta{Value: 0.37},
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

// Run generates the built-in maze's dataset, trains the tiny models on it,
// stitches it, and has the simulator judge every bridge.
func Run(ctx context.Context, o Options, progress func(observe.Progress)) (Made, error) {
	made := Made{Data: filepath.Join(o.Dir, "maze.parquet")}
	if _, err := exchange.GeneratePointMaze(ctx, exchange.GenerateOptions{Out: made.Data, Episodes: o.Episodes, Seed: o.Seed}); err != nil {
		return made, err
	}
	models := filepath.Join(o.Dir, "models")
	_, err := train.Run(ctx, train.Options{
		Data: input.Data{Path: made.Data}, Models: models, Preset: "tiny", Horizon: o.Horizon, Seed: o.Seed, Backend: o.Backend, Runner: o.Runner,
	}, progress)
	if err != nil {
		return made, err
	}
	options := augment.DefaultOptions()
	options.Data = input.Data{Path: made.Data}
	options.Models, options.Out = models, filepath.Join(o.Dir, "dataset")
	options.Stitches, options.Delta = o.Stitches, o.Delta
	options.Estimate.MinSteps = 2 // so that every bridge has states to judge
	options.Seed, options.Backend, options.Runner = o.Seed, o.Backend, o.Runner
	judge := func(outcomes []trajectory.Outcome, bridge augment.BridgeOf) (*augment.Verdict, error) {
		verdict, err := judgeMaze(pointmaze.Default(), outcomes, bridge)
		if err == nil {
			made.Truth = verdict.Truth
		}
		return verdict, err
	}
	made.Snapshot, err = augment.Run(ctx, options, judge, progress)
	return made, err
}
