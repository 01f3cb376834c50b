package pair

import (
	"cmp"
	"slices"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"
)

const (
	// poolBatches is how many batches' candidates the run's pool holds: many more
	// states than one batch chooses from, and few enough for a worker's memory.
	poolBatches = 32
	// blockStates is how many candidates are fetched at a time.
	blockStates = 1024
)

// pool is how many states the run's pool has.
func (c Config) pool() int { return poolBatches * c.Candidates }

// choices are the places in the pool that batch index chooses from.
func (c Config) choices(index int64) []int32 {
	if c.Strategy != Reference {
		return nil
	}
	rng := trajectory.Stream(c.Seed, index, trajectory.StageCandidates)
	places := make([]int32, c.Candidates)
	for i := range places {
		places[i] = rng.Int32N(int32(c.pool()))
	}
	return places
}

// CandidatesOf draws the run's pool of candidate states from the high pool, and
// numbers them in the data's order.
func (c Config) CandidatesOf(high []*trajectory.Meta) []trajectory.CandidateBlock {
	var blocks []trajectory.CandidateBlock
	first := int32(0)
	for refs := range slices.Chunk(c.candidates(high), blockStates) {
		blocks = append(blocks, trajectory.CandidateBlock{First: first, Refs: refs})
		first += int32(len(refs))
	}
	return blocks
}

// CandidateBlocks is how many blocks CandidatesOf gives.
func (c Config) CandidateBlocks() int64 { return int64(c.pool()+blockStates-1) / blockStates }

// LongEnough are the episodes of the high pool that candidates can be drawn from.
func (c Config) LongEnough(high []*trajectory.Meta) []*trajectory.Meta {
	return slices.DeleteFunc(slices.Clone(high), func(e *trajectory.Meta) bool { return e.Steps < c.MinLeft })
}

// candidates draws an episode, then one of its states with steps enough left, for each
// place.
func (c Config) candidates(high []*trajectory.Meta) []trajectory.StateRef {
	high = c.LongEnough(high)
	refs := make([]trajectory.StateRef, c.pool())
	for i := range refs {
		rng := trajectory.Stream(c.Seed, int64(i), trajectory.StagePool)
		e := high[rng.IntN(len(high))]
		refs[i] = trajectory.StateRef{Episode: *e, Step: rng.Int32N(e.Steps - max(0, c.MinLeft-1))}
	}
	slices.SortFunc(refs, func(a, b trajectory.StateRef) int {
		return cmp.Or(rank.ByLocation(a.Episode, b.Episode), cmp.Compare(a.Step, b.Step))
	})
	return refs
}
