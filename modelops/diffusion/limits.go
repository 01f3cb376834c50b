package diffusion

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// Limits are what the data says of every state, in normalised units. The sampler holds
// each predicted clean state to them, so that the next reverse step goes on from a
// state that can be.
type Limits struct {
	// First and Last bound states in the first reverse step, in which hardly any signal is
	// left, and in the last one; between them bounds widen by the signal's share of the
	// variance, ᾱ. What a net makes of mere noise lies at its bounds: if these were as wide
	// as the data's rarest values from the beginning, all that follows would start there.
	First, Last Bounds
	// Held lists the dimensions that no step changes, though they differ between
	// episodes, such as a goal. A hidden state takes them from the next known state, or
	// where none follows from the last known one: on a bridge from s′_1, whose episode it
	// leads into, and where only s_T is known from there.
	Held []int
}

// Bounds are [stateDim], the least and the largest value; nil leaves states free.
type Bounds struct{ Low, High []float32 }

// apply holds states to the limits.
//
//	states: [batch, horizon, stateDim]
//	signal: scalar, √ᾱ of the denoising step
//	held:   [batch, horizon, stateDim], what holding gives, nil if nothing is held
//	result: [batch, horizon, stateDim]
func (l Limits) apply(states, signal, held *Node) *Node {
	if l.Last.Low != nil {
		share := Mul(signal, signal)
		between := func(first, last []float32) *Node {
			from := everywhere(states, first)
			return Add(from, Mul(Sub(everywhere(states, last), from), share))
		}
		states = Min(Max(states, between(l.First.Low, l.Last.Low)), between(l.First.High, l.Last.High))
	}
	if held == nil {
		return states
	}
	columns := make([]bool, states.Shape().Dim(-1))
	for _, d := range l.Held {
		columns[d] = true
	}
	// A constant, not a comparison with GoMLX's zero: see scalar.
	heldColumns := Const(states.Graph(), [][][]bool{{columns}})
	return Where(BroadcastToShape(heldColumns, shapes.Make(dtypes.Bool, states.Shape().Dimensions...)), held, states)
}

// everywhere repeats a state at every position.
//
//	state:  [stateDim]
//	result: [batch, horizon, stateDim]
func everywhere(like *Node, state []float32) *Node {
	return BroadcastToShape(Const(like.Graph(), [][][]float32{{state}}), like.Shape())
}

// heldStates gives each position its next known state, or the last known one where none
// follows; nil if nothing is held.
//
//	known:  [batch, horizon, stateDim]
//	mask:   [batch, horizon], see Task.Mask
//	result: [batch, horizon, stateDim]
func (l Limits) heldStates(known, mask *Node) *Node {
	if len(l.Held) == 0 {
		return nil
	}
	_, after := neighbours(mask)
	return pick(keepKnown(known, mask), after)
}

// Past marks, in a mask, the positions past the end of an episode: padding, of which
// the net sees zeros and that mark, in training as in sampling.
const Past = -1

// isPast is where a mask says so.
//
//	mask:   [batch, horizon]
//	result: [batch, horizon, stateDim] bool
func isPast(mask, states *Node) *Node {
	past := LessThan(mask, ZerosLike(mask))
	return BroadcastToShape(ExpandAxes(past, -1), shapes.Make(dtypes.Bool, states.Shape().Dimensions...))
}

// blank puts zeros past the end, whatever is there.
//
//	result: [batch, horizon, stateDim]
func blank(states, mask *Node) *Node {
	return Where(isPast(mask, states), ZerosLike(states), states)
}
