package training

import (
	"hash/fnv"
	"math/rand/v2"
)

// Uses of randomness, each with streams of its own.
const (
	splitStream    = "split"    // which episodes are held out
	weightsStream  = "weights"  // initial weights
	examplesStream = "examples" // an optimizer step's examples and noise
	heldOutStream  = "held-out" // the examples of held-out losses
)

// stream is the random stream of one use, counted by index. Since it depends on
// nothing but its arguments, step k draws the same whatever ran before it.
func stream(seed uint64, kind Kind, use string, index int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(string(kind) + "/" + use))
	return rand.New(rand.NewPCG(mix(seed^h.Sum64()), mix(uint64(index)+h.Sum64())))
}

// mix is the finaliser of SplitMix64, which spreads neighbouring seeds.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
