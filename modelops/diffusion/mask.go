package diffusion

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"diffstitch/modelops/random"
)

// Masks is a kind of training mask.
type Masks string

const (
	// TwoHidden hides two random intervals, one of which reaches the end
	// (equation 12).
	TwoHidden Masks = "two_hidden"
	// OneKnown shows the first state and one random interval of a state or more, as the
	// authors' code does. So the net never learns from the first state alone, although
	// step estimation has it go on from there.
	OneKnown Masks = "one_known"
)

// TrainingMask draws masks of windows in which the episodes have so many states, at
// least 2 and at most the horizon: 1 = known, 0 = hidden, Past = past the end. The first
// state is always known, the last always hidden.
//
//	states: [batch] float32
//	result: [batch, horizon]
func TrainingMask(draws *random.Draws, masks Masks, states *Node, horizon int) *Node {
	var from, to *Node // of a known interval, [batch]
	switch masks {
	case TwoHidden:
		from, to = twoHidden(draws, states)
	case OneKnown:
		from, to = oneKnown(draws, states)
	default:
		panic(fmt.Sprintf("diffusion: unknown masks %q", masks))
	}
	shape := shapes.Make(dtypes.Float32, states.Shape().Dim(0), horizon)
	of := func(x *Node) *Node { return BroadcastToShape(InsertAxes(x, -1), shape) }
	at := Iota(states.Graph(), shape, 1)
	known := LogicalOr(Equal(at, ZerosLike(at)), LogicalAnd(GreaterOrEqual(at, of(from)), LessThan(at, of(to))))
	return Where(LessThan(at, of(states)), ConvertDType(known, dtypes.Float32), MulScalar(OnesLike(at), Past))
}

// twoHidden hides [1, i) and [j, states): what inpainting meets, which is s_T,
// the bridge, s′_1 and what follows, and, where i = j, what step estimation
// meets, which is s_T alone. Of three states or fewer it hides all but the first.
func twoHidden(draws *random.Draws, states *Node) (from, to *Node) {
	from = AddScalar(draws.Below(AddScalar(states, -2)), 2)
	to = Add(from, draws.Below(Sub(states, from)))
	return from, Where(LessThan(states, constantLike(states, 4)), from, to)
}

// oneKnown shows a random interval of random length, which may touch the first
// state, where there is room for it.
func oneKnown(draws *random.Draws, states *Node) (from, to *Node) {
	from = AddScalar(draws.Below(AddScalar(states, -2)), 1)
	to = AddScalar(Add(from, draws.Below(Sub(AddScalar(states, -1), from))), 1)
	return from, Where(LessThan(states, constantLike(states, 3)), from, to)
}

// constantLike is a value in the shape of a node.
func constantLike(x *Node, value float64) *Node { return AddScalar(ZerosLike(x), value) }
