package learners

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// dropout drops a share of numbers, at random, and scales up the others. An update
// drops out of millions, for which a stream's generator takes a fifth of its time: only
// the two keys of a SplitMix (Steele et al. 2014) are drawn from the stream, and the
// compiler works the rest out where it is used.
type dropout struct {
	rate         float64
	start, gamma *Node // [seeds] uint32, where a seed's counter starts, and its odd step
	drawn        int   // numbers so far, of each seed
}

func newDropout(rate float64, streams streams) *dropout {
	keys := ConvertDType(streams.pick(2, 0, math.MaxInt32), dtypes.Uint32) // [seeds, 2]
	key := func(i int) *Node { return column(SliceAxis(keys, 1, AxisElem(i))) }
	return &dropout{rate: rate, start: key(0), gamma: AddScalar(MulScalar(key(1), uint32(2)), uint32(1))}
}

// apply drops some of x; nothing where d is nil, as when acting.
//
//	x: [seeds, …]
func (d *dropout) apply(x *Node) *Node {
	if d == nil || d.rate == 0 {
		return x
	}
	seeds := x.Shape().Dim(0)
	bits := Reshape(d.bits(x.Shape().Size()/seeds), x.Shape().Dimensions...)
	dropped := uint32(d.rate * (1 << 32)) // of the values of an uint32
	kept := GreaterOrEqual(bits, Scalar(x.Graph(), dtypes.Uint32, dropped))
	return Where(kept, MulScalar(x, 1/(1-d.rate)), ScalarZero(x.Graph(), x.DType()))
}

// bits are the next n numbers of every seed.
//
//	result: [seeds, n] uint32
func (d *dropout) bits(n int) *Node {
	dims := []int{d.start.Shape().Size(), n}
	wide := func(key *Node) *Node { return BroadcastToDims(InsertAxes(key, -1), dims...) }
	number := AddScalar(Iota(d.start.Graph(), shapes.Make(dtypes.Uint32, dims...), 1), uint32(d.drawn))
	d.drawn += n
	x := Add(Mul(number, wide(d.gamma)), wide(d.start))
	// The finalizer of MurmurHash3.
	x = MulScalar(folded(x, 16), uint32(0x85ebca6b))
	x = MulScalar(folded(x, 13), uint32(0xc2b2ae35))
	return folded(x, 16)
}

// folded mixes the high bits into the low ones.
func folded(x *Node, shift int) *Node {
	return BitwiseXor(x, BitwiseShiftRightLogicalScalar(x, uint32(shift)))
}
