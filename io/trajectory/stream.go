package trajectory

import (
	"math/rand/v2"

	"gonum.org/v1/gonum/mathext/prng"
)

// Stage separates the random streams that one pair draws from.
type Stage uint64

// The stages that draw random numbers.
const (
	StagePair Stage = iota + 1
	StageCandidates
	StageImagine
	StageInpaint
	StagePool
	StageMix
	StageTruth
	StageEvaluate
	StageSample
	StageSynthesize
	StageStart
	StageRollout
)

// StreamSeed is the seed of the random stream of (seed, index, stage). Every
// random number of a run comes from such a stream, so that neither the order of
// work nor a retry can change the result.
func StreamSeed(seed uint64, index int64, stage Stage) uint64 {
	return spread(spread(spread(seed)^uint64(stage)) ^ uint64(index))
}

// Stream is the random stream of (seed, index, stage).
func Stream(seed uint64, index int64, stage Stage) *rand.Rand {
	s := StreamSeed(seed, index, stage)
	return rand.New(rand.NewPCG(s, spread(s)))
}

// spread has neighbouring numbers far apart: every input bit reaches every output bit.
func spread(z uint64) uint64 { return prng.NewSplitMix64(z).Uint64() }
