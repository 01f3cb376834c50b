package nets

import (
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"

	"diffstitch/modelops/backend"
)

// mishLinear is where Mish(x) is x to the last bit of a float32, and e^2x still
// far from overflow.
const mishLinear = 20

// Mish is x·tanh(ln(1+eˣ)), written with a single transcendental function:
// with n = eˣ(eˣ+2) it is x·n/(n+2).
func Mish(x *Node) *Node {
	e := Exp(MinScalar(x, mishLinear))
	n := Mul(e, AddScalar(e, 2))
	return Mul(x, Div(n, AddScalar(n, 2)))
}

// groupNormEpsilon keeps the normalisation of a constant group finite.
const groupNormEpsilon = 1e-5

// groupNorm normalises each group of channels over the horizon and the group,
// and then scales and shifts each channel.
//
//	x:      [horizon, batch, channels]
//	shift:  [batch, channels], added to the learnt shift, or nil
//	result: [horizon, batch, channels]
func groupNorm(scope *model.Scope, x *Node, groups int, shift *Node) *Node {
	horizon, batch, channels := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	scale := scope.WithInitializer(initializer.One).
		VariableWithShape("scale", shapes.Make(dtypes.Float32, channels)).NodeValue(x)
	bias := biasVariable(scope, channels).NodeValue(x)

	within := groupAverage(x.Graph(), channels, groups, horizon)
	mean := Dot(sumHorizon(x), within).Product() // [batch, channels]
	meanSquare := Dot(sumHorizon(Square(x)), within).Product()
	variance := MaxScalar(Sub(meanSquare, Square(mean)), 0)
	factor := Div(repeatRow(scale, batch), Sqrt(AddScalar(variance, groupNormEpsilon)))
	offset := Sub(repeatRow(bias, batch), Mul(mean, factor))
	if shift != nil {
		offset = Add(offset, shift)
	}
	return Add(Mul(x, repeatHorizon(factor, horizon)), repeatHorizon(offset, horizon))
}

// groupAverage is the matrix that replaces sums over the horizon by the
// average over the horizon and the group.
//
//	result: [channels, channels]
func groupAverage(g *Graph, channels, groups, horizon int) *Node {
	size := channels / groups
	average := make([][]float32, channels)
	for from := range average {
		average[from] = make([]float32, channels)
		for to := range channels {
			if from/size == to/size {
				average[from][to] = 1 / float32(size*horizon)
			}
		}
	}
	return Const(g, average)
}

// sumHorizon adds up the horizon by a product with ones, which the pure-Go
// backend does many times faster than a reduction.
//
//	x:      [horizon, batch, channels]
//	result: [batch, channels]
func sumHorizon(x *Node) *Node {
	horizon, batch, channels := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	sum := Dot(ones(x.Graph(), 1, horizon), Reshape(x, horizon, batch*channels)).Product()
	return Reshape(sum, batch, channels)
}

// repeatHorizon repeats x for each position, by a product with ones for the
// same reason.
//
//	x:      [batch, channels]
//	result: [horizon, batch, channels]
func repeatHorizon(x *Node, horizon int) *Node {
	batch, channels := x.Shape().Dim(0), x.Shape().Dim(1)
	return Reshape(repeatRow(Reshape(x, batch*channels), horizon), horizon, batch, channels)
}

// repeatRow repeats a row.
//
//	row:    [n]
//	result: [rows, n]
func repeatRow(row *Node, rows int) *Node {
	return Dot(ones(row.Graph(), rows, 1), Reshape(row, 1, -1)).Product()
}

// addRow adds a row to each of x's.
//
//	x:      [..., n]
//	row:    [n]
//	result: [..., n]
func addRow(x, row *Node) *Node {
	n := x.Shape().Dim(-1)
	return Add(x, Reshape(repeatRow(row, x.Shape().Size()/n), x.Shape().Dimensions...))
}

func ones(g *Graph, dims ...int) *Node {
	return Ones(g, shapes.Make(dtypes.Float32, dims...))
}

// stepEmbedding embeds the denoising step as sinusoids and a small perceptron,
// and adds the return where the net is guided.
//
//	result: [batch, channels]
func stepEmbedding(scope *model.Scope, cfg UNetConfig, in UNetInputs) *Node {
	embedded := Dense(scope.At("hidden"), sinusoids(in.Step, cfg.Channels), 4*cfg.Channels)
	embedded = Dense(scope.At("output"), Mish(embedded), cfg.Channels)
	if cfg.WithReturn {
		embedded = Add(embedded, returnEmbedding(scope.At("return"), cfg, in))
	}
	return Mish(embedded)
}

