// Package augment makes D* of a dataset: it reads and ranks the episodes, has a
// method attempt new ones in rounds, mixes them with the originals, and publishes the
// result as a snapshot with a manifest, a card and a report. What a run leaves behind
// that died it can remove as well.
package augment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/report"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
)

// Judge looks at every attempted bridge before the report is written, so that a
// simulator can say how true it is.
type Judge func(outcomes []trajectory.Outcome, bridge BridgeOf) (*Verdict, error)

// BridgeOf fetches the generated transitions of an attempted stitch.
type BridgeOf func(trajectory.Outcome) (*trajectory.Episode, error)

// Verdict is what a judge says of the attempted stitches.
type Verdict struct {
	Truth report.Truth
	Maze  *report.Maze
}

// Run makes D* of a dataset and publishes it as a new snapshot. The judge and the
// progress may be nil.
func Run(ctx context.Context, o Options, judge Judge, progress func(observe.Progress)) (snapshot.Snapshot, error) {
	r, err := begin(ctx, o, progress)
	if err != nil {
		return snapshot.Snapshot{}, err
	}
	defer r.close()
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"read", r.read},
		{r.method.Words().Step, r.attempt},
		{"mix", r.mix},
	}
	var notRun error
	for _, step := range steps {
		start := time.Now()
		switch err := step.do(ctx); {
		case errors.Is(err, failure.ErrNotRun):
			notRun = err // the next one's job is built all the same
		case err != nil:
			return snapshot.Snapshot{}, err
		}
		r.took(step.name, time.Since(start).Seconds())
	}
	if notRun != nil {
		return snapshot.Snapshot{}, notRun
	}
	return r.publish(judge)
}

// run is an augmentation in progress.
type run struct {
	method   method.Method
	work     method.Work
	options  Options // settled
	dataset  input.Dataset
	engine   backend.Info
	staging  *snapshot.Staging
	progress func(observe.Progress)

	configuration json.RawMessage // the options, δ settled

	files    []datasetio.FileInfo
	rejects  []dataset.Reject
	failures []trajectory.Failure
	parts    []trajectory.PartInfo

	durations []snapshot.Duration
	metrics   map[string]observe.Metrics // by pipeline, summed over rounds
}

// begin checks what was asked for and locks the output folder.
func begin(ctx context.Context, o Options, progress func(observe.Progress)) (*run, error) {
	r, err := open(o)
	if err != nil {
		return nil, err
	}
	if err := engine.Prepare(ctx, r.options.Runner); err != nil {
		return nil, err
	}
	r.progress = progress
	if r.staging, err = snapshot.Begin(r.options.Out, snapshot.Options{Configuration: r.configuration}); err != nil {
		return nil, err
	}
	r.work.Dir = r.staging.WorkDir()
	return r, nil
}

// open settles the options, and opens the data and the models, writing nothing.
func open(o Options) (*run, error) {
	r := &run{}
	var err error
	if r.options, r.method, err = o.settle(); err != nil {
		return nil, err
	}
	if r.dataset, err = r.options.Data.Open(); err != nil {
		return nil, err
	}
	r.dataset.Input.CacheMB = r.options.CacheMB
	if err := r.openModels(); err != nil {
		return nil, err
	}
	if r.configuration, err = json.Marshal(r.options); err != nil {
		return nil, fmt.Errorf("augment: %w", err)
	}
	return r, nil
}

// openModels checks that the models fit the data and the settings.
func (r *run) openModels() error {
	o := &r.options
	models, err := session.Describe(o.Models, training.KindsOf(o.Method))
	if err != nil {
		return err
	}
	if r.engine, err = engine.Backend(o.Backend, o.Runner); err != nil {
		return err
	}
	o.Backend = r.engine.Kind
	shape := r.dataset.Shape
	if models.ObservationDim != shape.ObservationDim || models.ActionDim != shape.ActionDim {
		return fmt.Errorf("%w: %q has observations of %d values and actions of %d, the models in %q were trained on %d and %d",
			failure.ErrData, o.Data.Path, shape.ObservationDim, shape.ActionDim, o.Models, models.ObservationDim, models.ActionDim)
	}
	r.work = method.Work{
		Settings: o.Settings, Mix: o.Mix, Seed: o.Seed, Batch: o.Batch,
		Input: r.dataset.Input, Shape: shape, Models: models, Session: o.session(models), Engine: r.engine.Description,
	}
	if err := r.method.Settle(&r.work); err != nil {
		return fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	o.Settings = r.work.Settings
	return nil
}

// guidedReturn is what a denoiser guided by the return aims at, as a share of
// the data's best: near the top of the range the authors' code uses.
const guidedReturn = 0.9

// session is what the workers run: the models that the run began with, and no
// others.
func (o Options) session(models session.Info) session.Options {
	return session.Options{
		Dir: o.Models, Kinds: models.Kinds, Hashes: models.Hashes(), Backend: o.Backend,
		Batch: o.Batch, Sampler: o.Sampler, Steps: o.SynthER.Steps, Return: guidedReturn, Concurrency: o.GPUConcurrency,
	}
}

// close gives up what was not published.
func (r *run) close() error { return r.staging.Abort() }

// took remembers the time a stage took.
func (r *run) took(stage string, seconds float64) {
	r.durations = append(r.durations, snapshot.Duration{Stage: stage, Seconds: seconds})
}
