package learners

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
)

// arrays are weights, or what is kept of them, by name. The first axis of each holds
// the nets of all seeds, a seed's one after the other.
type arrays map[string]*Node

// perceptron is a number of nets of one shape in every seed, with ReLU between their
// linear layers.
type perceptron struct {
	name   string
	sizes  []int // inputs, hidden layers, outputs
	copies int   // in a seed
}

// twoLayers is a perceptron of two hidden layers, which all of CORL's are.
func twoLayers(name string, inputs, hidden, outputs, copies int) perceptron {
	return perceptron{name: name, sizes: []int{inputs, hidden, hidden, outputs}, copies: copies}
}

func (p perceptron) weights(layer int) string {
	return fmt.Sprintf("%s/layer_%d/weights", p.name, layer)
}
func (p perceptron) bias(layer int) string { return fmt.Sprintf("%s/layer_%d/bias", p.name, layer) }

// first draws the first weights of one seed, as PyTorch's linear layers do.
func (p perceptron) first(rng *rand.Rand) []checkpoint.Tensor {
	var list []checkpoint.Tensor
	for layer, inputs := range p.sizes[:len(p.sizes)-1] {
		outputs, limit := p.sizes[layer+1], 1/math.Sqrt(float64(inputs))
		list = append(list,
			uniform(rng, limit, p.weights(layer), p.copies, inputs, outputs),
			uniform(rng, limit, p.bias(layer), p.copies, 1, outputs))
	}
	return list
}

// uniform draws an array from [-limit, limit).
func uniform(rng *rand.Rand, limit float64, name string, dims ...int) checkpoint.Tensor {
	t := zeros(name, dims...)
	for i := range t.Data {
		t.Data[i] = float32(limit * (2*rng.Float64() - 1))
	}
	return t
}

func zeros(name string, dims ...int) checkpoint.Tensor {
	size := 1
	for _, d := range dims {
		size *= d
	}
	return checkpoint.Tensor{Name: name, Shape: slices.Clone(dims), Data: make([]float32, size)}
}

// apply runs every net on the batch of its seed.
//
//	x:      [seeds, batch, inputs]
//	result: [seeds·copies, batch, outputs]
func (p perceptron) apply(values arrays, x *Node) *Node { return p.dropping(nil, values, x) }

// dropping is apply with some of the hidden numbers dropped, as in an update.
func (p perceptron) dropping(drop *dropout, values arrays, x *Node) *Node {
	x = repeat(x, p.copies)
	for layer := range len(p.sizes) - 1 {
		if layer > 0 {
			x = drop.apply(Max(x, ScalarZero(x.Graph(), x.DType())))
		}
		x = linear(x, values[p.weights(layer)], values[p.bias(layer)])
	}
	return x
}

// only is one net of each seed, alone.
func (p perceptron) only(values arrays, which int) (perceptron, arrays) {
	alone := arrays{}
	for layer := range len(p.sizes) - 1 {
		for _, name := range []string{p.weights(layer), p.bias(layer)} {
			dims := values[name].Shape().Dimensions
			grouped := Reshape(values[name], dims[0]/p.copies, p.copies, dims[1], dims[2])
			alone[name] = Squeeze(SliceAxis(grouped, 1, AxisElem(which)), 1)
		}
	}
	p.copies = 1
	return p, alone
}

// repeat gives each net of a seed the seed's batch.
//
//	x:      [seeds, batch, inputs]
//	result: [seeds·copies, batch, inputs]
func repeat(x *Node, copies int) *Node {
	if copies == 1 {
		return x
	}
	seeds, size, inputs := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	return Reshape(BroadcastToDims(InsertAxes(x, 1), seeds, copies, size, inputs), seeds*copies, size, inputs)
}

// linear is a linear layer of many nets.
//
//	x:       [nets, batch, inputs]
//	weights: [nets, inputs, outputs]
//	bias:    [nets, 1, outputs]
//	result:  [nets, batch, outputs]
func linear(x, weights, bias *Node) *Node {
	return addBias(product(x, weights), bias)
}

// product multiplies matrices, pair by pair.
//
//	a:      [nets, n, k]
//	b:      [nets, k, m]
//	result: [nets, n, m]
func product(a, b *Node) *Node {
	return Dot(a, b).General([]int{2}, []int{0}, []int{1}, []int{0})
}

// addBias adds a row to each of x's: by a product on pure Go, where repeating it is
// dear.
//
//	x:    [nets, batch, outputs]
//	bias: [nets, 1, outputs]
func addBias(x, bias *Node) *Node {
	dims := x.Shape().Dimensions
	if backend.IsGo(x.Graph().Backend()) {
		ones := BroadcastToDims(ScalarOne(x.Graph(), x.DType()), dims[0], dims[1], 1)
		return Add(x, product(ones, bias))
	}
	return Add(x, BroadcastToDims(bias, dims...))
}

// renamed copies the weights of a net for one that begins equal to it.
func renamed(weights []checkpoint.Tensor, from, to perceptron) []checkpoint.Tensor {
	var list []checkpoint.Tensor
	for _, w := range weights {
		if rest, found := strings.CutPrefix(w.Name, from.name+"/"); found {
			w.Name, w.Shape, w.Data = to.name+"/"+rest, slices.Clone(w.Shape), slices.Clone(w.Data)
			list = append(list, w)
		}
	}
	return list
}
