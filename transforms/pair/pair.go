// Package pair plans the stitches: a deterministic list of pairs of a state
// where a low-return episode is left and one where a high-return episode is
// entered (DiffStitch, section 4.1).
package pair

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

// Pairing strategies.
const (
	// Uniform joins the last state of a low episode to the first of a high one,
	// both drawn uniformly: the paper.
	Uniform = "uniform"
	// Reference leaves a low episode at any of its states and lets step
	// estimation choose the entry among candidate states of the high pool, as
	// the authors' code does.
	Reference = "reference"
)

var pairsPlanned = beam.NewCounter("pair", "pairs_planned")

func init() {
	beam.RegisterDoFn(&planFn{})
	register.Iter1[trajectory.Meta]()
}

// Config of the plan.
type Config struct {
	Strategy  string `json:"strategy"`
	Seed      uint64 `json:"seed"`
	First     int64  `json:"first"` // index of the first pair, a multiple of BatchSize
	Count     int64  `json:"count"`
	BatchSize int    `json:"batch_size"`
	// Candidates is how many states of the run's pool each batch chooses its
	// entries from (Reference).
	Candidates int `json:"candidates,omitempty"`
}

// Validate reports a setting that makes no plan.
func (c Config) Validate() error {
	switch {
	case c.Strategy != Uniform && c.Strategy != Reference:
		return fmt.Errorf("pair: unknown strategy %q: want %s or %s", c.Strategy, Uniform, Reference)
	case c.BatchSize < 1:
		return fmt.Errorf("pair: batch size %d is not positive", c.BatchSize)
	case c.Count < 1:
		return fmt.Errorf("pair: %d stitches asked for", c.Count)
	case c.First%int64(c.BatchSize) != 0:
		return fmt.Errorf("pair: first pair %d does not begin a batch of %d", c.First, c.BatchSize)
	case c.Strategy == Reference && c.Candidates < 1:
		return fmt.Errorf("pair: strategy %s needs candidates", Reference)
	}
	return nil
}

// Plan emits the PCollection<trajectory.PairBatch> of the two pools, each a
// PCollection<trajectory.Meta>. Pairs are numbered by where the data has their
// low ends, so that a batch, and the partition of batches that a worker gets at
// once, reads a stretch of the data.
func Plan(s beam.Scope, cfg Config, low, high beam.PCollection) beam.PCollection {
	s = s.Scope("pair.Plan")
	pools := beam.CoGroupByKey(s, beam.AddFixedKey(s, low), beam.AddFixedKey(s, high))
	return inOrder(s, beam.ParDo(s, &planFn{Config: cfg}, pools))
}

type planFn struct {
	Config Config `json:"config"`
}

func (fn *planFn) ProcessElement(ctx context.Context, _ int, low, high func(*trajectory.Meta) bool, emit func(int64, trajectory.PairBatch)) error {
	if err := fn.Config.Validate(); err != nil {
		return err
	}
	pairsPlanned.Inc(ctx, fn.Config.Count)
	fn.Config.plan(rank.Pools{Low: gather(low), High: gather(high)}, emit)
	return nil
}

// gather puts episodes into the data's order.
func gather(next func(*trajectory.Meta) bool) []trajectory.Meta {
	var metas []trajectory.Meta
	var m trajectory.Meta
	for next(&m) {
		metas = append(metas, m)
	}
	slices.SortFunc(metas, rank.ByLocation)
	return metas
}

// draw is a pair by places in the pools; a plan of many pairs is small that way.
type draw struct {
	low, high int32
	step      int32 // of the low episode
}

// plan draws the pairs, and cuts them into batches in the order of their low
// ends.
func (c Config) plan(pools rank.Pools, emit func(partition int64, batch trajectory.PairBatch)) {
	draws := make([]draw, c.Count)
	for i := range draws {
		draws[i] = c.draw(pools, trajectory.Stream(c.Seed, c.First+int64(i), trajectory.StagePair))
	}
	slices.SortFunc(draws, func(a, b draw) int {
		return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(a.step, b.step), cmp.Compare(a.high, b.high))
	})
	c.cut(int64(len(draws)), func(partition, index, from, to int64) {
		batch := trajectory.PairBatch{Index: index, Candidates: c.choices(index)}
		for i := from; i < to; i++ {
			batch.Pairs = append(batch.Pairs, c.pair(pools, c.First+i, draws[i]))
		}
		emit(partition, batch)
	})
}

func (c Config) draw(pools rank.Pools, rng *rand.Rand) draw {
	d := draw{low: rng.Int32N(int32(len(pools.Low)))}
	last := pools.Low[d.low].Steps - 1
	if c.Strategy == Reference {
		// At least one transition of the low episode goes before the bridge.
		d.step = min(last, 1+rng.Int32N(max(1, last)))
		return d
	}
	d.step, d.high = last, rng.Int32N(int32(len(pools.High)))
	return d
}

func (c Config) pair(pools rank.Pools, index int64, d draw) trajectory.Pair {
	p := trajectory.Pair{Index: index, Low: trajectory.StateRef{Episode: pools.Low[d.low], Step: d.step}}
	if c.Strategy == Uniform {
		p.High = trajectory.StateRef{Episode: pools.High[d.high]}
	}
	return p
}
