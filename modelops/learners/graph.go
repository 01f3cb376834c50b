package learners

import (
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend"
)

// carried is what goes from one round of the graph's loop to the next.
type carried struct {
	begun         *Node // scalar int32, the update of the first of states
	done, until   *Node // scalar int32, updates so far, and at the end of the call
	states, table *Node
	sums          *Node // [metrics, seeds]
	values        []*Node
}

func (c carried) nodes() []*Node {
	return append([]*Node{c.begun, c.done, c.until, c.states, c.table, c.sums}, c.values...)
}

func carriedFrom(nodes []*Node) carried {
	return carried{begun: nodes[0], done: nodes[1], until: nodes[2], states: nodes[3], table: nodes[4], sums: nodes[5], values: nodes[6:]}
}

// parameters is what is carried as parameters of a closure.
func (c carried) parameters(g *Graph) carried {
	nodes := c.nodes()
	for i, node := range nodes {
		nodes[i] = Parameter(g, fmt.Sprintf("carried_%d", i), node.Shape())
	}
	return carriedFrom(nodes)
}

// graph makes the updates of a call: one round of them on pure Go, whose compiler
// breaks gradients inside of a loop's body, and which has no call to save.
//
//	inputs: begun, done, until, states, the table, then the arrays
//	result: the sums of the metrics, then the arrays
func (l *loop) graph(_ *model.Scope, inputs []*Node) []*Node {
	g, first, stride := inputs[0].Graph(), l.before(inputs), l.algorithm.stride()
	if backend.IsGo(g.Backend()) {
		last := l.round(first, stride)
		return append([]*Node{last.sums}, last.values...)
	}
	more := NewClosure(g, func(g *Graph) []*Node {
		c := first.parameters(g)
		return []*Node{LessThan(c.done, c.until)}
	})
	body := NewClosure(g, func(g *Graph) []*Node {
		return l.round(first.parameters(g), stride).nodes()
	})
	last := carriedFrom(While(more, body, first.nodes()...))
	return append([]*Node{last.sums}, last.values...)
}

// restGraph makes the updates that are left of the training after its whole strides.
// Inputs and result are those of graph.
func (l *loop) restGraph(_ *model.Scope, inputs []*Node) []*Node {
	last := l.round(l.before(inputs), l.cfg.Steps%l.algorithm.stride())
	return append([]*Node{last.sums}, last.values...)
}

// before is what a call's first round gets: the inputs, and sums of 0.
func (l *loop) before(inputs []*Node) carried {
	sums := ConstTensor(inputs[0].Graph(), tensors.FromShape(shapes.Make(dtypes.Float32, len(l.algorithm.metrics()), len(l.cfg.Seeds))))
	return carriedFrom(slices.Insert(slices.Clone(inputs), 5, sums))
}

// round makes the updates of one stride, or the first of one.
func (l *loop) round(c carried, updates int) carried {
	values := arrays{}
	for i, name := range l.names {
		values[name] = c.values[i]
	}
	for i := range updates {
		states := Squeeze(Gather(c.states, Reshape(Sub(c.done, c.begun), 1, 1)), 0) // [seeds, 3]
		u := &update{
			done: c.done, last: i == l.algorithm.stride()-1,
			streams: newStreams(states), table: c.table, values: values,
		}
		l.algorithm.update(u)
		if i == updates-1 {
			c.sums = Add(c.sums, Stack(u.reported, 0))
		}
		c.done = Add(c.done, Const(c.done.Graph(), int32(1)))
	}
	for i, name := range l.names {
		c.values[i] = values[name]
	}
	return c
}
