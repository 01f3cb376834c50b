package datasetio

import (
	"context"
	"slices"

	"diffstitch/io/attempt"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&lowEndsFn{})
	beam.RegisterDoFn(&entriesFn{})
	beam.RegisterDoFn(&contextsFn{})
	register.Emitter1[trajectory.PairBatch]()
	register.Emitter1[trajectory.Ends]()
	register.Emitter1[trajectory.Contexts]()
}

// fetcher gives a DoFn that embeds it the store of the input.
type fetcher struct {
	Input Input `json:"input"`

	store *Store // of the input, or of the window that the DoFn is at
}

// Setup opens the store, or joins the one that the process has.
func (f *fetcher) Setup() {
	if f.Input.Windows == "" {
		f.store = OpenStore(f.Input)
	}
}

// Teardown gives the store back.
func (f *fetcher) Teardown() error {
	if f.Input.Windows == "" {
		return f.store.Close()
	}
	return nil
}

// in does work on the store of an element's window, unless the window is over.
func (f *fetcher) in(w beam.Window, work func() error) error {
	if f.Input.Windows == "" {
		return work()
	}
	st, err := OpenWindow(f.Input, w)
	if st == nil {
		return err
	}
	defer func() { _ = st.Close() }() // of what is read only nothing is lost
	if err != nil {
		return err
	}
	f.store = st
	return work()
}

// appendState fetches one state.
func (f *fetcher) appendState(ctx context.Context, states []float32, ref trajectory.StateRef) ([]float32, error) {
	state, err := f.store.States(ctx, ref.Episode, int(ref.Step), int(ref.Step)+1)
	return append(states, state...), err
}

// LowEnds fetches s_T of every pair, and what its low episode earned before and
// from there: all that is needed of low episodes until D* is written. It makes a
// PCollection<trajectory.PairBatch> of one, and a PCollection<trajectory.Failure>
// of what could not be fetched, as the others here do.
func LowEnds(s beam.Scope, in Input, batches beam.PCollection) (ends, dead beam.PCollection) {
	s = s.Scope("datasetio.LowEnds")
	return beam.ParDo2(s, &lowEndsFn{fetcher{Input: in}}, batches)
}

type lowEndsFn struct{ fetcher }

func (fn *lowEndsFn) ProcessElement(ctx context.Context, w beam.Window, batch trajectory.PairBatch, emit func(trajectory.PairBatch), dead func(trajectory.Failure)) error {
	return fn.in(w, func() error {
		work := func() (trajectory.PairBatch, error) { return fn.ends(ctx, batch) }
		return attempt.Batch(ctx, "ends", batch.Span(), work, emit, dead)
	})
}

func (fn *lowEndsFn) ends(ctx context.Context, batch trajectory.PairBatch) (trajectory.PairBatch, error) {
	batch.Pairs = slices.Clone(batch.Pairs) // elements must not be changed
	for i := range batch.Pairs {
		p := &batch.Pairs[i]
		rewards, err := fn.store.Rewards(ctx, p.Low.Episode)
		if err != nil {
			return batch, err
		}
		p.LowReturn, p.LowRest = split(rewards, int(p.Low.Step))
		if batch.Low, err = fn.appendState(ctx, batch.Low, p.Low); err != nil {
			return batch, err
		}
	}
	return batch, nil
}

// Entries fetches s′_1 of every pair, which the plan has set. It makes a
// PCollection<trajectory.Ends> of a PCollection<trajectory.PairBatch>.
func Entries(s beam.Scope, in Input, batches beam.PCollection) (ends, dead beam.PCollection) {
	s = s.Scope("datasetio.Entries")
	return beam.ParDo2(s, &entriesFn{fetcher{Input: in}}, batches)
}

type entriesFn struct{ fetcher }

func (fn *entriesFn) ProcessElement(ctx context.Context, w beam.Window, batch trajectory.PairBatch, emit func(trajectory.Ends), dead func(trajectory.Failure)) error {
	return fn.in(w, func() error {
		work := func() (trajectory.Ends, error) { return fn.entries(ctx, batch) }
		return attempt.Batch(ctx, "entries", batch.Span(), work, emit, dead)
	})
}

func (fn *entriesFn) entries(ctx context.Context, batch trajectory.PairBatch) (ends trajectory.Ends, err error) {
	ends.Batch = batch
	for _, p := range batch.Pairs {
		ends.Candidates = append(ends.Candidates, p.High)
		if ends.Targets, err = fn.appendState(ctx, ends.Targets, p.High); err != nil {
			return ends, err
		}
	}
	return ends, nil
}

// Contexts lays out the known states of a horizon of H states for inpainting,
// and adds what the high episode earns from s′_1 on. It makes a
// PCollection<trajectory.Contexts> of a PCollection<trajectory.PairBatch> that
// has Low.
func Contexts(s beam.Scope, in Input, horizon int, batches beam.PCollection) (contexts, dead beam.PCollection) {
	s = s.Scope("datasetio.Contexts")
	return beam.ParDo2(s, &contextsFn{fetcher{Input: in}, horizon}, batches)
}

type contextsFn struct {
	fetcher
	Horizon int `json:"horizon"`
}

func (fn *contextsFn) ProcessElement(ctx context.Context, w beam.Window, batch trajectory.PairBatch, emit func(trajectory.Contexts), dead func(trajectory.Failure)) error {
	return fn.in(w, func() error {
		work := func() (trajectory.Contexts, error) { return fn.contexts(ctx, batch) }
		return attempt.Batch(ctx, "contexts", batch.Span(), work, emit, dead)
	})
}

func (fn *contextsFn) contexts(ctx context.Context, batch trajectory.PairBatch) (trajectory.Contexts, error) {
	c := trajectory.Contexts{Batch: batch}
	c.Batch.Pairs, c.Batch.Low = slices.Clone(batch.Pairs), nil
	dim := len(batch.Low) / len(batch.Pairs)
	for i := range c.Batch.Pairs {
		p := &c.Batch.Pairs[i]
		rewards, err := fn.store.Rewards(ctx, p.High.Episode)
		if err != nil {
			return c, err
		}
		_, p.HighReturn = split(rewards, int(p.High.Step))
		entry := int(p.High.Step)
		ahead, err := fn.store.States(ctx, p.High.Episode, entry, min(entry+fn.Horizon-int(p.Steps)-1, int(p.High.Episode.Steps)))
		if err != nil {
			return c, err
		}
		known, mask := horizonOf(batch.Low[i*dim:(i+1)*dim], ahead, int(p.Steps), fn.Horizon)
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
//
//	low:   [S], s_T
//	ahead: [n, S], the high episode's states from s′_1 on
func horizonOf(low, ahead []float32, steps, horizon int) (known, mask []float32) {
	dim := len(low)
	known = make([]float32, horizon*dim)
	mask = make([]float32, horizon)
	copy(known, low)
	mask[0] = 1
	first := steps + 1
	for at := first; at < horizon && len(ahead) > 0; at++ {
		if at == horizon-1 && at > first {
			break
		}
		ahead = ahead[copy(known[at*dim:(at+1)*dim], ahead):]
		mask[at] = 1
	}
	return known, mask
}
