package random

import (
	"math/rand/v2"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// StateSize is the length of a state of Draws.
const StateSize = 3

// State draws the state that Draws begin with.
//
//	result: [StateSize]
func State(rng *rand.Rand) []uint64 { return []uint64{rng.Uint64(), rng.Uint64(), rng.Uint64()} }

// Draws are random numbers drawn in a graph, one array after the other. Backends draw
// different ones.
type Draws struct{ state *Node }

// NewDraws begins with a state.
//
//	state: [StateSize] uint64
func NewDraws(state *Node) *Draws { return &Draws{state} }

// Normal draws standard normal numbers.
//
//	result: [dims...]
func (d *Draws) Normal(dims ...int) (values *Node) {
	d.state, values = RandomNormal(d.state, shapes.Make(dtypes.Float32, dims...))
	return values
}

// Uniform draws numbers of [0, 1).
//
//	result: [dims...]
func (d *Draws) Uniform(dims ...int) (values *Node) {
	d.state, values = RandomUniform(d.state, shapes.Make(dtypes.Float32, dims...))
	return values
}

// Between draws whole numbers of [from, to).
//
//	result: [dims...] int32
func (d *Draws) Between(from, to int, dims ...int) (values *Node) {
	d.state, values = RandomIntN(d.state, to-from, shapes.Make(dtypes.Int32, dims...))
	return AddScalar(values, from)
}

// Below draws whole numbers of [0, n), each with an n of its own. What is below 1
// counts as 1.
//
//	n:      [...] float32, whole numbers up to 2^24
//	result: [...] float32
func (d *Draws) Below(n *Node) *Node {
	n = MaxScalar(n, 1)
	return Min(Floor(Mul(d.Uniform(n.Shape().Dimensions...), n)), AddScalar(n, -1))
}
