package nets

import (
	"math"

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
	parts := mishParts(x)
	return withGradient(Mul(x, parts.share), []*Node{x}, func(v *Node) []*Node {
		return []*Node{Mul(v, parts.slope(x))}
	})
}

// mishSlope is the derivative of Mish.
func mishSlope(x *Node) *Node { return mishParts(x).slope(x) }

// mish are the parts of Mish: e = eˣ, d = n+2 and the share n/(n+2).
type mish struct{ e, d, share *Node }

func mishParts(x *Node) mish {
	e := Exp(Min(x, scalar(x, mishLinear)))
	n := Mul(e, Add(e, scalar(x, 2)))
	d := Add(n, scalar(x, 2))
	return mish{e, d, Div(n, d)}
}

// slope is the derivative, in which d(n/(n+2))/dx = 4eˣ(eˣ+1)/(n+2)².
func (m mish) slope(x *Node) *Node {
	rise := Div(Mul(Mul(m.e, scalar(x, 4)), Add(m.e, scalar(x, 1))), Square(m.d))
	return Add(m.share, Mul(x, rise))
}

// withGradient gives y, computed from the inputs, a gradient of its own:
// gradient takes the loss's gradient by y to those by the inputs. It serves
// where the automatic gradient is made of operations that are slow on pure Go.
//
// The automatic differentiation meets y first, where the gradients are
// computed, and then each input, where they are handed over. The path between
// is one number of each input, times zero; what flows back on it is not used,
// so no backend computes it.
func withGradient(y *Node, inputs []*Node, gradient func(v *Node) []*Node) *Node {
	var gradients []*Node
	y = StopGradient(y)
	for i, input := range inputs {
		tagged := IdentityWithCustomGradient(input, func(_, _ *Node) *Node { return gradients[i] })
		y = Add(y, Mul(first(tagged), scalar(y, 0)))
	}
	return IdentityWithCustomGradient(y, func(_, v *Node) *Node {
		gradients = gradient(v)
		return v
	})
}

// scalar is a constant of x's graph. GoMLX's own scalars are kept for the whole
// graph, and on XLA a loop's body can't use one that was made outside of it.
func scalar(x *Node, value float64) *Node {
	return Const(x.Graph(), float32(value))
}

// constant is a scalar repeated.
//
//	result: [dims...]
func constant(x *Node, value float64, dims ...int) *Node {
	return BroadcastToDims(scalar(x, value), dims...)
}

// byProducts tells whether convolutions, sums and repetitions are to be written
// as matrix products: so on pure Go, whose products are fast and whose other
// operations aren't, and not on XLA, which fuses the natural forms.
func byProducts(x *Node) bool {
	return backend.IsGo(x.Graph().Backend())
}

// first is one number of x, as a scalar.
func first(x *Node) *Node {
	spec := make([]SliceAxisSpec, x.Rank())
	for i := range spec {
		spec[i] = AxisElem(0)
	}
	return Reshape(Slice(x, spec...))
}

// signals are channels over a horizon, laid out [channels, length, batch] with
// length = horizon + gap. The gap's positions are zero where a convolution
// reads, so that the channels, one after the other in memory, don't run into
// each other; elsewhere they hold anything. This costs no operation: whatever
// sums over the horizon, or spreads over it, does so by a product with a vector
// that is 1 on the horizon and 0 on the gap.
type signals struct {
	horizon, gap int
}

func (s signals) length() int { return s.horizon + s.gap }

// places is 1 on the horizon and 0 on the gap, repeated.
//
//	result: [rows, length]
func (s signals) places(g *Graph, rows int) *Node {
	places := make([][]float32, rows)
	for row := range places {
		places[row] = make([]float32, s.length())
		for i := range s.horizon {
			places[row][i] = 1
		}
	}
	return Const(g, places)
}

// sum adds up the horizon, by a product on every backend: on XLA a graph's
// reductions can't be used both inside a loop's body and outside of it.
//
//	x:      [channels, length, batch]
//	result: [channels, batch]
func (s signals) sum(x *Node) *Node {
	return withGradient(s.sumForward(x), []*Node{x}, func(v *Node) []*Node {
		return []*Node{s.spreadForward(v)}
	})
}

