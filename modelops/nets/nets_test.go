package nets

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
)

// tolerance is how far float32 results of two forms of a computation, or of two
// backends, may lie apart.
const tolerance = 1e-4

func near(within float64) cmp.Option { return cmpopts.EquateApprox(within, within) }

func TestMish(t *testing.T) {
	xs := []float32{-30, -3, -0.5, 0, 0.5, 3, 19, 30}
	var want, slopes []float32
	mish := func(x float64) float64 { return x * math.Tanh(math.Log1p(math.Exp(x))) }
	for _, x := range xs {
		x := float64(x)
		want = append(want, float32(mish(x)))
		slopes = append(slopes, float32((mish(x+1e-5)-mish(x-1e-5))/2e-5))
	}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		got := run(t, engine, model.NewStore(), func(_ *model.Scope, x []*Node) []*Node {
			y := Mish(x[0])
			return []*Node{y, Gradient(ReduceAllSum(y), x[0])[0]}
		}, tensors.FromFlatDataAndDimensions(xs, len(xs)))
		if diff := cmp.Diff([][]float32{want, slopes}, got, near(tolerance)); diff != "" {
			t.Errorf("value and slope (-want +got):\n%s", diff)
		}
	})
}

// TestConvolutionForms holds the two forms of the convolution equal on the
// horizon, and their gradients, and holds them to the definition.
func TestConvolutionForms(t *testing.T) {
	for _, size := range []struct{ in, out, horizon, gap, batch, taps int }{
		{in: 3, out: 4, horizon: 8, gap: 2, batch: 2, taps: 5},
		{in: 1, out: 1, horizon: 2, gap: 1, batch: 1, taps: 3},
		{in: 5, out: 2, horizon: 4, gap: 3, batch: 3, taps: 3},
		{in: 2, out: 3, horizon: 6, gap: 0, batch: 2, taps: 1},
	} {
		t.Run(fmt.Sprintf("%+v", size), func(t *testing.T) {
			s := signals{horizon: size.horizon, gap: size.gap}
			rng := rand.New(rand.NewPCG(1, 2))
			x := normal(rng, size.in, size.horizon, size.batch)
			weights := normal(rng, size.out, size.taps, size.in)
			weighting := normal(rng, size.out, size.horizon, size.batch)
			want := convolveSlowly(x, weights)
			backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
				results := func(form func(x, weights *Node) *Node) [][]float32 {
					return run(t, engine, model.NewStore(), func(_ *model.Scope, in []*Node) []*Node {
						y := s.crop(form(s.extend(in[0]), in[1]))
						loss := ReduceAllSum(Mul(y, in[2]))
						return append([]*Node{y}, Gradient(loss, in[0], in[1])...)
					}, x, weights, weighting)
				}
				native := results(convolveNatively)
				if diff := cmp.Diff(want, native[0], near(tolerance)); diff != "" {
					t.Errorf("native form (-want +got):\n%s", diff)
				}
				for name, form := range map[string]func(x, weights *Node) *Node{"product": convolveByProduct, "forward": convolveForwards} {
					if diff := cmp.Diff(native, results(form), near(tolerance)); diff != "" {
						t.Errorf("value and gradients of the %s form (-native +%s):\n%s", name, name, diff)
					}
				}
			})
		})
	}
}

// convolveSlowly is the definition of a convolution with zeros beyond the ends.
func convolveSlowly(x, weights *tensors.Tensor) []float32 {
	in, horizon, batch := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	out, taps := weights.Shape().Dim(0), weights.Shape().Dim(1)
	xs, ws := tensors.MustCopyFlatData[float32](x), tensors.MustCopyFlatData[float32](weights)
	y := make([]float32, out*horizon*batch)
	for i := range y {
		o, h, b := i/(horizon*batch), i/batch%horizon, i%batch
		for tap := range taps {
			for c := range in {
				if at := h + tap - taps/2; at >= 0 && at < horizon {
					y[i] += ws[(o*taps+tap)*in+c] * xs[(c*horizon+at)*batch+b]
				}
			}
		}
	}
	return y
}

