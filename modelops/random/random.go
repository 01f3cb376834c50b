// Package random gives every use of randomness in the models (first weights, the
// examples of a training step, the noise of a window) its own stream of random
// numbers. The streams of a pipeline's pairs are those of package trajectory.
package random

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"

	"gonum.org/v1/gonum/mathext/prng"
)

// Stream is the random stream of one use, counted by index. Since it depends on
// nothing but its arguments, step k draws the same whatever ran before it.
func Stream(seed uint64, use string, index int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(use))
	return rand.New(rand.NewPCG(spread(seed^h.Sum64()), spread(uint64(index)+h.Sum64())))
}

// FillNormal fills values with standard normal numbers of the stream that a seed of 64
// good bits begins.
func FillNormal(values []float32, seed uint64) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	rng := rand.New(rand.NewChaCha8(key))
	for i := range values {
		values[i] = float32(rng.NormFloat64())
	}
}

// spread has neighbouring seeds far apart.
func spread(x uint64) uint64 { return prng.NewSplitMix64(x).Uint64() }
