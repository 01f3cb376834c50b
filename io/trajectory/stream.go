package trajectory

import "math/rand/v2"

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
	return mix64(mix64(mix64(seed)^uint64(stage)) ^ uint64(index))
}

// Stream is the random stream of (seed, index, stage).
func Stream(seed uint64, index int64, stage Stage) *rand.Rand {
	s := StreamSeed(seed, index, stage)
	return rand.New(rand.NewPCG(s, mix64(s)))
}

// mix64 is the finaliser of SplitMix64: every input bit reaches every output bit.
func mix64(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}