func TestGroupNorm(t *testing.T) {
	s := signals{horizon: 5, gap: 2}
	const channels, groups, batch = 6, 3, 2
	x := normal(rand.New(rand.NewPCG(3, 4)), channels, s.horizon, batch)
	xs := tensors.MustCopyFlatData[float32](x)
	want := make([]float32, len(xs))
	for group := range groups {
		for b := range batch {
			var members []int
			for i := range xs {
				if i/(s.horizon*batch)/(channels/groups) == group && i%batch == b {
					members = append(members, i)
				}
			}
			mean, variance := moments(xs, members)
			for _, i := range members {
				want[i] = float32((float64(xs[i]) - mean) / math.Sqrt(variance+groupNormEpsilon))
			}
		}
	}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		got := run(t, engine, model.NewStore(), func(scope *model.Scope, in []*Node) []*Node {
			// Whatever stands on the gap is left out, and replaced by zeros.
			dirty := Concatenate([]*Node{in[0], OnesLike(SliceAxis(in[0], 1, AxisRange(0, s.gap)))}, 1)
			y := s.groupNorm(scope, dirty, groups, nil)
			return []*Node{s.crop(y), ReduceAllSum(Abs(SliceAxis(y, 1, AxisRange(s.horizon))))}
		}, x)
		if diff := cmp.Diff([][]float32{want, {0}}, got, near(tolerance)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func moments(xs []float32, members []int) (mean, variance float64) {
	for _, i := range members {
		mean += float64(xs[i]) / float64(len(members))
	}
	for _, i := range members {
		variance += (float64(xs[i]) - mean) * (float64(xs[i]) - mean) / float64(len(members))
	}
	return mean, variance
}

func TestMLP(t *testing.T) {
	cfg := MLPConfig{Inputs: 2, Hidden: 3, Layers: 2, Outputs: 1, Activation: "relu"}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		store := model.NewStore()
		for path, value := range map[string]*tensors.Tensor{
			"/hidden_0/weights": tensors.FromValue([][]float32{{1, -1, 2}, {0, 1, 1}}),
			"/hidden_0/bias":    tensors.FromValue([]float32{0, 1, -1}),
			"/output/weights":   tensors.FromValue([][]float32{{1}, {2}, {3}}),
			"/output/bias":      tensors.FromValue([]float32{0.5}),
		} {
			if _, err := store.CreateVariable(path, value); err != nil {
				t.Fatal(err)
			}
		}
		got := run(t, engine, store, func(scope *model.Scope, x []*Node) []*Node {
			return []*Node{MLP(scope, cfg, x[0])}
		}, tensors.FromValue([][]float32{{1, 2}, {-1, 0}}))
		if diff := cmp.Diff([][]float32{{1 + 2*2 + 3*3 + 0.5, 2*2 + 0.5}}, got, near(tolerance)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestMLPJacobian holds the derivatives equal to those that GoMLX finds.
func TestMLPJacobian(t *testing.T) {
	const n = 5
	for activation := range activations {
		for _, layers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d layers", activation, layers), func(t *testing.T) {
				cfg := MLPConfig{Inputs: 3, Hidden: 6, Layers: layers, Outputs: 2, Activation: activation}
				x := normal(rand.New(rand.NewPCG(3, 1)), n, cfg.Inputs)
				backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
					got := run(t, engine, model.NewStore(), func(scope *model.Scope, in []*Node) (out []*Node) {
						y := MLP(scope, cfg, in[0])
						out = append(out, y)
						for i := range cfg.Outputs {
							out = append(out, Gradient(ReduceAllSum(Slice(y, AxisRange(), AxisElem(i))), in[0])[0])
						}
						again, jacobian := MLPJacobian(scope, cfg, in[0])
						return append(append(out, again), jacobian...)
					}, x)
					if diff := cmp.Diff(got[:3], got[3:], near(tolerance)); diff != "" {
						t.Errorf("outputs and derivatives (-by GoMLX +by hand):\n%s", diff)
					}
				})
			})
		}
	}
}

func TestConfigs(t *testing.T) {
	good := smallNet(16)
	for name, broken := range map[string]func(*UNetConfig){
		"no states":        func(c *UNetConfig) { c.StateDim = 0 },
		"even kernel":      func(c *UNetConfig) { c.Kernel = 4 },
		"odd channels":     func(c *UNetConfig) { c.Channels = 7 },
		"uneven groups":    func(c *UNetConfig) { c.Groups = 3 },
		"no levels":        func(c *UNetConfig) { c.Multipliers = nil },
		"horizon of one":   func(c *UNetConfig) { c.Horizon = 1 },
		"empty level":      func(c *UNetConfig) { c.Multipliers = []int{1, 0} },
		"groups forgotten": func(c *UNetConfig) { c.Groups = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			broken(&cfg)
			if cfg.Validate() == nil {
				t.Errorf("no error for %+v", cfg)
			}
		})
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if (MLPConfig{Inputs: 1, Hidden: 1, Layers: 1, Outputs: 1, Activation: "step"}).Validate() == nil {
		t.Error("no error for an unknown activation")
	}
}

func smallNet(horizon int) UNetConfig {
	return UNetConfig{
		StateDim: 3, ConditionDim: 4, Horizon: horizon, Channels: 4,
		Multipliers: []int{1, 2}, Kernel: 5, Groups: 2, WithReturn: true,
	}
}

// TestUNetGradient holds the gradient by all weights to a difference of losses
// on pure Go, for horizons that are and aren't a multiple of the down-sampling.
func TestUNetGradient(t *testing.T) {
	for _, horizon := range []int{8, 11} {
		cfg := smallNet(horizon)
		t.Run(fmt.Sprint(horizon), func(t *testing.T) {
			store := seededStore(t)
			const stride = 2e-3
			got := run(t, backendtest.Open(t, backend.Go), store, func(scope *model.Scope, in []*Node) []*Node {
				loss := func() *Node { return ReduceAllMean(Square(UNet(scope, cfg, unetInputs(in)))) }
				gradients := scope.BuildTrainableVariablesGradientsGraph(loss())
				slope := ScalarZero(in[0].Graph(), in[0].DType())
				for _, gradient := range gradients {
					slope = Add(slope, ReduceAllSum(Square(gradient)))
				}
				length := Sqrt(slope)
				ahead, behind := movedLoss(scope, gradients, length, stride, loss), movedLoss(scope, gradients, length, -stride, loss)
				return []*Node{length, DivScalar(Sub(ahead, behind), 2*stride)}
			}, unetArguments(cfg, 2)...)
			if diff := cmp.Diff(got[0], got[1], near(0.01)); diff != "" {
				t.Errorf("the gradient's length, and the slope along it (-want +got):\n%s", diff)
			}
		})
	}
}

