package nets

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend"
)

// convolve convolves over the horizon, without a bias. It is the one place that
// chooses the form by the backend: a native convolution on XLA; on pure Go,
// where that is twenty times slower, a product with shifted copies.
//
//	x:      [inChannels, length, batch], zero on the gap
//	result: [channels, length, batch], anything on the gap
func (s signals) convolve(scope *model.Scope, x *Node, channels, taps int) *Node {
	weights := kernelVariable(scope, channels, taps, x.Shape().Dim(0)).NodeValue(x)
	switch {
	case byProducts(x) || backend.IsExact(x.Graph().Backend()):
		return convolveByProduct(x, weights)
	case isHalved(scope):
		return ConvertDType(convolveNatively(halved(x), halved(weights)), x.DType())
	case backend.IsXLACPU(x.Graph().Backend()):
		return convolveForwards(x, weights)
	}
	return convolveNatively(x, weights)
}

// convolveNatively, convolveForwards and convolveByProduct are forms of one convolution,
// equal on the horizon. The gap is as wide as the kernel reaches, or wider.
//
//	x:       [inChannels, length, batch], zero on the gap
//	weights: [channels, taps, inChannels], taps odd
//	result:  [channels, length, batch], anything on the gap
func convolveNatively(x, weights *Node) *Node {
	reach := weights.Shape().Dim(1) / 2
	images := TransposeAllAxes(x, 2, 1, 0)       // [batch, length, inChannels]
	kernel := TransposeAllAxes(weights, 1, 2, 0) // [taps, inChannels, channels]
	return TransposeAllAxes(padded(images, kernel, reach), 2, 1, 0)
}

// padded is a convolution over a middle axis with so much padding on both ends.
//
//	images: [n, length, inputs]
//	kernel: [taps, inputs, outputs]
//	result: [n, length + 2·reach + 1 − taps, outputs]
func padded(images, kernel *Node, reach int) *Node {
	return Convolve(images, kernel).Strides(1).PaddingPerDim([][2]int{{reach, reach}}).Done()
}

// convolveForwards is convolveNatively with gradients that are convolutions of the same
// form. XLA on the CPU brings convolutions of other forms into this one, which its library
// has, but not in a loop's body: there they are five times as slow.
func convolveForwards(x, weights *Node) *Node {
	reach := weights.Shape().Dim(1) / 2
	return withGradient(convolveNatively(x, weights), []*Node{x, weights}, func(v *Node) []*Node {
		// Each position of x reaches the outputs around it through the same taps in reverse
		// order; each tap sums over the batch, and over the positions, which take the part
		// of the taps.
		byX := convolveNatively(v, Reverse(TransposeAllAxes(weights, 2, 1, 0), 1))
		byWeights := padded(x, TransposeAllAxes(v, 1, 2, 0), reach) // [inChannels, taps, channels]
		return []*Node{byX, TransposeAllAxes(byWeights, 2, 1, 0)}
	})
}

func convolveByProduct(x, weights *Node) *Node {
	channels, inChannels := weights.Shape().Dim(0), weights.Shape().Dim(2)
	length, batch := x.Shape().Dim(1), x.Shape().Dim(2)
	taps := weights.Shape().Dim(1)
	shifted := shifts(x, taps)
	y := Reshape(Dot(flatKernel(weights), shifted).Product(), channels, length, batch)
	return withGradient(y, []*Node{x, weights}, func(v *Node) []*Node {
		// Each position of x reaches the outputs around it through the same taps
		// in reverse order.
		back := Reverse(TransposeAllAxes(weights, 2, 1, 0), 1) // [inChannels, taps, channels]
		byX := Dot(flatKernel(back), shifts(v, taps)).Product()
		byWeights := Einsum("cp,kp->ck", Reshape(v, channels, length*batch), shifted)
		byWeights = Reshape(byWeights, channels, taps, inChannels+1)
		return []*Node{
			Reshape(byX, inChannels, length, batch),
			SliceAxis(byWeights, 2, AxisRange(0, inChannels)),
		}
	})
}

