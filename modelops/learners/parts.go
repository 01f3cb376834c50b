package learners

import (
	. "github.com/gomlx/gomlx/core/graph"

	"diffstitch/modelops/backend"
)

// Contexts of a seed's batch that go through the net at once, at most. One takes some
// 4 MB, of which CORL's 4096 would come to 15 GB a seed. XLA's compiler, which takes
// longer the more parts there are, gets larger ones.
const goContexts, xlaContexts = 256, 1024

// contextsAtOnce is how many go through the net at once on a graph's backend.
func contextsAtOnce(g *Graph) int {
	if backend.IsGo(g.Backend()) {
		return goContexts
	}
	return xlaContexts
}

// parts is the least number of equal parts of a batch, each of which is at most so
// large.
func parts(batch, largest int) int {
	n := (batch + largest - 1) / largest
	for batch%n != 0 {
		n++
	}
	return n
}

// gradients are those of the loss over a batch, which goes through the net in parts.
//
//	loss: [seeds]
func (d *decisionTransformer) gradients(values arrays, names []string, c contexts, drop *dropout, largest int) (loss *Node, gradients []*Node) {
	weights := make([]*Node, len(names))
	for i, name := range names {
		weights[i] = values[name]
	}
	n := parts(c.returns.Shape().Dim(1), largest)
	for i := range n {
		part := c.part(i, n)
		if i > 0 {
			part.returns = after(part.returns, gradients)
		}
		own := MulScalar(d.loss(values, part, drop), 1/float64(n))
		more := Gradient(ReduceAllSum(own), weights...)
		if i == 0 {
			loss, gradients = own, more
			continue
		}
		loss = Add(loss, own)
		for k := range more {
			gradients[k] = Add(gradients[k], more[k])
		}
	}
	return loss, gradients
}

// part is one of n of the contexts of every seed.
func (c contexts) part(which, n int) contexts {
	if n == 1 {
		return c
	}
	of := func(x *Node) *Node {
		size := x.Shape().Dim(1) / n
		return SliceAxis(x, 1, AxisRange(which*size, (which+1)*size))
	}
	return contexts{returns: of(c.returns), observations: of(c.observations), actions: of(c.actions), times: of(c.times), known: of(c.known)}
}

// after is x, which is not there before the values are: backends would otherwise go
// through the parts side by side, and hold them all.
func after(x *Node, values []*Node) *Node {
	for _, value := range values {
		none := MulScalar(StopGradient(ReduceAllSum(value)), 0)
		x = Add(x, BroadcastToDims(none, x.Shape().Dimensions...))
	}
	return x
}
