package diffusion

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// condition is what the net is shown of the known states: the states, filled
// at the hidden positions as the conditioning says, and the mask.
//
//	known:  [batch, horizon, stateDim]
//	mask:   [batch, horizon], 1 = known, Past = past the end
//	result: [batch, horizon, stateDim+1]
func condition(conditioning Conditioning, known, mask *Node) *Node {
	shown := keepKnown(known, mask)
	if conditioning != ConditionZeros {
		shown = blank(interpolate(shown, mask), mask)
	}
	return Concatenate([]*Node{shown, ExpandAxes(mask, -1)}, -1)
}

// shownStates are the states that the condition shows.
//
//	shown:  [batch, horizon, stateDim+1], the condition
//	result: [batch, horizon, stateDim]
func shownStates(shown *Node) *Node {
	return SliceAxis(shown, -1, AxisRange(0, shown.Shape().Dim(-1)-1))
}

// toDeviations turns states into what is denoised: themselves, or how far they are
// from the lines.
func toDeviations(conditioning Conditioning, states, shown *Node) *Node {
	if conditioning == ConditionDeviation {
		return Sub(states, shownStates(shown))
	}
	return states
}

// fromDeviations is the inverse of toDeviations.
func fromDeviations(conditioning Conditioning, denoised, shown *Node) *Node {
	if conditioning == ConditionDeviation {
		return Add(denoised, shownStates(shown))
	}
	return denoised
}

// keepKnown puts zeros at the hidden positions, whatever is there.
//
//	result: [batch, horizon, stateDim]
func keepKnown(states, mask *Node) *Node {
	return Where(spread(mask, states), states, ZerosLike(states))
}

// spread turns a mask into a condition for each number of the states.
//
//	mask:   [batch, horizon]
//	result: [batch, horizon, stateDim] bool
func spread(mask, states *Node) *Node {
	known := GreaterThan(mask, scalar(mask, 0))
	return BroadcastToShape(ExpandAxes(known, -1), shapes.Make(dtypes.Bool, states.Shape().Dimensions...))
}

// interpolate fills hidden positions with the line between the nearest known
// states before and after, flat where there is but one of them.
//
//	known:  [batch, horizon, stateDim]
//	mask:   [batch, horizon], 1 = known
//	result: [batch, horizon, stateDim]
func interpolate(known, mask *Node) *Node {
	before, after := neighbours(mask)
	share := Div(Sub(positions(mask), before), MaxScalar(Sub(after, before), 1))
	from, to := pick(known, before), pick(known, after)
	return Add(from, Mul(Sub(to, from), BroadcastToShape(ExpandAxes(share, -1), known.Shape())))
}

// neighbours are each position's nearest known positions at or before it, and
// at or after it; the same position twice where only one side has any.
//
//	mask:    [batch, horizon], 1 = known
//	results: [batch, horizon]
func neighbours(mask *Node) (before, after *Node) {
	horizon := mask.Shape().Dim(1)
	// upTo[i][j] is 1+j at j ≤ i, and from[i][j] is horizon-j at j ≥ i, so that
	// a maximum over the known j finds the nearest; 0 is none.
	upTo, from := make([][]float32, horizon), make([][]float32, horizon)
	for i := range horizon {
		upTo[i], from[i] = make([]float32, horizon), make([]float32, horizon)
		for j := range horizon {
			if j <= i {
				upTo[i][j] = float32(1 + j)
			}
			if j >= i {
				from[i][j] = float32(horizon - j)
			}
		}
	}
	known := ExpandAxes(MaxScalar(mask, 0), 1) // [batch, 1, horizon]
	nearest := func(rank [][]float32) *Node {
		ranks := ExpandAxes(Const(mask.Graph(), rank), 0) // [1, horizon, horizon]
		return ReduceMax(Mul(ranks, known), -1)           // [batch, horizon]
	}
	before = AddScalar(nearest(upTo), -1)
	after = Sub(Scalar(mask.Graph(), mask.DType(), horizon), nearest(from))
	none := ScalarZero(mask.Graph(), mask.DType())
	noneBefore := LessThan(before, none)
	noneAfter := GreaterThan(after, Scalar(mask.Graph(), mask.DType(), horizon-1))
	return Where(noneBefore, after, before), Where(noneAfter, before, after)
}

// positions counts along the horizon.
//
//	result: [batch, horizon]
func positions(mask *Node) *Node {
	return Iota(mask.Graph(), shapes.Make(mask.DType(), mask.Shape().Dimensions...), 1)
}

// pick takes the states at the positions.
//
//	states:    [batch, horizon, stateDim]
//	positions: [batch, horizon]
//	result:    [batch, horizon, stateDim]
func pick(states, positions *Node) *Node {
	g, dims := states.Graph(), states.Shape().Dimensions
	rows := Iota(g, shapes.Make(dtypes.Int32, dims[0], dims[1]), 0)
	flat := Add(MulScalar(rows, dims[1]), ConvertDType(positions, dtypes.Int32))
	return Gather(Reshape(states, dims[0]*dims[1], dims[2]), ExpandAxes(flat, -1))
}
