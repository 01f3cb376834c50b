package datasetio

import (
	"context"

	"diffstitch/io/attempt"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&startsFn{})
	register.Emitter1[trajectory.Starts]()
}

// Starts fetches the states that the episodes of a PCollection<trajectory.SampleBatch>
// begin in. It makes a PCollection<trajectory.Starts>, and a
// PCollection<trajectory.Failure> of what could not be fetched.
func Starts(s beam.Scope, in Input, batches beam.PCollection) (starts, dead beam.PCollection) {
	s = s.Scope("datasetio.Starts")
	return beam.ParDo2(s, &startsFn{fetcher{Input: in}}, batches)
}

type startsFn struct{ fetcher }

func (fn *startsFn) ProcessElement(ctx context.Context, batch trajectory.SampleBatch, emit func(trajectory.Starts), dead func(trajectory.Failure)) error {
	work := func() (trajectory.Starts, error) { return fn.starts(ctx, batch) }
	return attempt.Batch(ctx, "starts", batch.Span(), work, emit, dead)
}

func (fn *startsFn) starts(ctx context.Context, batch trajectory.SampleBatch) (starts trajectory.Starts, err error) {
	starts.Batch = batch
	for _, ref := range batch.Starts {
		if starts.States, err = fn.appendState(ctx, starts.States, ref); err != nil {
			return starts, err
		}
	}
	return starts, nil
}
