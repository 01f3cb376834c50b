package datasetio

import (
	"context"
	"fmt"

	"diffstitch/io/attempt"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&endsFn{})
	beam.RegisterDoFn(&contextsFn{})
	register.Emitter1[trajectory.Ends]()
	register.Emitter1[trajectory.Contexts]()
}

// Ends fetches the states that step estimation needs: s_T of every pair, and
// s′_1 or the candidates for it. It makes a PCollection<trajectory.Ends> of a
// PCollection<trajectory.PairBatch>, and a PCollection<trajectory.Failure> of
// what could not be fetched.
func Ends(s beam.Scope, in Input, batches beam.PCollection) (ends, dead beam.PCollection) {
	s = s.Scope("datasetio.Ends")
	return beam.ParDo2(s, &endsFn{Input: in}, batches)
}

type endsFn struct {
	Input Input `json:"input"`

	store *Store
}

func (fn *endsFn) Setup()          { fn.store = OpenStore(fn.Input) }
func (fn *endsFn) Teardown() error { return fn.store.Close() }

func (fn *endsFn) ProcessElement(ctx context.Context, batch trajectory.PairBatch, emit func(trajectory.Ends), dead func(trajectory.Failure)) error {
	work := func() (trajectory.Ends, error) { return fn.ends(batch) }
	return attempt.Batch(ctx, "ends", batch.Span(), work, emit, dead)
}

func (fn *endsFn) ends(batch trajectory.PairBatch) (ends trajectory.Ends, err error) {
	ends.Batch = batch
	targets := batch.Candidates
	for _, p := range batch.Pairs {
		if ends.Low, err = fn.appendState(ends.Low, p.Low); err != nil {
			return ends, err
		}
		if len(batch.Candidates) == 0 {
			targets = append(targets, p.High)
		}
	}
	for _, ref := range targets {
		if ends.Targets, err = fn.appendState(ends.Targets, ref); err != nil {
			return ends, err
		}
	}
	return ends, nil
}

func (fn *endsFn) appendState(states []float32, ref trajectory.StateRef) ([]float32, error) {
	e, err := fn.store.Episode(ref.Episode)
	if err != nil {
		return nil, fmt.Errorf("datasetio: fetching episode %d: %w", ref.Episode.ID, err)
	}
	return append(states, e.Observation(int(ref.Step))...), nil
}

// Contexts fetches the known states of a horizon of H states for inpainting, and
// the returns on both sides of the stitch. It makes a
// PCollection<trajectory.Contexts> of a PCollection<trajectory.PairBatch>, and a
// PCollection<trajectory.Failure> of what could not be fetched.
func Contexts(s beam.Scope, in Input, horizon int, batches beam.PCollection) (contexts, dead beam.PCollection) {
	s = s.Scope("datasetio.Contexts")
	return beam.ParDo2(s, &contextsFn{Input: in, Horizon: horizon}, batches)
}

type contextsFn struct {
	Input   Input `json:"input"`
	Horizon int   `json:"horizon"`

	store *Store
}

func (fn *contextsFn) Setup()          { fn.store = OpenStore(fn.Input) }
func (fn *contextsFn) Teardown() error { return fn.store.Close() }

func (fn *contextsFn) ProcessElement(ctx context.Context, batch trajectory.PairBatch, emit func(trajectory.Contexts), dead func(trajectory.Failure)) error {
	work := func() (trajectory.Contexts, error) { return fn.contexts(batch) }
	return attempt.Batch(ctx, "contexts", batch.Span(), work, emit, dead)
}

func (fn *contextsFn) contexts(batch trajectory.PairBatch) (trajectory.Contexts, error) {
	c := trajectory.Contexts{Batch: trajectory.PairBatch{Index: batch.Index}}
	for _, p := range batch.Pairs {
		low, err := fn.store.Episode(p.Low.Episode)
		if err != nil {
			return c, fmt.Errorf("datasetio: fetching low episode %d: %w", p.Low.Episode.ID, err)
		}
		high, err := fn.store.Episode(p.High.Episode)
		if err != nil {
			return c, fmt.Errorf("datasetio: fetching high episode %d: %w", p.High.Episode.ID, err)
		}
		p.LowReturn, p.LowRest = split(low.Rewards, int(p.Low.Step))
		_, p.HighReturn = split(high.Rewards, int(p.High.Step))
		known, mask := horizonOf(low, high, p, fn.Horizon)
		c.Batch.Pairs = append(c.Batch.Pairs, p)
		c.Known = append(c.Known, known...)
		c.Mask = append(c.Mask, mask...)
	}
	return c, nil
}

// split sums the rewards before step and from it on.
func split(rewards []float32, step int) (before, after float64) {
	for i, r := range rewards {
		if i < step {
			before += float64(r)
		} else {
			after += float64(r)
		}
	}
	return before, after
}

// horizonOf lays out s_T, Δ hidden states, s′_1 and what follows it, as far as
// the horizon and the high episode reach: states [H, S] and mask [H]. As in
// training (eq. 12) the last state is hidden, unless it is s′_1 itself.
func horizonOf(low, high *trajectory.Episode, p trajectory.Pair, horizon int) (known, mask []float32) {
	dim := low.ObservationDim
	known = make([]float32, horizon*dim)
	mask = make([]float32, horizon)
	copy(known, low.Observation(int(p.Low.Step)))
	mask[0] = 1
	first := int(p.Steps) + 1
	for at, step := first, int(p.High.Step); at < horizon && step < high.Len(); at, step = at+1, step+1 {
		if at == horizon-1 && at > first {
			break
		}
		copy(known[at*dim:], high.Observation(step))
		mask[at] = 1
	}
	return known, mask
}