// flatKernel is the kernel as a matrix for shifts, with a zero for the channel
// that shifts adds.
//
//	weights: [channels, taps, inChannels]
//	result:  [channels, taps·(inChannels+1)]
func flatKernel(weights *Node) *Node {
	channels, taps := weights.Shape().Dim(0), weights.Shape().Dim(1)
	padded := Concatenate([]*Node{weights, constant(weights, 0, channels, taps, 1)}, 2)
	return Reshape(padded, channels, -1)
}

// shifts lays copies of x under each other, each one position further along
// than the one above, the middle one in place.
//
// They are made without an operation that moves single numbers, which are slow
// on pure Go: copies of x, one position shorter than a row, are strung together
// and the string is cut into rows, so that each row starts one position later
// in its copy. A row is x and one more channel of no meaning, for the positions
// that run over.
//
//	x:      [channels, length, batch], zero on the gap
//	result: [taps·(channels+1), length·batch]
func shifts(x *Node, taps int) *Node {
	channels, length, batch := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	reach := taps / 2
	zeros := func(positions int) *Node { return constant(x, 0, positions*batch) }
	flat, between := Reshape(x, -1), zeros(length-1)
	parts := []*Node{zeros(reach)}
	for range taps {
		parts = append(parts, flat, between)
	}
	parts = append(parts, zeros(taps-reach))
	return Reshape(Concatenate(parts, 0), taps*(channels+1), length*batch)
}

// pointwise is a convolution with a single tap.
//
//	x:      [inChannels, length, batch]
//	result: [channels, length, batch]
func pointwise(scope *model.Scope, x *Node, channels int) *Node {
	inChannels, length, batch := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	weights := kernelVariable(scope, channels, 1, inChannels).NodeValue(x)
	y := productAt(scope, Reshape(weights, channels, inChannels), Reshape(x, inChannels, length*batch))
	return Reshape(y, channels, length, batch)
}

// halve is a convolution of two taps at a stride of two.
//
//	x:      [inChannels, length, batch]
//	result: [channels, half's length, batch], zero on the gap
func (s signals) halve(scope *model.Scope, x *Node, channels int) *Node {
	inChannels, batch := x.Shape().Dim(0), x.Shape().Dim(2)
	x = Reshape(s.crop(x), inChannels, s.horizon/2, 2, batch)
	x = Reshape(TransposeAllAxes(x, 0, 2, 1, 3), 2*inChannels, s.horizon/2, batch)
	return s.half().extend(pointwise(scope, x, channels))
}

// double is a transposed convolution of two taps at a stride of two.
//
//	x:      [inChannels, half's length, batch]
//	result: [channels, length, batch], zero on the gap
func (s signals) double(scope *model.Scope, x *Node, channels int) *Node {
	batch := x.Shape().Dim(2)
	x = pointwise(scope, s.half().crop(x), 2*channels)
	x = TransposeAllAxes(Reshape(x, channels, 2, s.horizon/2, batch), 0, 2, 1, 3)
	return s.extend(Reshape(x, channels, s.horizon, batch))
}

func (s signals) half() signals { return signals{horizon: s.horizon / 2, gap: s.gap} }

// crop removes the gap.
//
//	result: [channels, horizon, batch]
func (s signals) crop(x *Node) *Node {
	return SliceAxis(x, 1, AxisRange(0, s.horizon))
}

// extend adds positions of zeros up to the length.
//
//	x:      [channels, at most length, batch]
//	result: [channels, length, batch]
func (s signals) extend(x *Node) *Node {
	missing := s.length() - x.Shape().Dim(1)
	if missing == 0 {
		return x
	}
	zeros := constant(x, 0, x.Shape().Dim(0), missing, x.Shape().Dim(2))
	return Concatenate([]*Node{x, zeros}, 1)
}
