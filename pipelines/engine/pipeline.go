package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
)

// PollEvery is how often a running pipeline's metrics are looked at, and its
// progress told.
var PollEvery = time.Second

// Pipeline is a Beam pipeline to run.
type Pipeline struct {
	Runner string
	Stage  string // what it does, in metrics and progress
	Build  func(s beam.Scope, job *observe.Job)
	// Progress is told what has been done, by what Tasks make of the metrics; it
	// may be nil.
	Progress func(observe.Progress)
	Tasks    func(observe.Metrics) []observe.Progress
}

// Run runs a pipeline to its end and gives its metrics.
func (p Pipeline) Run(ctx context.Context) (observe.Metrics, error) {
	job := observe.NewJob(p.Stage)
	defer job.Close()
	graph, s := beam.NewPipelineWithRoot()
	p.Build(s, job)
	tell := p.teller(job)
	stop := job.Watch(ctx, PollEvery, tell)
	result, err := runJob(ctx, p.Runner, job.Name, graph)
	stop()
	if ctx.Err() != nil {
		if err := job.Cancel(); err != nil {
			slog.WarnContext(ctx, "the job may go on", "stage", p.Stage, "job", job.Name, "error", err)
		}
		return observe.Metrics{}, ctx.Err()
	}
	if err == nil && p.Runner == flink {
		err = job.Succeeded()
	}
	if err != nil {
		return observe.Metrics{}, fmt.Errorf("engine: %s on the %s runner: %w", p.Stage, p.Runner, rootCause(err))
	}
	if result == nil {
		return observe.Metrics{}, failure.ErrNotRun
	}
	// A result without an error has metrics; one with an error may panic on them.
	final := observe.Final(result.Metrics().AllMetrics())
	tell(final)
	return final, nil
}

// runJob runs the graph under a job name, which Beam takes from its flag alone.
func runJob(ctx context.Context, runner, name string, graph *beam.Pipeline) (beam.PipelineResult, error) {
	given := *jobopts.JobName
	*jobopts.JobName = name
	defer func() { *jobopts.JobName = given }()
	if runner != direct && InProcess(runner) {
		held, release := observe.UntilBegun(ctx)
		defer release()
		ctx = held
	}
	return beam.Run(ctx, runner, graph)
}

// teller turns metrics into progress.
func (p Pipeline) teller(job *observe.Job) func(observe.Metrics) {
	meter := observe.Meter{Now: time.Now}
	return func(m observe.Metrics) {
		if p.Progress == nil {
			return
		}
		for _, task := range p.Tasks(m) {
			task.Rate = meter.Rate(task.Task, task.Done)
			task.Job, task.Stage, task.Metrics = job.Name, p.Stage, m
			p.Progress(task)
		}
	}
}

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
	if before, after, rejected := strings.Cut(message, failure.ErrData.Error()); rejected {
		return fmt.Errorf("%s%w%s", before, failure.ErrData, after)
	}
	return errors.New(message)
}

// doFnFailed ends the line in which Beam names the DoFn that failed.
const doFnFailed = "] failed:\n"
