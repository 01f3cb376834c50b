// Package nets builds the networks of DiffStitch as GoMLX graphs: the temporal
// U-Net that denoises states (section 3.2 of the paper, after Janner et al.'s
// Diffuser), the multi-layer perceptrons for actions, rewards and dynamics (section
// 3.3), and the residual perceptron of SynthER. What they are trained to predict is
// said by the packages diffusion, edm, cvae and training.
//
// Layers are written in the form that is fast on the graph's backend; the forms
// agree in their results.
package nets

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"
)

// MLPConfig is the shape of a multi-layer perceptron.
type MLPConfig struct {
	Inputs     int    `json:"inputs"`
	Hidden     int    `json:"hidden"`
	Layers     int    `json:"layers"` // linear layers, the output's included
	Outputs    int    `json:"outputs"`
	Activation string `json:"activation"` // relu, swish or mish
}

// Validate tells what is wrong with the configuration.
func (c MLPConfig) Validate() error {
	if c.Inputs < 1 || c.Hidden < 1 || c.Layers < 1 || c.Outputs < 1 {
		return fmt.Errorf("nets: MLP: inputs, hidden, layers and outputs must be positive: %+v", c)
	}
	if _, ok := activations[c.Activation]; !ok {
		return fmt.Errorf("nets: MLP: unknown activation %q: it is relu, swish or mish", c.Activation)
	}
	return nil
}

// activations by their names in a configuration.
var activations = map[string]func(*Node) *Node{
	"relu":  func(x *Node) *Node { return Max(x, scalar(x, 0)) },
	"swish": func(x *Node) *Node { return Mul(x, Logistic(x)) },
	"mish":  Mish,
}

// slopes are the activations' derivatives.
var slopes = map[string]func(*Node) *Node{
	"relu": func(x *Node) *Node { return ConvertDType(GreaterThan(x, scalar(x, 0)), x.DType()) },
	"swish": func(x *Node) *Node {
		share := Logistic(x)
		return Add(share, Mul(Mul(x, share), Sub(scalar(x, 1), share)))
	},
	"mish": mishSlope,
}

// MLP is a perceptron with the activation between its linear layers.
//
//	x:      [n, inputs]
//	result: [n, outputs]
func MLP(scope *model.Scope, cfg MLPConfig, x *Node) *Node {
	check(cfg.Validate())
	x.AssertDims(-1, cfg.Inputs)
	activate := activations[cfg.Activation]
	for layer := range cfg.Layers - 1 {
		x = activate(Dense(scope.At("hidden_%d", layer), x, cfg.Hidden))
	}
	return Dense(scope.At("output"), x, cfg.Outputs)
}

// MLPJacobian is MLP and the derivatives of its outputs.
//
//	x:        [n, inputs]
//	y:        [n, outputs]
//	jacobian: [outputs][n, inputs], the derivatives of each output
func MLPJacobian(scope *model.Scope, cfg MLPConfig, x *Node) (y *Node, jacobian []*Node) {
	check(cfg.Validate())
	x.AssertDims(-1, cfg.Inputs)
	n := x.Shape().Dim(0)
	var weights, steep []*Node // of the hidden layers
	for layer := range cfg.Layers - 1 {
		hidden := scope.At("hidden_%d", layer)
		weights = append(weights, weightVariable(hidden, x.Shape().Dim(-1), cfg.Hidden).NodeValue(x))
		x = Dense(hidden, x, cfg.Hidden)
		steep = append(steep, slopes[cfg.Activation](x))
		x = activations[cfg.Activation](x)
	}
	last := weightVariable(scope.At("output"), x.Shape().Dim(-1), cfg.Outputs).NodeValue(x)
	y = Dense(scope.At("output"), x, cfg.Outputs)
	for output := range cfg.Outputs {
		row := Reshape(Slice(last, AxisRange(), AxisElem(output)), 1, -1)
		slope := Dot(constant(x, 1, n, 1), row).Product() // [n, hidden], then of the layers before
		for layer := len(weights) - 1; layer >= 0; layer-- {
			slope = Einsum("nh,ih->ni", Mul(slope, steep[layer]), weights[layer])
		}
		jacobian = append(jacobian, slope)
	}
	return y, jacobian
}

// Dense is a linear layer with a bias.
//
//	x:      [n, inputs]
//	result: [n, outputs]
func Dense(scope *model.Scope, x *Node, outputs int) *Node {
	return addRow(linear(scope, x, outputs), biasVariable(scope, outputs).NodeValue(x))
}

// linear is a product with a weight matrix.
//
//	x:      [n, inputs]
//	result: [n, outputs]
func linear(scope *model.Scope, x *Node, outputs int) *Node {
	weights := weightVariable(scope, x.Shape().Dim(-1), outputs)
	return Dot(x, weights.NodeValue(x)).Product()
}

func weightVariable(scope *model.Scope, dims ...int) *model.Variable {
	return scope.WithInitializer(initializer.XavierUniformFn(scope)).
		VariableWithShape("weights", shapes.Make(dtypes.Float32, dims...))
}

func biasVariable(scope *model.Scope, dims ...int) *model.Variable {
	return scope.WithInitializer(initializer.Zero).
		VariableWithShape("bias", shapes.Make(dtypes.Float32, dims...))
}

// check panics on a wrong configuration, as graph building does.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
