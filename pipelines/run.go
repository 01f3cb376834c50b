// Package pipelines wires the transforms into whole Beam graphs and runs them:
// training the models, augmenting a dataset, evaluating what learners make of it, and
// the demo of the first two.
package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	//lint:ignore SA1019 the direct runner stays a choice while Beam ships it
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" // --runner direct
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"  // --runner prism
)

// Version is the software's version, as manifests record it.
const Version = "0.1.0"

// Software is the name and version that manifests record.
const Software = "diffstitch " + Version

// Runners are those that a pipeline can run on. Prism and direct need no service
// beside this process.
var Runners = []string{"prism", "direct", flink, dataflow}

// prepareRunner fails, before any work is done, where a runner lacks something or
// cannot do what it is asked to.
func prepareRunner(ctx context.Context, runner string) error {
	switch {
	case !slices.Contains(Runners, runner):
		return fmt.Errorf("%w: unknown runner %q: it is one of %s", ErrUsage, runner, strings.Join(Runners, ", "))
	case runner == flink:
		return prepareFlink(ctx)
	case runner == dataflow:
		return prepareDataflow()
	}
	return nil
}

// pollEvery is how often a running pipeline's metrics are looked at.
var pollEvery = time.Second

// pipeline is a Beam pipeline to run.
type pipeline struct {
	runner, stage string
	build         func(s beam.Scope, job *observe.Job)
	// progress is told what has been done, by what tasks make of the metrics; it
	// may be nil.
	progress func(Progress)
	tasks    func(observe.Metrics) []Progress
}

// execute runs a pipeline to its end.
func execute(ctx context.Context, p pipeline) (observe.Metrics, error) {
	job := observe.NewJob(p.stage)
	defer job.Close()
	graph, s := beam.NewPipelineWithRoot()
	p.build(s, job)
	tell := p.teller(job)
	stop := job.Watch(ctx, pollEvery, tell)
	result, err := run(ctx, p.runner, job.Name, graph)
	stop()
	if ctx.Err() != nil {
		if err := job.Cancel(); err != nil {
			slog.WarnContext(ctx, "the job may go on", "stage", p.stage, "job", job.Name, "error", err)
		}
		return observe.Metrics{}, ctx.Err()
	}
	if err == nil && p.runner == flink {
		err = job.Succeeded()
	}
	if err != nil {
		return observe.Metrics{}, fmt.Errorf("pipelines: %s on the %s runner: %w", p.stage, p.runner, rootCause(err))
	}
	if result == nil {
		return observe.Metrics{}, ErrNotRun
	}
	// A result without an error has metrics; one with an error may panic on them.
	final := observe.Final(result.Metrics().AllMetrics())
	tell(final)
	return final, nil
}

// run runs the graph under a job name, which Beam takes from its flag alone.
func run(ctx context.Context, runner, name string, graph *beam.Pipeline) (beam.PipelineResult, error) {
	given := *jobopts.JobName
	*jobopts.JobName = name
	defer func() { *jobopts.JobName = given }()
	if runner != "direct" && inProcess(runner) {
		held, release := observe.UntilBegun(ctx)
		defer release()
		ctx = held
	}
	return beam.Run(ctx, runner, graph)
}

// teller turns metrics into progress.
func (p pipeline) teller(job *observe.Job) func(observe.Metrics) {
	meter := observe.Meter{Now: time.Now}
	return func(m observe.Metrics) {
		if p.progress == nil {
			return
		}
		for _, task := range p.tasks(m) {
			task.Rate = meter.Rate(task.Task, task.Done)
			task.Job, task.Stage, task.Metrics = job.Name, p.stage, m
			p.progress(task)
		}
	}
}

// Progress is where a long piece of work stands.
type Progress = observe.Progress

// rootCause is what a DoFn said, without Beam's account of the plan around it.
// Errors reach the driver as text alone: what says that data was rejected is
// known by its words.
func rootCause(err error) error {
	message := err.Error()
	at := strings.LastIndex(message, doFnFailed)
	if at < 0 {
		return err
	}
	message = strings.TrimSpace(message[at+len(doFnFailed):])
	if before, after, rejected := strings.Cut(message, ErrData.Error()); rejected {
		return fmt.Errorf("%s%w%s", before, ErrData, after)
	}
	return errors.New(message)
}

// doFnFailed ends the line in which Beam names the DoFn that failed.
const doFnFailed = "] failed:\n"