// spread repeats x over the horizon.
//
//	x:      [channels, batch]
//	result: [channels, length, batch], zero on the gap
func (s signals) spread(x *Node) *Node {
	if !byProducts(x) {
		channels, batch := x.Shape().Dim(0), x.Shape().Dim(1)
		return s.extend(BroadcastToDims(Reshape(x, channels, 1, batch), channels, s.horizon, batch))
	}
	return withGradient(s.spreadForward(x), []*Node{x}, func(v *Node) []*Node {
		return []*Node{s.sumForward(v)}
	})
}

func (s signals) sumForward(x *Node) *Node {
	channels, batch := x.Shape().Dim(0), x.Shape().Dim(2)
	places := Reshape(s.places(x.Graph(), channels), channels, 1, s.length())
	return Reshape(Einsum("cil,clb->cib", places, x), channels, batch)
}

func (s signals) spreadForward(x *Node) *Node {
	channels, batch := x.Shape().Dim(0), x.Shape().Dim(1)
	places := Reshape(s.places(x.Graph(), channels), channels, s.length(), 1)
	return Einsum("cli,cib->clb", places, Reshape(x, channels, 1, batch))
}

// groupNormEpsilon keeps the normalisation of a constant group finite.
const groupNormEpsilon = 1e-5

// groupNorm normalises each group of channels over the horizon and the group,
// and then scales and shifts each channel.
//
//	x:      [channels, length, batch]
//	shift:  [channels, batch], added to the learnt shift, or nil
//	result: [channels, length, batch], zero on the gap
func (s signals) groupNorm(scope *model.Scope, x *Node, groups int, shift *Node) *Node {
	channels, batch := x.Shape().Dim(0), x.Shape().Dim(2)
	scale := scope.WithInitializer(initializer.One).
		VariableWithShape("scale", shapes.Make(dtypes.Float32, channels, 1)).NodeValue(x)
	bias := biasVariable(scope, channels, 1).NodeValue(x)

	within := groupAverage(x.Graph(), channels, groups, s.horizon)
	mean := Dot(within, s.sum(x)).Product() // [channels, batch]
	meanSquare := Dot(within, s.sum(Square(x))).Product()
	variance := Max(Sub(meanSquare, Square(mean)), scalar(x, 0))
	factor := Div(repeatColumn(scale, batch), Sqrt(Add(variance, scalar(x, groupNormEpsilon))))
	offset := Sub(repeatColumn(bias, batch), Mul(mean, factor))
	if shift != nil {
		offset = Add(offset, shift)
	}
	return Add(Mul(x, s.spread(factor)), s.spread(offset))
}

// groupAverage is the matrix that replaces sums over the horizon by the
// average over the horizon and the group.
//
//	result: [channels, channels]
func groupAverage(g *Graph, channels, groups, horizon int) *Node {
	size := channels / groups
	average := make([][]float32, channels)
	for to := range average {
		average[to] = make([]float32, channels)
		for from := range channels {
			if from/size == to/size {
				average[to][from] = 1 / float32(size*horizon)
			}
		}
	}
	return Const(g, average)
}

// repeatColumn repeats a column, by a product with ones: the pure-Go backend
// does that many times faster than a broadcast, and a broadcast that feeds an
// operation of two operands goes wrong in a loop's body (compute v0.1.2 fuses
// the two after it has compiled the body).
//
//	column: [n, 1]
//	result: [n, columns]
func repeatColumn(column *Node, columns int) *Node {
	if !byProducts(column) {
		return BroadcastToDims(column, column.Shape().Dim(0), columns)
	}
	return Dot(column, constant(column, 1, 1, columns)).Product()
}

// addColumn adds a number to each channel.
//
//	x:      [channels, horizon, batch]
//	column: [channels, 1]
//	result: [channels, horizon, batch]
func addColumn(x, column *Node) *Node {
	size := x.Shape().Dim(1) * x.Shape().Dim(2)
	return Add(x, Reshape(repeatColumn(column, size), x.Shape().Dimensions...))
}

// addRow adds a row to each of x's.
//
//	x:      [n, m]
//	row:    [m]
//	result: [n, m]
func addRow(x, row *Node) *Node {
	column := constant(x, 1, x.Shape().Dim(0), 1)
	return Add(x, Dot(column, Reshape(row, 1, -1)).Product())
}

