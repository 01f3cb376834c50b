package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"diffstitch/pipelines/engine/embedded"
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
	// Unbounded is whether it goes on until it is cancelled, or until its source has come
	// to an end; on Flink it goes on even then.
	Unbounded bool
}

// Run runs a pipeline to its end and gives its metrics.
func (p Pipeline) Run(ctx context.Context) (observe.Metrics, error) {
	job := observe.NewJob(p.Stage)
	defer job.Close()
	graph, s := beam.NewPipelineWithRoot()
	p.Build(s, job)
	restore, err := endpoint(p.Runner)
	if err != nil {
		return observe.Metrics{}, err
	}
	defer restore()
	if p.Unbounded && p.Runner == flink {
		defer keepSources(*jobopts.Endpoint)()
	}
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

// endpoint has Beam's clients talk to this process's prism, where that is the runner
// and no other is named.
func endpoint(runner string) (restore func(), err error) {
	if runner != prism || *jobopts.Endpoint != "" {
		return func() {}, nil
	}
	here, err := embedded.Prism()
	return set(jobopts.Endpoint, here), err
}

// isOurs says whether an endpoint is that of this process's prism.
func isOurs(endpoint string) bool {
	here, err := embedded.Prism()
	return err == nil && endpoint == here
}

// runJob runs the graph under a job name, which Beam takes from its flag alone.
func runJob(ctx context.Context, runner, name string, graph *beam.Pipeline) (beam.PipelineResult, error) {
	defer set(jobopts.JobName, name)()
	if ours := runner == prism && isOurs(*jobopts.Endpoint); ours || runner != direct && jobopts.IsLoopback() {
		held, release := observe.UntilBegun(ctx)
		defer release()
		pool, err := embedded.NewPool(held, ours)
		if err != nil {
			return nil, err
		}
		defer pool.Stop()
		defer set(jobopts.EnvironmentType, "EXTERNAL")()
		defer set(jobopts.EnvironmentConfig, pool.Address)()
		defer set(jobopts.WorkerBinary, os.DevNull)() // which is staged, and never run
		ctx = held
	}
	return beam.Run(ctx, runner, graph)
}

// set sets one of Beam's flags, until it is restored.
func set(flag *string, value string) (restore func()) {
	given := *flag
	*flag = value
	return func() { *flag = given }
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
