package diffusion

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/nets"
)

func BenchmarkForward(b *testing.B) {
	forEachShape(b, func(b *testing.B, engine compute.Backend, cfg Config, batch int) {
		store := newStore()
		exec := newExec(b, engine, store, func(scope *model.Scope, states, mask, noise, step *Node) *Node {
			return predictNoise(scope.At("denoiser"), cfg, noise, condition(cfg.Conditioning, states, mask), Batch{Mask: mask, Step: step})
		})
		examples := randomExamples(cfg, batch, 1)
		run := func() { runExec(b, engine, exec, examples.arguments()...) }
		run()
		for b.Loop() {
			run()
		}
		b.ReportMetric(float64(batch)*float64(b.N)/b.Elapsed().Seconds(), "windows/s")
	})
}

// forEachShape runs a benchmark for the nets of the presets.
func forEachShape(b *testing.B, run func(b *testing.B, engine compute.Backend, cfg Config, batch int)) {
	for _, name := range []string{backend.Go, backend.XLA} {
		for _, channels := range []int{16, 32} {
			for _, batch := range []int{32, 64, 256} {
				b.Run(fmt.Sprintf("%s/channels=%d/batch=%d", name, channels, batch), func(b *testing.B) {
					run(b, backendtest.Open(b, name), testConfig(11, 32, channels), batch)
				})
			}
		}
	}
}

// testConfig is a denoiser with three levels.
func testConfig(stateDim, horizon, channels int) Config {
	unet := nets.UNetConfig{
		StateDim: stateDim, Horizon: horizon, Channels: channels,
		Multipliers: []int{1, 2, 4}, Kernel: 5, Groups: 8,
	}
	return NewConfig(unet, Config{DenoisingSteps: 100, Conditioning: ConditionInterpolated, Masks: TwoHidden})
}

// newStore is a store whose weights start the same each time.
func newStore() *model.Store {
	store := model.NewStore()
	if err := store.SetRNGStateFromSeed(1); err != nil {
		panic(err)
	}
	return store
}

// examples is a batch as flat arrays.
type examples struct {
	batch, horizon, stateDim int
	states, mask, noise      []float32
	steps                    []int32
}

func randomExamples(cfg Config, batch int, seed uint64) examples {
	rng := rand.New(rand.NewPCG(seed, 0))
	e := examples{batch: batch, horizon: cfg.UNet.Horizon, stateDim: cfg.UNet.StateDim}
	size := batch * e.horizon * e.stateDim
	e.states, e.noise = make([]float32, size), make([]float32, size)
	for i := range size {
		e.states[i], e.noise[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	for range batch {
		known := 1 + rng.IntN(e.horizon-1)
		e.mask = append(e.mask, slices.Repeat([]float32{1}, known)...)
		e.mask = append(e.mask, make([]float32, e.horizon-known)...)
		e.steps = append(e.steps, rng.Int32N(int32(cfg.DenoisingSteps)))
	}
	return e
}

// arguments are states, mask, noise and step as tensors.
func (e examples) arguments() []any {
	return []any{
		tensors.FromFlatDataAndDimensions(e.states, e.batch, e.horizon, e.stateDim),
		tensors.FromFlatDataAndDimensions(e.mask, e.batch, e.horizon),
		tensors.FromFlatDataAndDimensions(e.noise, e.batch, e.horizon, e.stateDim),
		tensors.FromFlatDataAndDimensions(e.steps, e.batch),
	}
}

// trainer runs training steps with Adam.
type trainer struct {
	engine compute.Backend
	store  *model.Store
	exec   *model.Exec
}

func newTrainer(t testing.TB, engine compute.Backend, cfg Config) *trainer {
	t.Helper()
	tr := &trainer{engine: engine, store: newStore()}
	tr.exec = newExec(t, engine, tr.store, func(scope *model.Scope, states, mask, noise, step *Node) *Node {
		loss := Loss(scope.At("denoiser"), cfg, Batch{States: states, Mask: mask, Noise: noise, Step: step})
		optimizer.Adam().LearningRate(2e-3).Done().UpdateGraph(scope, loss.Graph(), loss)
		return loss
	})
	return tr
}

// step takes one training step and returns its loss.
func (tr *trainer) step(t testing.TB, e examples) float32 {
	t.Helper()
	return tensors.ToScalar[float32](runExec(t, tr.engine, tr.exec, e.arguments()...))
}

func newExec[F model.ExecGraphFn](t testing.TB, engine compute.Backend, store *model.Store, build F) *model.Exec {
	t.Helper()
	exec, err := model.NewExec(engine, store, build)
	if err != nil {
		t.Fatal(err)
	}
	return exec
}

// runExec runs a graph of one result.
func runExec(t testing.TB, engine compute.Backend, exec *model.Exec, arguments ...any) *tensors.Tensor {
	t.Helper()
	return runAll(t, engine, exec, arguments...)[0]
}

func runAll(t testing.TB, engine compute.Backend, exec *model.Exec, arguments ...any) []*tensors.Tensor {
	t.Helper()
	var results []*tensors.Tensor
	err := backend.Serialize(engine, func() (err error) {
		results, err = exec.Exec(arguments...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// local copies a tensor, which stays with the first backend that has it.
func local(t testing.TB, tensor *tensors.Tensor) *tensors.Tensor {
	t.Helper()
	clone, err := tensor.LocalClone()
	if err != nil {
		t.Fatal(err)
	}
	return clone
}
