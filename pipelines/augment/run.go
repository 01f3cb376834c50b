package augment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/modelset"
	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

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
	observe.Say(progress, r.dataset.Notes...)
	if r.staging, err = snapshot.Begin(r.options.Out, snapshot.Options{Configuration: r.configuration}); err != nil {
		return nil, err
	}
	if expected := r.options.Expect; expected != nil && *expected != r.staging.Parent() {
		return nil, errors.Join(fmt.Errorf("augment: CURRENT names %q where %q was expected: %w", r.staging.Parent(), *expected, snapshot.ErrOvertaken), r.close())
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
	set, err := modelset.Current(r.options.Models)
	if err != nil {
		return nil, err
	}
	r.options.Models = set.Dir
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
	if err := engine.Precise(o.Backend, o.Runner, o.Precision); err != nil {
		return fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
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

// session is what the workers run: the models that the run began with, and no
// others.
func (o Options) session(models session.Info) session.Options {
	return session.Options{
		Dir: o.Models, Kinds: models.Kinds, Hashes: models.Hashes(), Backend: o.Backend, Precision: o.Precision,
		Batch: o.Batch, Sampler: o.Sampler, Steps: o.SynthER.Steps, Return: float32(o.GuidedReturn), Concurrency: o.GPUConcurrency,
	}
}

// close gives up what was not published.
func (r *run) close() error { return r.staging.Abort() }

// took remembers the time a stage took.
func (r *run) took(stage string, seconds float64) {
	r.durations = append(r.durations, snapshot.Duration{Stage: stage, Seconds: seconds})
}

// path is a file in which one pipeline leaves its records to the next.
func (r *run) path(name string) string { return storage.Join(r.work.Dir, name) }

// execute runs one of the run's pipelines, and keeps its metrics.
func (r *run) execute(ctx context.Context, stage string, tasks func(observe.Metrics) []observe.Progress, build func(beam.Scope, *observe.Job)) error {
	final, err := engine.Pipeline{Runner: r.options.Runner, Stage: stage, Build: build, Progress: r.progress, Tasks: tasks}.Run(ctx)
	if err != nil {
		return err
	}
	if r.metrics == nil {
		r.metrics = map[string]observe.Metrics{}
	}
	if _, known := r.metrics[stage]; !known {
		r.metrics[stage] = observe.NewMetrics()
	}
	r.metrics[stage].Add(final)
	return nil
}
