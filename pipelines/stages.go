package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/mix"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// The files in which one pipeline leaves its records to the next.
const (
	scannedFile    = "scanned.parquet"
	rejectsFile    = "rejects.parquet"
	inputsFile     = "inputs.parquet"
	candidatesFile = "candidates.parquet"
	outcomesFile   = "outcomes-%04d.parquet"
	partsFile      = "parts.parquet"
)

// What the driver laid out for workers to share, each the prefix of its files.
const (
	planShares      = "plan-%04d"
	candidateShares = "candidates"
	layoutShares    = "layout"
)

func (run *augmentation) work(name string) string {
	return filepath.Join(run.staging.WorkDir(), name)
}

// took remembers the time a stage took.
func (run *augmentation) took(stage string, seconds float64) {
	run.durations = append(run.durations, snapshot.Duration{Stage: stage, Seconds: seconds})
}

// execute runs one of the run's pipelines, and keeps its metrics.
func (run *augmentation) execute(ctx context.Context, stage string, tasks func(observe.Metrics) []Progress, build func(beam.Scope, *observe.Job)) (observe.Metrics, error) {
	final, err := execute(ctx, pipeline{runner: run.options.Runner, stage: stage, build: build, progress: run.progress, tasks: tasks})
	if err != nil {
		return final, err
	}
	if run.metrics == nil {
		run.metrics = map[string]observe.Metrics{}
	}
	if _, known := run.metrics[stage]; !known {
		run.metrics[stage] = observe.NewMetrics()
	}
	run.metrics[stage].Add(final)
	return final, nil
}

// read scans the input for what ranking needs, and ranks it.
func (run *augmentation) read(ctx context.Context) error {
	_, err := run.execute(ctx, "reading", readingTasks, func(s beam.Scope, job *observe.Job) {
		scanned, rejects := datasetio.Scan(s, run.input, run.shape, run.options.Scoring, run.staging.WorkDir())
		datasetio.WriteRecords[datasetio.Scanned](s, run.work(scannedFile), job.Live(s, scanned))
		datasetio.WriteRecords[dataset.Reject](s, run.work(rejectsFile), rejects)
		datasetio.WriteRecords[datasetio.FileInfo](s, run.work(inputsFile), datasetio.Hashes(s, run.input))
	})
	if err != nil {
		return err
	}
	scanned, err := load(run.work(scannedFile), func(a, b datasetio.Scanned) int { return 0 })
	if err != nil {
		return err
	}
	if run.metas, err = datasetio.LoadScanned(run.staging.WorkDir(), scanned); err != nil {
		return err
	}
	if run.rejects, err = load(run.work(rejectsFile), byPlace); err != nil {
		return err
	}
	run.metas, run.rejects = datasetio.RejectReturning(run.input, run.metas, run.rejects)
	slices.SortFunc(run.rejects, byPlace)
	byIndex := func(a, b datasetio.FileInfo) int { return cmp.Compare(a.Index, b.Index) }
	if run.files, err = load(run.work(inputsFile), byIndex); err != nil {
		return err
	}
	if err := run.options.Data.check(len(run.input.Files), run.metas, run.rejects); err != nil {
		return err
	}
	number(run.metas)
	if err := run.method.prepare(run); err != nil {
		return fmt.Errorf("%w: %w", ErrData, err)
	}
	return nil
}

// load reads records in an order that does not depend on the run; no file means
// no records.
func load[T any](path string, order func(a, b T) int) ([]T, error) {
	records, err := datasetio.LoadRecords[T](path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	slices.SortFunc(records, order)
	return records, err
}

func byPlace(a, b dataset.Reject) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Reason, b.Reason))
}

// number gives the episodes new ids, in the data's order, if files share ids.
func number(metas []trajectory.Meta) {
	ids := make([]int64, len(metas))
	for i, m := range metas {
		ids[i] = m.ID
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) == len(metas) {
		return
	}
	for i := range metas {
		metas[i].ID = int64(i)
	}
}

// attempt attempts episodes: as many as asked for, or in rounds until D_aug has
// the transitions asked for.
func (run *augmentation) attempt(ctx context.Context) error {
	o := run.options
	if inProcess(o.Runner) { // held over all rounds, so that its workers compile once
		release, err := session.Hold(run.session())
		if err != nil {
			return err
		}
		defer release()
	}
	if o.Stitches > 0 {
		return run.round(ctx, 0, 0, o.Stitches)
	}
	next := int64(0)
	for round := 0; ; round++ {
		count, err := run.attempts(next, run.wanted())
		if count == 0 || err != nil {
			return err
		}
		if err := run.round(ctx, round, next, count); err != nil {
			return err
		}
		next += count
	}
}

