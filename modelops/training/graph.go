package training

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/random"
	"diffstitch/modelops/training/execution"
)

// carried is what goes from one step of a call to the next.
type carried struct {
	done, count   *Node // scalars int32, steps of this call so far, and in all
	states, paces *Node // see loop.prepare
	losses        *Node // [steps], before each step is taken
	tables        []*Node
	variables     []*Node
}

func (c carried) nodes() []*Node {
	list := []*Node{c.done, c.count, c.states, c.paces, c.losses}
	return append(append(list, c.tables...), c.variables...)
}

// with is the same of other nodes, in the order of nodes.
func (c carried) with(nodes []*Node) carried {
	first := 5 + len(c.tables)
	return carried{
		done: nodes[0], count: nodes[1], states: nodes[2], paces: nodes[3], losses: nodes[4],
		tables: nodes[5:first], variables: nodes[first:],
	}
}

// parameters are what is carried, as parameters of a closure.
func (c carried) parameters(g *Graph) carried {
	nodes := c.nodes()
	for i, node := range nodes {
		nodes[i] = Parameter(g, fmt.Sprintf("carried_%d", i), node.Shape())
	}
	return c.with(nodes)
}

// shapes are those of the inputs of stepsGraph.
func (l *loop) shapes() []shapes.Shape {
	n := l.stepsPerCall()
	list := []shapes.Shape{shapes.Make(dtypes.Int32), shapes.Make(dtypes.Uint64, n, random.StateSize), shapes.Make(dtypes.Float32, n, 2)}
	for _, table := range l.tables {
		list = append(list, table.Shape())
	}
	return list
}

// declare makes the variables, in a graph of one step that is never compiled: a loop's
// body can only change those that are there.
func (l *loop) declare() error {
	return execution.Catch(func() error {
		g := NewGraph(l.engine, "variables")
		defer g.Finalize()
		model.SetStore(g, l.store)
		var inputs []*Node
		for i, shape := range l.shapes() {
			inputs = append(inputs, Parameter(g, fmt.Sprintf("input_%d", i), shape))
		}
		l.step(l.store.RootScope(), l.before(inputs))
		return nil
	})
}

// stepsGraph makes the optimizer steps of a call: one on pure Go, whose compiler breaks
// gradients inside of a loop's body.
//
//	inputs: how many steps, states, paces, then the tables
//	result: [steps], the losses
func (l *loop) stepsGraph(scope *model.Scope, inputs []*Node) *Node {
	g, first := inputs[0].Graph(), l.before(inputs)
	if backend.IsGo(l.engine) {
		return l.step(scope, first).losses
	}
	variables := l.variables(scope)
	for _, v := range variables {
		first.variables = append(first.variables, v.NodeValue(g))
	}
	more := NewClosure(g, func(g *Graph) []*Node {
		c := first.parameters(g)
		return []*Node{LessThan(c.done, c.count)}
	})
	body := NewClosure(g, func(g *Graph) []*Node {
		c := first.parameters(g)
		for i, v := range variables {
			v.SetNodeValue(c.variables[i])
		}
		c = l.step(scope, c)
		for i, v := range variables {
			c.variables[i] = v.NodeValue(g)
		}
		return c.nodes()
	})
	last := first.with(While(more, body, first.nodes()...))
	for i, v := range variables {
		v.SetNodeValue(last.variables[i])
	}
	return last.losses
}

// before is what a call's first step gets. It has no scalars of GoMLX's, which are kept
// for the whole graph: on XLA a loop's body can't use one that was made outside of it.
func (l *loop) before(inputs []*Node) carried {
	g := inputs[0].Graph()
	return carried{
		done: Const(g, int32(0)), count: inputs[0], states: inputs[1], paces: inputs[2],
		losses: ConstTensor(g, tensors.FromShape(shapes.Make(dtypes.Float32, l.stepsPerCall()))), tables: inputs[3:],
	}
}

// variables are those of a step.
func (l *loop) variables(scope *model.Scope) (list []*model.Variable) {
	for v := range scope.Store().IterVariables() {
		if v.Path() != "/"+model.RNGStateVariableName {
			list = append(list, v)
		}
	}
	return list
}

// step is one optimizer step.
func (l *loop) step(scope *model.Scope, c carried) carried {
	g := c.done.Graph()
	at := func(table *Node) *Node { return Squeeze(Gather(table, Reshape(c.done, 1, 1)), 0) }
	pace := at(c.paces)
	rate, decay := Squeeze(Slice(pace, AxisElem(0))), Squeeze(Slice(pace, AxisElem(1)))
	batch := l.job.objective.draw(random.NewDraws(at(c.states)), c.tables, fromTrain, l.job.schedule.Batch)
	// Nets are independent of each other: the sum trains each on its own loss.
	losses := l.job.objective.loss(scope.At(execution.WeightsScope), batch)
	optimizer.LearningRateVar(scope, dtypes.Float32, 0).SetNodeValue(rate)
	l.adam.UpdateGraph(scope, g, ReduceAllSum(losses))
	averageWeights(scope, decay)
	here := Equal(Iota(g, shapes.Make(dtypes.Int32, l.stepsPerCall()), 0), BroadcastToDims(c.done, l.stepsPerCall()))
	c.losses = Where(here, BroadcastToDims(ReduceAllMean(losses), l.stepsPerCall()), c.losses)
	c.done = AddScalar(c.done, 1)
	return c
}

// evaluateGraph is the loss of the averaged weights on held-out examples.
//
//	inputs: the state of the random numbers, then the tables
//	result: scalar
func (l *loop) evaluateGraph(scope *model.Scope, inputs []*Node) *Node {
	batch := l.job.objective.draw(random.NewDraws(inputs[0]), inputs[1:], fromHeldOut, l.job.schedule.Batch)
	return ReduceAllMean(l.job.objective.loss(scope.At(averagesScope), batch))
}
