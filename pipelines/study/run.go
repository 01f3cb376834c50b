package study

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/session"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/evaluate/environment"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/train"
	"diffstitch/pipelines/version"
)

// Tools are the pipelines that steps are done by.
type Tools struct {
	Generate func(context.Context, exchange.GenerateOptions) (int64, error)
	Sample   func(context.Context, exchange.SampleOptions) (exchange.Sampled, error)
	Train    func(context.Context, train.Options, func(observe.Progress)) (session.Info, error)
	Augment  func(context.Context, augment.Options, augment.Judge, func(observe.Progress)) (snapshot.Snapshot, error)
	Evaluate func(context.Context, evaluate.Options, func(observe.Progress)) (evaluate.Evaluation, error)
	// Check fails where a dataset is not of an environment, or there is none.
	Check func(ctx context.Context, data input.Data, python, environment string) error
}

// Pipelines are the tools that commands use too.
var Pipelines = Tools{
	Generate: exchange.GeneratePointMaze, Sample: exchange.Sample, Train: train.Run, Augment: augment.Run,
	Evaluate: evaluate.Run, Check: environment.Check,
}

// Watch is told how a study goes; its parts may be nil.
type Watch struct {
	Say  func(string) // a line when a step begins, and when it has failed
	Show func(observe.Progress)
}

// run is a study that is being done.
type run struct {
	options  Options
	plan     Plan
	tools    Tools
	watch    Watch
	given    string            // key of the dataset that the options name
	finished map[string]Record // of all studies in the folder
	failed   map[string]error  // steps, by key
}

// open lays out the study and looks at what is there.
func open(o Options) (*run, error) {
	settings, err := o.settle()
	if err != nil {
		return nil, err
	}
	r := &run{options: o, failed: map[string]error{}}
	if o.Data.Path != "" {
		if r.given, err = fingerprint(o.Data); err != nil {
			return nil, err
		}
	}
	if r.plan, err = plan(settings, r.given); err != nil {
		return nil, err
	}
	r.finished, err = records(r.steps())
	return r, err
}

func (r *run) steps() string         { return filepath.Join(r.options.Out, "steps") }
func (r *run) dir(key string) string { return filepath.Join(r.steps(), key) }
func (r *run) show(p observe.Progress) {
	if r.watch.Show != nil {
		r.watch.Show(p)
	}
}

func (r *run) say(format string, values ...any) {
	if r.watch.Say != nil {
		r.watch.Say(fmt.Sprintf(format, values...))
	}
}

// dataset is how the dataset of a key is read.
func (r *run) dataset(key string) input.Data {
	if key == r.given {
		return r.options.Data
	}
	return input.Data{Path: output(r.dir(key), key)}
}

// Run does what a study's plan lacks, and writes its page, also of a part of it
// where steps failed. A step that fails holds up those that need it alone.
func Run(ctx context.Context, o Options, tools Tools, watch Watch, command string) (Result, error) {
	r, err := open(o)
	if err != nil {
		return Result{}, err
	}
	r.tools, r.watch = tools, watch
	if err := r.check(ctx); err != nil {
		return Result{}, err
	}
	if err := os.MkdirAll(r.steps(), 0o755); err != nil {
		return Result{}, fmt.Errorf("study: %w", err)
	}
	release, err := snapshot.Lock(filepath.Join(r.steps(), ".lock"), "study "+o.Study)
	if err != nil {
		return Result{}, err
	}
	defer release()
	var failed error
	for i, step := range r.plan.Steps {
		err := r.do(ctx, i, step)
		if ctx.Err() != nil {
			return Result{}, errors.Join(ctx.Err(), err)
		}
		if err != nil {
			r.failed[step.Key] = err
			r.say("failed: %v", err)
			// What kind of error stopped a step is nothing of the study, which went on.
			failed = errors.Join(failed, fmt.Errorf("study: %s (%s): %v", step.Title, step.Key, err))
		}
	}
	result, err := r.result()
	if err != nil {
		return result, err
	}
	return result, errors.Join(failed, result.write(command))
}

// check looks at the environment of given data before anything is trained for it.
func (r *run) check(ctx context.Context) error {
	left := slices.ContainsFunc(r.plan.Steps, func(s Step) bool {
		_, done := r.finished[s.Key]
		return s.Kind == CellStep && !done
	})
	if r.given == "" || !left {
		return nil
	}
	return r.tools.Check(ctx, r.options.Data, r.options.Python, r.options.Env)
}

// do does a step, unless it is finished or what it needs has failed.
func (r *run) do(ctx context.Context, i int, step Step) error {
	if _, done := r.finished[step.Key]; done {
		return nil
	}
	if missing := slices.IndexFunc(step.Needs, func(key string) bool { return r.failed[key] != nil }); missing >= 0 {
		r.failed[step.Key] = fmt.Errorf("%s failed", step.Needs[missing])
		return nil // said already
	}
	r.say("step %d of %d: %s (%d %s)", i+1, len(r.plan.Steps), step.Title, step.Work.Amount, step.Work.Unit)
	dir := r.dir(step.Key)
	_, err := os.Stat(dir)
	record := Record{
		Key: step.Key, Kind: step.Kind, Title: step.Title, Software: version.Software, Work: step.Work, Resumed: err == nil,
	}
	if record.Settings, err = json.Marshal(step.job); err != nil {
		return fmt.Errorf("study: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("study: %w", err)
	}
	begun := time.Now()
	if record.Outcome, err = step.job.do(ctx, r, dir); err != nil {
		return err
	}
	record.Finished = time.Now().UTC().Truncate(time.Second)
	record.Seconds = time.Since(begun).Seconds()
	r.finished[step.Key] = record
	return record.save(dir)
}