// returnEmbedding embeds the return, and is zero where it isn't to be heard.
//
//	result: [batch, channels]
func returnEmbedding(scope *model.Scope, cfg UNetConfig, in UNetInputs) *Node {
	column := Mul(in.Return, in.Guided)
	embedded := Stack([]*Node{column, in.Guided}, -1)
	embedded = Mish(Dense(scope.At("hidden"), embedded, 4*cfg.Channels))
	embedded = Dense(scope.At("output"), embedded, cfg.Channels)
	return Mul(embedded, BroadcastToShape(Reshape(in.Guided, -1, 1), embedded.Shape()))
}

// sinusoids are the sines and cosines of the step at frequencies from 1 down to
// 1/10000 (Vaswani et al. 2017).
//
//	step:   [batch] int32
//	result: [batch, channels]
func sinusoids(step *Node, channels int) *Node {
	half := channels / 2
	frequencies := make([]float32, half)
	for i := range frequencies {
		frequencies[i] = float32(math.Exp(-math.Log(10000) * float64(i) / float64(max(half-1, 1))))
	}
	column := Reshape(ConvertDType(step, dtypes.Float32), -1, 1)
	angles := Dot(column, Const(step.Graph(), [][]float32{frequencies})).Product() // [batch, half]
	return Concatenate([]*Node{Sin(angles), Cos(angles)}, -1)
}

// convolve convolves over the horizon without a bias, zeros beyond its ends.
// It is the one place that chooses the form by the backend: a native
// convolution on XLA, and on pure Go, where that is twenty times slower, a
// product with the taps side by side.
//
//	x:      [horizon, batch, inChannels]
//	result: [horizon/stride, batch, channels]
func convolve(scope *model.Scope, x *Node, channels, kernel, stride int) *Node {
	weights := weightVariable(scope, kernel, x.Shape().Dim(-1), channels).NodeValue(x)
	if backend.IsGo(x.Graph().Backend()) {
		return convolveByProduct(x, weights, stride)
	}
	return convolveNatively(x, weights, stride)
}

// convolveNatively and convolveByProduct are forms of the same convolution.
//
//	x:       [horizon, batch, inChannels]
//	weights: [kernel, inChannels, channels]
//	result:  [horizon/stride, batch, channels]
func convolveNatively(x, weights *Node, stride int) *Node {
	reach := weights.Shape().Dim(0) / 2
	x = TransposeAllAxes(x, 1, 0, 2)
	x = Convolve(x, weights).Strides(stride).PaddingPerDim([][2]int{{reach, reach}}).Done()
	return TransposeAllAxes(x, 1, 0, 2)
}

func convolveByProduct(x, weights *Node, stride int) *Node {
	kernel, inChannels, channels := weights.Shape().Dim(0), weights.Shape().Dim(1), weights.Shape().Dim(2)
	taps := windows(x, -(kernel / 2), kernel, stride)
	return product(taps, Reshape(weights, kernel*inChannels, channels))
}

// upsample doubles the horizon by a transposed convolution of four taps and
// stride two: an even position sees x[h-1] and x[h], an odd one x[h] and x[h+1].
//
//	x:      [horizon, batch, inChannels]
//	result: [2·horizon, batch, channels]
func upsample(scope *model.Scope, x *Node, channels int) *Node {
	horizon, batch, inChannels := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	phases := make([]*Node, 2)
	for phase := range phases {
		weights := weightVariable(scope.At("phase_%d", phase), 2*inChannels, channels).NodeValue(x)
		out := product(windows(x, phase-1, 2, 1), weights)
		phases[phase] = Reshape(out, horizon, 1, batch, channels)
	}
	return Reshape(Concatenate(phases, 1), 2*horizon, batch, channels)
}

// product multiplies the last axis with a matrix.
//
//	x:      [horizon, batch, n]
//	matrix: [n, m]
//	result: [horizon, batch, m]
func product(x, matrix *Node) *Node {
	horizon, batch, n := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	out := Dot(Reshape(x, horizon*batch, n), matrix).Product()
	return Reshape(out, horizon, batch, -1)
}

// windows lays count positions side by side, from the offset first on, for each
// stride-th position; zeros beyond the ends.
//
//	x:      [horizon, batch, channels]
//	result: [horizon/stride, batch, count·channels]
func windows(x *Node, first, count, stride int) *Node {
	if count == 1 && first == 0 && stride == 1 {
		return x
	}
	horizon := x.Shape().Dim(0)
	padded := padAxis(x, 0, max(-first, 0), max(first+count-1, 0))
	taps := make([]*Node, count)
	for tap := range taps {
		start := max(-first, 0) + first + tap
		taps[tap] = SliceAxis(padded, 0, AxisRange(start, start+horizon).Stride(stride))
	}
	return Concatenate(taps, -1)
}

// padAxis adds zeros before and after an axis.
func padAxis(x *Node, axis, before, after int) *Node {
	if before == 0 && after == 0 {
		return x
	}
	config := make([]compute.PadAxis, x.Rank())
	config[axis] = compute.PadAxis{Start: before, End: after}
	return Pad(x, ScalarZero(x.Graph(), x.DType()), config...)
}
