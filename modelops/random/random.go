// Package random gives every use of randomness a stream of its own.
package random

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
)

// Stream is the random stream of one use, counted by index. Since it depends on
// nothing but its arguments, step k draws the same whatever ran before it.
func Stream(seed uint64, use string, index int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(use))
	return rand.New(rand.NewPCG(mix(seed^h.Sum64()), mix(uint64(index)+h.Sum64())))
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

// mix is the finaliser of SplitMix64, which spreads neighbouring seeds.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
