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

// mayFail is how many of the attempted stitches may fail.
func (o AugmentOptions) mayFail(attempted int64) int64 {
	return int64(o.MaxFailedShare * float64(attempted))
}

// failed counts the stitches of the batches that failed.
func (run *augmentation) failed() (stitches int64) {
	for _, f := range run.failures {
		stitches += f.Pairs
	}
	return stitches
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
	return fmt.Errorf("pipelines: %d of %d attempted stitches failed, more than --max-failed-share %g allows; the first in %s: batch %d: %s (all of them: %s)",
		run.failed(), attempted, run.options.MaxFailedShare, first.Stage, first.Batch, first.Error, path)
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

// funnel names the parts of the funnel between the plan and D_aug, and the
// stages, as their DoFns call themselves, that count as each.
var funnel = []struct {
	name   string
	stages []string
}{
	{"pair", nil},
	{"estimate", []string{"ends", "candidates", "entries", "estimate"}},
	{"inpaint", []string{"contexts", "inpaint"}},
	{"wrap up", []string{"wrapup"}},
	{"qualify", []string{"qualify", "stage"}},
}

// stitching is the funnel from the plan to D_aug.
func (run *augmentation) stitching() []snapshot.Stage {
	stages := make([]snapshot.Stage, len(funnel))
	in := int64(len(run.outcomes)) + run.failed()
	for i, part := range funnel {
		stage := snapshot.Stage{Stage: part.name, Unit: "stitches", In: in, Out: in}
		for _, f := range run.failures {
			if slices.Contains(part.stages, f.Stage) {
				stage.Drop("failed in "+f.Stage, f.Pairs)
			}
		}
		stages[i], in = stage, stage.Out
	}
	qualify := &stages[len(stages)-1]
	for _, o := range run.outcomes {
		if o.Rejected != "" {
			qualify.Drop(o.Rejected, 1)
		}
	}
	return stages
}
