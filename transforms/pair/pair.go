// Package pair plans the stitches: a deterministic list of pairs of a state
// where a low-return episode is left and one where a high-return episode is
// entered (DiffStitch, section 4.1).
package pair

import (
	"context"
	"fmt"
	"math/rand/v2"

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
	register.DoFn3x1[context.Context, rank.Pools, func(trajectory.PairBatch), error](&planFn{})
	register.Emitter1[trajectory.PairBatch]()
}

// Config of the plan.
type Config struct {
	Strategy  string `json:"strategy"`
	Seed      uint64 `json:"seed"`
	First     int64  `json:"first"` // index of the first pair, a multiple of BatchSize
	Count     int64  `json:"count"`
	BatchSize int    `json:"batch_size"`
	// Candidates is the number of high-pool states drawn for each batch
	// (Reference).
	Candidates int `json:"candidates,omitempty"`
	// Ahead is how many states of its episode should follow a candidate, where
	// the episode is long enough.
	Ahead int `json:"ahead,omitempty"`
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

// Plan emits the PCollection<trajectory.PairBatch> of a PCollection<rank.Pools>,
// reshuffled so that workers share the batches.
func Plan(s beam.Scope, cfg Config, pools beam.PCollection) beam.PCollection {
	s = s.Scope("pair.Plan")
	return beam.Reshuffle(s, beam.ParDo(s, &planFn{Config: cfg}, pools))
}

type planFn struct {
	Config Config `json:"config"`
}

func (fn *planFn) ProcessElement(ctx context.Context, pools rank.Pools, emit func(trajectory.PairBatch)) error {
	cfg := fn.Config
	if err := cfg.Validate(); err != nil {
		return err
	}
	pairsPlanned.Inc(ctx, cfg.Count)
	size := int64(cfg.BatchSize)
	for first := cfg.First; first < cfg.First+cfg.Count; first += size {
		emit(cfg.batch(pools, first/size, min(size, cfg.First+cfg.Count-first)))
	}
	return nil
}

// batch plans batch index, with its first n pairs.
func (c Config) batch(pools rank.Pools, index, n int64) trajectory.PairBatch {
	b := trajectory.PairBatch{Index: index, Pairs: make([]trajectory.Pair, n)}
	for i := range b.Pairs {
		at := index*int64(c.BatchSize) + int64(i)
		b.Pairs[i] = c.pair(pools, at, trajectory.Stream(c.Seed, at, trajectory.StagePair))
	}
	if c.Strategy == Reference {
		rng := trajectory.Stream(c.Seed, index, trajectory.StageCandidates)
		b.Candidates = make([]trajectory.StateRef, c.Candidates)
		for i := range b.Candidates {
			b.Candidates[i] = c.candidate(pools, rng)
		}
	}
	return b
}

func (c Config) pair(pools rank.Pools, index int64, rng *rand.Rand) trajectory.Pair {
	low := pools.Low[rng.IntN(len(pools.Low))]
	p := trajectory.Pair{Index: index, Low: trajectory.StateRef{Episode: low, Step: low.Steps - 1}}
	if c.Strategy == Reference {
		// At least one transition of the low episode goes before the bridge.
		p.Low.Step = min(low.Steps-1, 1+rng.Int32N(max(1, low.Steps-1)))
		return p
	}
	p.High = trajectory.StateRef{Episode: pools.High[rng.IntN(len(pools.High))]}
	return p
}

func (c Config) candidate(pools rank.Pools, rng *rand.Rand) trajectory.StateRef {
	high := pools.High[rng.IntN(len(pools.High))]
	return trajectory.StateRef{Episode: high, Step: rng.Int32N(max(1, high.Steps-int32(c.Ahead)))}
}