// movedLoss is the loss with the weights moved along the gradients.
func movedLoss(scope *model.Scope, gradients []*Node, length *Node, distance float64, loss func() *Node) *Node {
	var variables []*model.Variable
	for variable := range scope.IterVariables() {
		if variable.Trainable && variable.InUseByGraph(length.Graph()) {
			variables = append(variables, variable)
		}
	}
	before := make([]*Node, len(variables))
	for i, variable := range variables {
		before[i] = variable.NodeValue(length)
		variable.SetNodeValue(Add(before[i], MulScalar(Div(gradients[i], length), distance)))
	}
	moved := loss()
	for i, variable := range variables {
		variable.SetNodeValue(before[i])
	}
	return moved
}

// TestUNetBackends holds the whole net and its gradients equal on both backends.
func TestUNetBackends(t *testing.T) {
	cfg := smallNet(11)
	in := unetArguments(cfg, 3)
	results := map[string][][]float32{}
	for _, name := range []string{backend.Go, backend.XLA} {
		engine := backendtest.Open(t, name)
		results[name] = run(t, engine, fixedStore(t, cfg), func(scope *model.Scope, in []*Node) []*Node {
			y := UNet(scope, cfg, unetInputs(in))
			loss := ReduceAllMean(Square(y))
			return append([]*Node{y}, scope.BuildTrainableVariablesGradientsGraph(loss)...)
		}, in...)
	}
	if diff := cmp.Diff(results[backend.Go], results[backend.XLA], near(tolerance)); diff != "" {
		t.Errorf("(-go +xla):\n%s", diff)
	}
}

func unetArguments(cfg UNetConfig, batch int) []*tensors.Tensor {
	rng := rand.New(rand.NewPCG(5, 6))
	steps, guided := make([]int32, batch), make([]float32, batch)
	for i := range batch {
		steps[i], guided[i] = rng.Int32N(100), float32(i%2)
	}
	return []*tensors.Tensor{
		normal(rng, batch, cfg.Horizon, cfg.StateDim), normal(rng, batch, cfg.Horizon, cfg.ConditionDim),
		tensors.FromValue(steps), normal(rng, batch), tensors.FromValue(guided),
	}
}

func unetInputs(in []*Node) UNetInputs {
	return UNetInputs{X: in[0], Condition: in[1], Step: in[2], Return: in[3], Guided: in[4]}
}

// fixedStore holds a net with weights that are the same on every backend.
func fixedStore(t *testing.T, cfg UNetConfig) *model.Store {
	t.Helper()
	engine, drawn, fixed := backendtest.Open(t, backend.Go), seededStore(t), model.NewStore()
	run(t, engine, drawn, func(scope *model.Scope, in []*Node) []*Node {
		return []*Node{UNet(scope, cfg, unetInputs(in))}
	}, unetArguments(cfg, 1)...)
	for variable := range drawn.IterVariables() {
		value, err := variable.MustValue().LocalClone()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fixed.CreateVariable(variable.Path(), value); err != nil {
			t.Fatal(err)
		}
	}
	return fixed
}

func seededStore(t *testing.T) *model.Store {
	t.Helper()
	store := model.NewStore()
	if err := store.SetRNGStateFromSeed(1); err != nil {
		t.Fatal(err)
	}
	return store
}

func normal(rng *rand.Rand, dims ...int) *tensors.Tensor {
	size := 1
	for _, dim := range dims {
		size *= dim
	}
	values := make([]float32, size)
	for i := range values {
		values[i] = float32(rng.NormFloat64())
	}
	return tensors.FromFlatDataAndDimensions(values, dims...)
}

// run executes a graph and returns its results as flat arrays.
func run(t *testing.T, engine compute.Backend, store *model.Store,
	build func(scope *model.Scope, in []*Node) []*Node, in ...*tensors.Tensor) [][]float32 {
	t.Helper()
	exec, err := model.NewExec(engine, store, build)
	if err != nil {
		t.Fatal(err)
	}
	arguments := make([]any, len(in))
	for i, tensor := range in {
		local, err := tensor.LocalClone() // a tensor stays with its first backend
		if err != nil {
			t.Fatal(err)
		}
		arguments[i] = local
	}
	var results [][]float32
	err = backend.Serialize(engine, func() error {
		outputs, err := exec.Exec(arguments...)
		for _, output := range outputs {
			results = append(results, tensors.MustCopyFlatData[float32](output))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return results
}
