package learners

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"diffstitch/modelops/checkpoint"
)

// adam is Adam (Kingma and Ba 2015) with PyTorch's defaults, on nodes: GoMLX's own
// keeps its moments in a store's variables, which a loop's body can't reach.
type adam struct {
	decay float64 // of the weights (AdamW, Loshchilov and Hutter 2019)
	// clip bounds the norm of all of a seed's gradients; 0 leaves them.
	clip float64
}

const (
	firstDecay, secondDecay = 0.9, 0.999
	adamEpsilon             = 1e-8

	firstMoment, secondMoment = "adam_first/", "adam_second/" // before the weights' names
)

// moments are those of weights before the first step.
func moments(weights []checkpoint.Tensor) []checkpoint.Tensor {
	var list []checkpoint.Tensor
	for _, w := range weights {
		list = append(list, zeros(firstMoment+w.Name, w.Shape...), zeros(secondMoment+w.Name, w.Shape...))
	}
	return list
}

// step changes the named weights, and their moments, to make the losses less.
//
//	losses: [seeds], each of its own seed's weights
//	rate:   scalar
//	count:  scalar int32, the steps of these weights, this one included
func (a adam) step(values arrays, names []string, losses, rate, count *Node) {
	weights := make([]*Node, len(names))
	for i, name := range names {
		weights[i] = values[name]
	}
	a.follow(values, names, Gradient(ReduceAllSum(losses), weights...), losses.Shape().Dim(0), rate, count)
}

// follow changes the named weights, of so many seeds, by their gradients.
func (a adam) follow(values arrays, names []string, gradients []*Node, seeds int, rate, count *Node) {
	if a.clip > 0 {
		clip(gradients, a.clip, seeds)
	}
	for i, gradient := range gradients {
		a.apply(values, names[i], gradient, rate, count)
	}
}

// clip scales the gradients of each seed so that their norm is no more than a bound.
func clip(gradients []*Node, bound float64, seeds int) {
	var squares *Node // [seeds]
	for i, gradient := range gradients {
		sum := ReduceSum(Square(Reshape(gradient, seeds, -1)), 1)
		if i == 0 {
			squares = sum
			continue
		}
		squares = Add(squares, sum)
	}
	factor := MinScalar(Div(constantLike(squares, bound), AddScalar(Sqrt(squares), 1e-6)), 1)
	for i, gradient := range gradients {
		rows := Reshape(gradient, seeds, -1)
		scaled := Mul(rows, BroadcastToDims(InsertAxes(factor, 1), rows.Shape().Dimensions...))
		gradients[i] = Reshape(scaled, gradient.Shape().Dimensions...)
	}
}

// apply is the step of one array.
func (a adam) apply(values arrays, name string, gradient, rate, count *Node) {
	first := moving(values[firstMoment+name], gradient, firstDecay)
	second := moving(values[secondMoment+name], Square(gradient), secondDecay)
	values[firstMoment+name], values[secondMoment+name] = first, second
	// The moments begin at zero; dividing by what they have gathered makes up for it.
	stride := Div(rate, gathered(count, firstDecay))
	spread := AddScalar(Mul(Sqrt(second), Reciprocal(Sqrt(gathered(count, secondDecay)))), adamEpsilon)
	weight := values[name]
	if a.decay > 0 {
		weight = Mul(weight, OneMinus(MulScalar(rate, a.decay)))
	}
	values[name] = Sub(weight, Mul(Div(first, spread), stride))
}

// moving adds a value to an exponential average.
func moving(average, value *Node, decay float64) *Node {
	return Add(MulScalar(average, decay), MulScalar(value, 1-decay))
}

// gathered is 1 − decay^count, precisely where that is small.
func gathered(count *Node, decay float64) *Node {
	return Neg(Expm1(MulScalar(ConvertDType(count, dtypes.Float32), math.Log(decay))))
}

// follow moves the target's weights by a share tau towards the net's.
func follow(values arrays, target, net perceptron, tau float64) {
	for layer := range len(net.sizes) - 1 {
		for _, pair := range [][2]string{{target.weights(layer), net.weights(layer)}, {target.bias(layer), net.bias(layer)}} {
			values[pair[0]] = moving(values[pair[0]], values[pair[1]], 1-tau)
		}
	}
}
