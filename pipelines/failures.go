package pipelines

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
)

// mayFail is how many of the attempts may fail.
func (o AugmentOptions) mayFail(attempted int64) int64 {
	return int64(o.MaxFailedShare * float64(attempted))
}

// failed counts the attempts of the batches that failed.
func (run *augmentation) failed() (attempts int64) {
	for _, f := range run.failures {
		attempts += f.Pairs
	}
	return attempts
}

// checkFailures reads the dead letters so far, and fails when they are more than
// allowed, leaving them where the error says.
func (run *augmentation) checkFailures(attempted int64) error {
	letters, err := datasetio.LoadDeadLetters(run.staging.WorkDir())
	if err != nil {
		return err
	}
	// A bundle that was tried again may have brought the batch through.
	came := map[int64]bool{}
	for _, o := range run.outcomes {
		came[o.Index] = true
	}
	run.failures = slices.DeleteFunc(letters, func(f trajectory.Failure) bool { return came[f.FirstPair] })
	if run.failed() <= run.options.mayFail(attempted) {
		return nil
	}
	path := run.staging.FailuresPath()
	if err := writeFile(path, run.writeFailures); err != nil {
		return err
	}
	first := run.failures[0]
	return fmt.Errorf("pipelines: %d of %d attempted %s failed, more than --max-failed-share %g allows; the first in %s: batch %d: %s (all of them: %s)",
		run.failed(), attempted, run.method.words().attempts, run.options.MaxFailedShare, first.Stage, first.Batch, first.Error, path)
}

// writeFailures writes the dead letters, a line each.
func (run *augmentation) writeFailures(w io.Writer) error {
	lines := json.NewEncoder(w)
	for _, f := range run.failures {
		if err := lines.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// attempted is the funnel from the plan to D_aug.
func (run *augmentation) attempted() []snapshot.Stage {
	funnel := run.method.funnel()
	stages := make([]snapshot.Stage, len(funnel))
	in := run.judged() + run.failed()
	for i, part := range funnel {
		stage := snapshot.Stage{Stage: part.name, Unit: run.method.words().attempts, In: in, Out: in}
		for _, f := range run.failures {
			if slices.Contains(part.stages, f.Stage) {
				stage.Drop("failed in "+f.Stage, f.Pairs)
			}
		}
		stages[i], in = stage, stage.Out
	}
	last := &stages[len(stages)-1]
	for _, o := range run.outcomes {
		if o.Rejected != "" {
			last.Drop(o.Rejected, o.Attempts())
		}
	}
	return stages
}
