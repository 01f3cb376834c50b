package augment

import (
	"fmt"
	"io"
	"slices"

	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
)

// mayFail is how many of the attempts may fail.
func (o Options) mayFail(attempted int64) int64 {
	return int64(o.MaxFailedShare * float64(attempted))
}

// failed counts the attempts of the batches that failed.
func (r *run) failed() (attempts int64) {
	for _, f := range r.failures {
		attempts += f.Pairs
	}
	return attempts
}

// checkFailures reads the dead letters so far, and fails when they are more than
// allowed, leaving them where the error says.
func (r *run) checkFailures(attempted int64) error {
	letters, err := datasetio.LoadDeadLetters(r.work.Dir)
	if err != nil {
		return err
	}
	// A bundle that was tried again may have brought the batch through.
	came := map[int64]bool{}
	for _, o := range r.work.Outcomes {
		came[o.Index] = true
	}
	r.failures = slices.DeleteFunc(letters, func(f trajectory.Failure) bool { return came[f.FirstPair] })
	if r.failed() <= r.options.mayFail(attempted) {
		return nil
	}
	path := r.staging.FailuresPath()
	if err := r.writeFailures(path); err != nil {
		return err
	}
	first := r.failures[0]
	return fmt.Errorf("augment: %d of %d attempted %s failed, more than --max-failed-share %g allows; the first in %s: batch %d: %s (all of them: %s)",
		r.failed(), attempted, r.method.Words().Attempts, r.options.MaxFailedShare, first.Stage, first.Batch, first.Error, path)
}

// writeFailures writes the dead letters to a file.
func (r *run) writeFailures(path string) error {
	return r.staging.Write(path, func(w io.Writer) error { return datasetio.WriteFailures(w, r.failures) })
}

// attempted is the funnel from the plan to D_aug.
func (r *run) attempted() []snapshot.Stage {
	funnel := r.method.Funnel(&r.work)
	stages := make([]snapshot.Stage, len(funnel))
	in := r.judged() + r.failed()
	for i, part := range funnel {
		stage := snapshot.Stage{Stage: part.Name, Unit: r.method.Words().Attempts, In: in, Out: in}
		for _, f := range r.failures {
			if slices.Contains(part.Stages, f.Stage) {
				stage.Drop("failed in "+f.Stage, f.Pairs)
			}
		}
		stages[i], in = stage, stage.Out
	}
	last := &stages[len(stages)-1]
	for _, o := range r.work.Outcomes {
		if o.Rejected != "" {
			last.Drop(o.Rejected, o.Attempts())
		}
	}
	stages[0].Kinds = r.work.Kinds(func(trajectory.Outcome) bool { return true })
	last.Kinds = r.work.Kinds(func(o trajectory.Outcome) bool { return o.Rejected == "" })
	return stages
}
