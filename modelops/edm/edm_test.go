package edm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/nets"
	"diffstitch/modelops/random"
)

func near(a, b, within float64) bool { return math.Abs(a-b) <= within*max(1, math.Abs(a), math.Abs(b)) }

// TestPreconditioning holds the coefficients to what appendix B.6 asks of them.
func TestPreconditioning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sigma := rapid.Float64Range(1e-3, 100).Draw(t, "sigma")
		c := at(sigma)
		const data = dataDeviation
		if variance := c.in * c.in * (data*data + sigma*sigma); !near(variance, 1, 1e-12) {
			t.Errorf("σ=%g: the net's input has variance %g", sigma, variance)
		}
		left := 1 - c.skip // of the clean row, what the net has to put out
		if variance := (left*left*data*data + c.skip*c.skip*sigma*sigma) / (c.out * c.out); !near(variance, 1, 1e-12) {
			t.Errorf("σ=%g: the net's target has variance %g", sigma, variance)
		}
		// skip is the one that amplifies the net's errors least.
		amplified := func(skip float64) float64 {
			return (1-skip)*(1-skip)*data*data + skip*skip*sigma*sigma
		}
		if other := c.skip + rapid.Float64Range(-0.1, 0.1).Draw(t, "off"); amplified(other) < amplified(c.skip)-1e-12 {
			t.Errorf("σ=%g: skip %g amplifies errors less than %g", sigma, other, c.skip)
		}
	})
}

// TestNoiseGivesTheCleanRowBack: the denoiser that puts out the target is exact.
func TestNoiseGivesTheCleanRowBack(t *testing.T) {
	const rows = 20_000
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		clean := []float32{0.5, -2, 3}
		exec := MustNewExec(engine, func(state, clean *Node) []*Node {
			input, level, target := Noise(random.NewDraws(state), clean)
			return []*Node{input, level, target}
		})
		state := random.State(rand.New(rand.NewPCG(1, 2)))
		results := exec.MustCall(tensors.FromFlatDataAndDimensions(state, len(state)), tensors.FromFlatDataAndDimensions(slices.Repeat(clean, rows), rows, len(clean)))
		input, level, target := tensors.MustCopyFlatData[float32](results[0]), tensors.MustCopyFlatData[float32](results[1]), tensors.MustCopyFlatData[float32](results[2])
		var logs []float64
		for row := range level {
			c := at(math.Exp(4 * float64(level[row])))
			logs = append(logs, math.Log(c.sigma))
			for i, v := range clean {
				at := row*len(clean) + i
				if denoised := c.skip*float64(input[at])/c.in + c.out*float64(target[at]); !near(denoised, float64(v), 1e-3*max(1, c.sigma)) {
					t.Fatalf("σ=%g: value %d is %g, want %g", c.sigma, i, denoised, v)
				}
			}
		}
		if mean, deviation := stat.MeanStdDev(logs, nil); !near(mean, logMean, 0.03) || !near(deviation, logDeviation, 0.03) {
			t.Errorf("ln σ is %.3f ± %.3f, want %g ± %g", mean, deviation, logMean, logDeviation)
		}
	})
}

func TestMoves(t *testing.T) {
	for _, steps := range []int{2, 18, 128} {
		sigmas, list := levels(steps), moves(steps)
		if !near(sigmas[0], mostNoise, 1e-9) || !near(sigmas[steps-1], leastNoise, 1e-9) || sigmas[steps] != 0 {
			t.Errorf("%d steps from %g to %g and %g", steps, sigmas[0], sigmas[steps-1], sigmas[steps])
		}
		for i, m := range list {
			gamma := m.hat.sigma/sigmas[i] - 1
			if sigmas[i+1] >= sigmas[i] || !near(m.hat.sigma+m.size, sigmas[i+1], 1e-9) {
				t.Errorf("%d steps: step %d goes from %g to %g", steps, i, sigmas[i], m.hat.sigma+m.size)
			}
			if within := sigmas[i] >= churnFrom && sigmas[i] <= churnTo; within != (m.churn > 0) || gamma > math.Sqrt2-1+1e-9 {
				t.Errorf("%d steps: at σ=%g noise of %g is added (γ %g)", steps, sigmas[i], m.churn, gamma)
			}
			if (m.second == 0) != (i == steps-1) {
				t.Errorf("%d steps: step %d corrects by %g", steps, i, m.second)
			}
		}
	}
}

// gaussian is the net whose denoiser is exact for data that is N(mean, deviation²):
// D(x; σ) = (deviation²·x + σ²·mean)/(deviation² + σ²).
func gaussian(mean, deviation float64) func(x, level *Node) *Node {
	return func(x, level *Node) *Node {
		number := func(v float64) *Node { return Const(x.Graph(), float32(v)) }
		square := Exp(MulScalar(Reshape(level), 8)) // σ²
		total := Add(square, number(dataDeviation*dataDeviation))
		noisy := Mul(x, Sqrt(total))
		variance := number(deviation * deviation)
		denoised := Div(Add(Mul(noisy, variance), Mul(square, number(mean))), Add(square, variance))
		out := Sqrt(Div(square, total)) // σ_data is 1
		return Div(Sub(denoised, Div(noisy, total)), out)
	}
}

