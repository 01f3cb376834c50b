// Package augment makes D* of a dataset: it reads and ranks the episodes, has a
// method attempt new ones in rounds, mixes them with the originals, and publishes the
// result as a snapshot with a manifest, a card and a report. What a run leaves behind
// that died it can remove as well.
package augment

import (
	"context"
	"errors"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/observe"
)

// Run makes D* of a dataset and publishes it as a new snapshot. The judge and the
// progress may be nil.
func Run(ctx context.Context, o Options, judge Judge, progress func(observe.Progress)) (snapshot.Snapshot, error) {
	r, err := begin(ctx, o, progress)
	if err != nil {
		return snapshot.Snapshot{}, err
	}
	defer r.close()
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"read", r.read},
		{r.method.Words().Step, r.attempt},
		{"mix", r.mix},
	}
	var notRun error
	for _, step := range steps {
		start := time.Now()
		switch err := step.do(ctx); {
		case errors.Is(err, failure.ErrNotRun):
			notRun = err // the next one's job is built all the same
		case err != nil:
			return snapshot.Snapshot{}, err
		}
		r.took(step.name, time.Since(start).Seconds())
	}
	if notRun != nil {
		return snapshot.Snapshot{}, notRun
	}
	return r.publish(judge)
}
