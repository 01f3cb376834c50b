package augment

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// attempt attempts episodes: as many as asked for, or in rounds until D_aug has
// the transitions asked for.
func (r *run) attempt(ctx context.Context) error {
	o := r.options
	if engine.InProcess(o.Runner) { // held over all rounds, so that its workers compile once
		release, err := session.Hold(r.work.Session)
		if err != nil {
			return err
		}
		defer release()
	}
	if err := r.survey(ctx); err != nil {
		return err
	}
	for next := (method.Round{}); ; next.Number++ {
		var err error
		if next.Count, err = r.due(next.First); next.Count == 0 || err != nil {
			return err
		}
		if err := r.round(ctx, next); err != nil {
			return err
		}
		next.First += next.Count
	}
}

// due is how many attempts the next round should make after so many: an equal part, in whole
// batches, of those that are asked for, or what D_aug still needs.
func (r *run) due(tried int64) (int64, error) {
	asked := r.options.Stitches
	if asked == 0 {
		return r.nextCount(tried, r.wanted())
	}
	batch, rounds := int64(r.options.Batch), r.work.Rounds()
	part := (asked + batch*rounds - 1) / (batch * rounds) * batch
	return min(part, asked-tried), nil
}

// survey looks through the data for what planning needs, if it needs any.
func (r *run) survey(ctx context.Context) error {
	for pass := 0; ; pass++ {
		survey, err := r.method.Survey(ctx, &r.work, pass)
		if err != nil || survey == nil {
			return err
		}
		err = r.execute(ctx, surveying, surveyingTasks, survey.Build)
		if errors.Is(err, failure.ErrNotRun) {
			return nil // the job of the round tells, which is built all the same
		}
		if err != nil {
			return err
		}
		if err := survey.Load(); err != nil {
			return err
		}
	}
}

// wanted is how many transitions D_aug must hold.
func (r *run) wanted() int64 {
	if o := r.options; o.Transitions == 0 {
		return originalRows(r.work.Metas) * o.Mix.Ratio.Augmented / o.Mix.Ratio.Original
	}
	return r.options.Transitions
}

// firstCount is how many attempts are made before any is judged.
func (r *run) firstCount() (int64, error) {
	if r.options.Stitches > 0 {
		return r.options.Stitches, nil
	}
	return r.nextCount(0, r.wanted())
}

// minAcceptance is the share of accepted attempts under which asking for more is
// given up, once patience batches were tried.
const (
	minAcceptance = 0.01
	patience      = 8
)

// nextCount is how many attempts the next round should make, a whole number of
// batches: 0 when D_aug has the transitions that are wanted.
func (r *run) nextCount(tried, wanted int64) (int64, error) {
	batch := int64(r.options.Batch)
	accepted, rows := r.accepted(), r.augmentedRows()
	switch {
	case rows >= wanted:
		return 0, nil
	case tried == 0:
		return (r.method.Guess(&r.work, wanted) + batch - 1) / batch * batch, nil
	case tried >= patience*batch && float64(accepted) < minAcceptance*float64(tried):
		return 0, fmt.Errorf("augment: only %d of %d attempted %s passed%s, and D_aug has %d of %d transitions: train the models longer, ask less of what is generated, or ask for less of it",
			accepted, tried, r.method.Words().Attempts, r.options.Delta.Passed(), rows, wanted)
	case rows == 0:
		return tried, nil
	}
	// A tenth more than the acceptance so far asks for, and no more than four
	// times what was tried.
	needed := min(int64(1.1*float64(wanted-rows)*float64(tried)/float64(rows)), 4*tried)
	return (needed/batch + 1) * batch, nil
}

// accepted counts the accepted attempts.
func (r *run) accepted() (attempts int64) {
	for _, o := range r.work.Outcomes {
		if o.Rejected == "" {
			attempts += o.Attempts()
		}
	}
	return attempts
}

// augmentedRows are those of D_aug.
func (r *run) augmentedRows() (rows int64) {
	for _, o := range r.work.Stitches() {
		rows += r.options.Mix.Rows(o)
	}
	return rows
}

// judged counts the attempts that came back.
func (r *run) judged() (attempts int64) {
	for _, o := range r.work.Outcomes {
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

// round makes the attempts of a round.
func (r *run) round(ctx context.Context, next method.Round) error {
	path, upTo := r.path(fmt.Sprintf(outcomesFile, next.Number)), next.First+next.Count
	build, err := r.method.Attempt(ctx, &r.work, next)
	if err != nil {
		return err
	}
	err = r.execute(ctx, r.method.Words().Stage, r.attemptTasks(next), func(s beam.Scope, job *observe.Job) {
		outcomes, dead := build(s, job)
		datasetio.DeadLetters(s, r.work.Dir, r.options.mayFail(upTo), dead...)
		datasetio.WriteRecords[trajectory.Outcome](s, path, outcomes)
	})
	if err != nil {
		if failed := r.checkFailures(upTo); failed != nil {
			return failed
		}
		return err
	}
	outcomes, err := load(path, byPair)
	if err != nil {
		return err
	}
	r.work.Outcomes = append(r.work.Outcomes, outcomes...)
	if err := r.checkFailures(upTo); err != nil {
		return err
	}
	if back := r.judged() + r.failed(); back != upTo {
		return fmt.Errorf("augment: %d of %d attempted %s came back", back, upTo, r.method.Words().Attempts)
	}
	return nil
}

func byPair(a, b trajectory.Outcome) int { return cmp.Compare(a.Index, b.Index) }