// TestHeunSamplesAGaussian recovers a known distribution from its own denoiser,
// with and without enough steps for the noise that is added to matter.
func TestHeunSamplesAGaussian(t *testing.T) {
	const rows, dim, mean, deviation = 2000, 2, 0.7, 0.4
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		for _, steps := range []int{32, 128} {
			seeds := make([]uint64, rows)
			for i := range seeds {
				seeds[i] = uint64(i) * 7919
			}
			exec := model.MustNewExec(engine, model.NewStore(), func(_ *model.Scope, noise *Node) *Node {
				return (&process{steps: steps, net: gaussian(mean, deviation)}).run(noise)
			})
			noise := tensors.FromFlatDataAndDimensions(Draw(seeds, rows, dim, steps), steps+1, rows, dim)
			sampled := tensors.MustCopyFlatData[float32](exec.MustCall(noise)[0])
			columns := make([][]float64, dim)
			for i, v := range sampled {
				columns[i%dim] = append(columns[i%dim], float64(v))
			}
			for i, column := range columns {
				if m, d := stat.MeanStdDev(column, nil); !near(m, mean, 0.03) || !near(d, deviation, 0.03) {
					t.Errorf("%d steps: column %d is %.3f ± %.3f, want %g ± %g", steps, i, m, d, mean, deviation)
				}
			}
			if r := stat.Correlation(columns[0], columns[1], nil); math.Abs(r) > 0.07 {
				t.Errorf("%d steps: independent columns correlate by %.3f", steps, r)
			}
		}
	})
}

// TestRowsDependOnTheirSeedAlone: neither the rows beside one nor padding matter.
func TestRowsDependOnTheirSeedAlone(t *testing.T) {
	const dim, steps = 3, 4
	all, one := Draw([]uint64{5, 6, 7}, 4, dim, steps), Draw([]uint64{6}, 2, dim, steps)
	for step := range steps + 1 {
		for i := range dim {
			if all[(step*4+1)*dim+i] != one[step*2*dim+i] {
				t.Fatalf("step %d: value %d of the noise differs", step, i)
			}
			if all[(step*4+3)*dim+i] != 0 {
				t.Fatalf("step %d: padding has noise", step)
			}
		}
	}
}

// TestSampleRunsTheNet: a net in a loop agrees with itself on both backends, and
// its weights matter.
func TestSampleRunsTheNet(t *testing.T) {
	const rows, steps = 4, 5
	cfg := Config{Net: nets.ResidualConfig{Dim: 3, Width: 8, Depth: 2, Embedding: 6}, Steps: steps}
	var before []float32
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		store := model.NewStore()
		if err := store.SetRNGStateFromSeed(3); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(3, 4))
		init := model.MustNewExec(engine, store, func(scope *model.Scope, x, level *Node) *Node {
			return nets.Residual(scope.At("net"), cfg.Net, x, level)
		})
		init.MustCall(make2D(1, 3), []float32{0.5})
		for v := range store.IterVariables() { // the same weights on both
			if v.Shape().DType.IsFloat() {
				values := make([]float32, v.Shape().Size())
				for i := range values {
					values[i] = float32(rng.NormFloat64()) / 3
				}
				if err := v.SetValue(tensors.FromFlatDataAndDimensions(values, v.Shape().Dimensions...)); err != nil {
					t.Fatal(err)
				}
			}
		}
		exec := model.MustNewExec(engine, store, func(scope *model.Scope, noise *Node) *Node {
			return Sample(scope.At("net"), cfg, noise)
		})
		noise := tensors.FromFlatDataAndDimensions(Draw([]uint64{1, 2, 3, 4}, rows, 3, steps), steps+1, rows, 3)
		got := tensors.MustCopyFlatData[float32](exec.MustCall(noise)[0])
		if before == nil {
			before = got
		}
		for i := range got {
			if !near(float64(got[i]), float64(before[i]), 1e-3) || math.IsNaN(float64(got[i])) {
				t.Errorf("value %d is %g, on the first backend %g", i, got[i], before[i])
			}
		}
	})
}

func make2D(rows, columns int) [][]float32 {
	values := make([][]float32, rows)
	for i := range values {
		values[i] = make([]float32, columns)
	}
	return values
}

func TestValidate(t *testing.T) {
	good := Config{Net: nets.ResidualConfig{Dim: 3, Width: 8, Depth: 2, Embedding: 6}, Steps: 4}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"steps": func(c *Config) { c.Steps = 1 },
		"width": func(c *Config) { c.Net.Width = 0 },
		"depth": func(c *Config) { c.Net.Depth = -1 },
	} {
		bad := good
		change(&bad)
		if bad.Validate() == nil {
			t.Errorf("%s: nothing is wrong with %+v", name, bad)
		}
	}
}