// wanted is how many transitions D_aug must hold.
func (run *augmentation) wanted() int64 {
	if o := run.options; o.Transitions == 0 {
		return originalRows(run.metas) * o.Mix.Ratio.Augmented / o.Mix.Ratio.Original
	}
	return run.options.Transitions
}

// firstRound is how many attempts are made before any is judged.
func (run *augmentation) firstRound() (int64, error) {
	if run.options.Stitches > 0 {
		return run.options.Stitches, nil
	}
	return run.attempts(0, run.wanted())
}

// minAcceptance is the share of accepted attempts under which asking for more is
// given up, once patience batches were tried.
const (
	minAcceptance = 0.01
	patience      = 8
)

// attempts is how many the next round should try, a whole number of batches: 0
// when D_aug has what is wanted.
func (run *augmentation) attempts(tried, wanted int64) (int64, error) {
	batch := int64(run.options.Batch)
	accepted, rows := run.accepted()
	switch {
	case rows >= wanted:
		return 0, nil
	case tried == 0:
		return (run.method.guess(run.options, wanted) + batch - 1) / batch * batch, nil
	case tried >= patience*batch && float64(accepted) < minAcceptance*float64(tried):
		return 0, fmt.Errorf("pipelines: only %d of %d attempted %s passed%s, and D_aug has %d of %d transitions: train the models longer, ask less of what is generated, or ask for less of it",
			accepted, tried, run.method.words().attempts, run.options.Delta.passed(), rows, wanted)
	case rows == 0:
		return tried, nil
	}
	// A tenth more than the acceptance so far asks for, and no more than four
	// times what was tried.
	needed := min(int64(1.1*float64(wanted-rows)*float64(tried)/float64(rows)), 4*tried)
	return (needed/batch + 1) * batch, nil
}

// accepted counts the accepted attempts and their rows in D_aug.
func (run *augmentation) accepted() (attempts, rows int64) {
	for _, o := range run.outcomes {
		if o.Rejected == "" {
			attempts += o.Attempts()
			rows += run.options.Mix.Rows(o)
		}
	}
	return attempts, rows
}

// judged counts the attempts that came back.
func (run *augmentation) judged() (attempts int64) {
	for _, o := range run.outcomes {
		attempts += o.Attempts()
	}
	return attempts
}

func originalRows(metas []trajectory.Meta) (rows int64) {
	for _, m := range metas {
		rows += int64(m.Steps)
	}
	return rows
}

// round makes the attempts [first, first+count) of the plan.
func (run *augmentation) round(ctx context.Context, round int, first, count int64) error {
	path := run.work(fmt.Sprintf(outcomesFile, round))
	build, err := run.method.attempt(ctx, run, round, first, count)
	if err != nil {
		return err
	}
	_, err = run.execute(ctx, run.method.words().stage, run.attemptTasks(round, first, count), func(s beam.Scope, job *observe.Job) {
		outcomes, dead := build(s, job)
		datasetio.DeadLetters(s, run.staging.WorkDir(), run.options.mayFail(first+count), dead...)
		datasetio.WriteRecords[trajectory.Outcome](s, path, outcomes)
	})
	if err != nil {
		if failed := run.checkFailures(first + count); failed != nil {
			return failed
		}
		return err
	}
	outcomes, err := load(path, byPair)
	if err != nil {
		return err
	}
	run.outcomes = append(run.outcomes, outcomes...)
	if err := run.checkFailures(first + count); err != nil {
		return err
	}
	if back := run.judged() + run.failed(); back != first+count {
		return fmt.Errorf("pipelines: %d of %d attempted %s came back", back, first+count, run.method.words().attempts)
	}
	return nil
}

func byPair(a, b trajectory.Outcome) int { return cmp.Compare(a.Index, b.Index) }

// mix lays out and writes D*.
func (run *augmentation) mix(ctx context.Context) error {
	out := datasetio.Output{
		Dir:         run.staging.DataDir(),
		Bridges:     run.staging.WorkDir(),
		Layout:      run.work(layoutShares),
		Shape:       run.shape,
		BridgesOnly: run.options.Mix.Emit == mix.EmitBridge,
	}
	parts, err := datasetio.SaveShares(ctx, out.Layout, func(yield func([]trajectory.Entry) bool) {
		for part := range run.options.Mix.Layout(run.metas, run.outcomes) {
			if !yield(part.Entries) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	_, err = run.execute(ctx, "writing", writingTasks(run.expectedRows()), func(s beam.Scope, job *observe.Job) {
		written := job.Live(s, datasetio.Write(s, run.input, out, parts))
		datasetio.WriteRecords[trajectory.PartInfo](s, run.work(partsFile), written)
	})
	if err != nil {
		return err
	}
	byIndex := func(a, b trajectory.PartInfo) int { return cmp.Compare(a.Index, b.Index) }
	run.parts, err = load(run.work(partsFile), byIndex)
	return err
}