// columns is a linear layer with a bias for examples that stand in columns.
//
//	x:      [inputs, batch]
//	result: [outputs, batch]
func columns(scope *model.Scope, x *Node, outputs int) *Node {
	inputs, batch := x.Shape().Dim(0), x.Shape().Dim(1)
	weights := kernelVariable(scope, outputs, 1, inputs).NodeValue(x)
	bias := biasVariable(scope, outputs, 1).NodeValue(x)
	return Add(productAt(scope, Reshape(weights, outputs, inputs), x), repeatColumn(bias, batch))
}

// halfPrecision is the parameter of a scope below which products are of bfloat16.
const halfPrecision = "half_precision"

// Halve has the U-Nets below a scope round what their products and convolutions are made
// of to bfloat16. Sums, normalisations and activations stay in float32. It is for nets
// that are not trained any more.
func Halve(scope *model.Scope) { scope.SetParam(halfPrecision, true) }

func isHalved(scope *model.Scope) bool { return model.GetParamOr(scope, halfPrecision, false) }

// halved rounds to bfloat16.
func halved(x *Node) *Node { return ConvertDType(x, dtypes.BFloat16) }

// productAt is product in the precision of a scope.
func productAt(scope *model.Scope, matrix, x *Node) *Node {
	if isHalved(scope) {
		return ConvertDType(Dot(halved(matrix), halved(x)).Product(), x.DType())
	}
	return product(matrix, x)
}

// product is a matrix product whose gradient leaves the large x untransposed.
//
//	matrix: [m, n]
//	x:      [n, columns]
//	result: [m, columns]
func product(matrix, x *Node) *Node {
	y := Dot(matrix, x).Product()
	if !byProducts(x) {
		return y
	}
	return withGradient(y, []*Node{matrix, x}, func(v *Node) []*Node {
		return []*Node{Einsum("mc,nc->mn", v, x), Dot(TransposeAllAxes(matrix, 1, 0), v).Product()}
	})
}

// kernelVariable holds a convolution's weights.
//
//	result: [channels, taps, inChannels]
func kernelVariable(scope *model.Scope, channels, taps, inChannels int) *model.Variable {
	limit := 1 / math.Sqrt(float64(taps*inChannels))
	return scope.WithInitializer(initializer.RandomUniformFn(scope, -limit, limit)).
		VariableWithShape("weights", shapes.Make(dtypes.Float32, channels, taps, inChannels))
}

// stepEmbedding embeds the denoising step as sinusoids and a small perceptron,
// and adds the return where the net is guided.
//
//	result: [channels, batch]
func stepEmbedding(scope *model.Scope, cfg UNetConfig, in UNetInputs) *Node {
	embedded := columns(scope.At("hidden"), sinusoids(in.Step, cfg.Channels), 4*cfg.Channels)
	embedded = columns(scope.At("output"), Mish(embedded), cfg.Channels)
	if cfg.WithReturn {
		embedded = Add(embedded, returnEmbedding(scope.At("return"), cfg, in))
	}
	return Mish(embedded)
}

// returnEmbedding embeds the return, and is zero where it isn't to be heard.
//
//	result: [channels, batch]
func returnEmbedding(scope *model.Scope, cfg UNetConfig, in UNetInputs) *Node {
	embedded := Stack([]*Node{Mul(in.Return, in.Guided), in.Guided}, 0) // [2, batch]
	embedded = Mish(columns(scope.At("hidden"), embedded, 4*cfg.Channels))
	embedded = columns(scope.At("output"), embedded, cfg.Channels)
	heard := Dot(constant(embedded, 1, cfg.Channels, 1), Reshape(in.Guided, 1, -1)).Product()
	return Mul(embedded, heard)
}

// sinusoids are the sines and cosines of the step at frequencies from 1 down to
// 1/10000 (Vaswani et al. 2017).
//
//	step:   [batch] int32
//	result: [channels, batch]
func sinusoids(step *Node, channels int) *Node {
	half := channels / 2
	frequencies := make([][]float32, half)
	for i := range frequencies {
		frequencies[i] = []float32{float32(math.Exp(-math.Log(10000) * float64(i) / float64(max(half-1, 1))))}
	}
	row := Reshape(ConvertDType(step, dtypes.Float32), 1, -1)
	angles := Dot(Const(step.Graph(), frequencies), row).Product() // [half, batch]
	return Concatenate([]*Node{Sin(angles), Cos(angles)}, 0)
}
