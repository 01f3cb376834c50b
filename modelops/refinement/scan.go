package refinement

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// scan goes through time in a loop of the graph, forwards or backwards. Each step gets
// what the one before it carries, and what the inputs are at its transition, and gives
// what it carries on and its outputs, [rows, width], which come together in the order of
// time. A step may use nothing else but the problem's nets: on XLA a loop's body can't
// reach outside.
//
//	inputs: [N, ...]
//	result: [N, rows, width] of each output
func (p *problem) scan(backwards bool, carry, inputs []*Node, widths []int, step func(carry, at []*Node) (_, out []*Node)) (_, out []*Node) {
	g := inputs[0].Graph()
	state := []*Node{Const(g, int32(0))}
	state = append(state, carry...)
	for _, width := range widths {
		state = append(state, Zeros(g, shapes.Make(dtypes.Float32, p.steps, p.rows, width)))
	}
	state = append(append(state, inputs...), p.variables.Weights(g)...)
	c, o, in := 1, 1+len(carry), 1+len(carry)+len(widths)
	weights := in + len(inputs)

	more := NewClosure(g, func(g *Graph) []*Node {
		return []*Node{LessThan(parameters(g, state)[0], Const(g, int32(p.steps)))}
	})
	advance := NewClosure(g, func(g *Graph) []*Node {
		now := parameters(g, state)
		restore := p.variables.Use(now[weights:])
		defer restore()
		at := p.transition(now[0], backwards, now[in:weights])
		carried, outputs := step(now[c:o], at)
		next := append([]*Node{Add(now[0], Const(g, int32(1)))}, carried...)
		for i, output := range outputs {
			next = append(next, p.push(now[o+i], output, backwards))
		}
		return append(next, now[in:]...)
	})
	done := While(more, advance, state...)
	return done[c:o], done[o:in]
}

// transition takes the inputs at a step's transition.
//
//	inputs: [N, ...]
//	result: [...]
func (p *problem) transition(counter *Node, backwards bool, inputs []*Node) []*Node {
	index := counter
	if backwards {
		index = Sub(Const(counter.Graph(), int32(p.steps-1)), counter)
	}
	at := make([]*Node, len(inputs))
	for i, input := range inputs {
		at[i] = Reshape(Gather(input, Reshape(index, 1, 1)), input.Shape().Dimensions[1:]...)
	}
	return at
}

// push adds an output after the others, or before them, and drops one at the other end.
func (p *problem) push(outputs, output *Node, before bool) *Node {
	output = Reshape(output, 1, p.rows, -1)
	if before {
		return Concatenate([]*Node{output, SliceAxis(outputs, 0, AxisRange(0, p.steps-1))}, 0)
	}
	return Concatenate([]*Node{SliceAxis(outputs, 0, AxisRange(1)), output}, 0)
}

// parameters are those of a closure that has nodes of these shapes as its state.
func parameters(g *Graph, state []*Node) []*Node {
	nodes := make([]*Node, len(state))
	for i, node := range state {
		nodes[i] = Parameter(g, fmt.Sprintf("state_%d", i), node.Shape())
	}
	return nodes
}
