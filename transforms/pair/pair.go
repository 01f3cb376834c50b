// Package pair plans the stitches: a deterministic list of pairs of a state
// where a low-return episode is left and one where a high-return episode is
// entered (DiffStitch, section 4.1).
package pair

import (
	"cmp"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"
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
	// Reachable leaves a low episode as Reference does, and enters at the state of
	// the whole pool of candidates that is nearest to one that is imagined to follow:
	// beyond the paper.
	Reachable = "reachable"
	// Crossings leaves an episode where it comes near another one, which is entered there,
	// several times where that leads on: beyond the paper. What is left of a plan when
	// there are no more is drawn as by Reachable.
	Crossings = "crossings"
)

// Strategies lists them.
var Strategies = []string{Uniform, Reference, Reachable, Crossings}

// Config of the plan.
type Config struct {
	Strategy  string `json:"strategy"`
	Seed      uint64 `json:"seed"`
	First     int64  `json:"first"` // index of the first pair
	Count     int64  `json:"count"`
	BatchSize int    `json:"batch_size"`
	// FirstBatch is the index of the first batch, which no other round has.
	FirstBatch int64 `json:"first_batch"`
	// Candidates is how many states of the run's pool each batch chooses its
	// entries from (Reference), and a share of the pool (Reachable).
	Candidates int `json:"candidates,omitempty"`
	// MinLeft is how many steps of its episode a candidate must have left, at least: the
	// authors' code asks for more than 100, a horizon.
	MinLeft int32 `json:"min_left,omitempty"`
}

// Validate reports a setting that makes no plan.
func (c Config) Validate() error {
	switch {
	case !slices.Contains(Strategies, c.Strategy):
		return fmt.Errorf("pair: unknown strategy %q: it is one of %s", c.Strategy, strings.Join(Strategies, ", "))
	case c.BatchSize < 1:
		return fmt.Errorf("pair: batch size %d is not positive", c.BatchSize)
	case c.Count < 1:
		return fmt.Errorf("pair: %d stitches asked for", c.Count)
	case c.MinLeft < 0:
		return fmt.Errorf("pair: %d steps left of an episode are asked for", c.MinLeft)
	case c.MinLeft > 0 && !c.ChoosesEntries():
		return fmt.Errorf("pair: strategy %s enters episodes at their first state, however many steps they have left", c.Strategy)
	case c.ChoosesEntries() && c.Candidates < 1:
		return fmt.Errorf("pair: strategy %s needs candidates", c.Strategy)
	}
	return nil
}

// ChoosesEntries is whether the plan leaves s′_1 open, to be chosen among candidates.
func (c Config) ChoosesEntries() bool { return c.Strategy != Uniform }

// draw is a pair by places in the pools; a plan of many pairs is small that way.
type draw struct {
	low, high int32
	step      int32 // of the low episode
}

// Plan gives the batches of each partition, in order. Pairs are numbered by where
// the data has their low ends, so that a batch, and the partition of batches that a
// worker gets at once, reads a stretch of the data.
func (c Config) Plan(pools rank.Pools) iter.Seq[[]trajectory.PairBatch] {
	return func(yield func([]trajectory.PairBatch) bool) {
		draws := c.draws(pools)
		var batches []trajectory.PairBatch
		at := int64(0)
		for s := range c.cut(int64(len(draws))) {
			if s.partition != at {
				if !yield(batches) {
					return
				}
				batches, at = nil, s.partition
			}
			batch := trajectory.PairBatch{Index: s.index, Candidates: c.choices(s.index)}
			for i := s.from; i < s.to; i++ {
				batch.Pairs = append(batch.Pairs, c.pair(pools, c.First+i, draws[i]))
			}
			batches = append(batches, batch)
		}
		if len(batches) > 0 {
			yield(batches)
		}
	}
}

// draws draws the pairs, and puts them in the order of their low ends.
func (c Config) draws(pools rank.Pools) []draw {
	draws := make([]draw, c.Count)
	for i := range draws {
		draws[i] = c.draw(pools, trajectory.Stream(c.Seed, c.First+int64(i), trajectory.StagePair))
	}
	slices.SortFunc(draws, func(a, b draw) int {
		return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(a.step, b.step), cmp.Compare(a.high, b.high))
	})
	return draws
}

func (c Config) draw(pools rank.Pools, rng *rand.Rand) draw {
	d := draw{low: rng.Int32N(int32(len(pools.Low)))}
	last := pools.Low[d.low].Steps - 1
	if c.ChoosesEntries() {
		// At least one transition of the low episode goes before the bridge.
		d.step = min(last, 1+rng.Int32N(max(1, last)))
		return d
	}
	d.step, d.high = last, rng.Int32N(int32(len(pools.High)))
	return d
}

func (c Config) pair(pools rank.Pools, index int64, d draw) trajectory.Pair {
	p := trajectory.Pair{Index: index, Low: trajectory.StateRef{Episode: *pools.Low[d.low], Step: d.step}}
	if !c.ChoosesEntries() {
		p.High = trajectory.StateRef{Episode: *pools.High[d.high]}
	}
	return p
}
