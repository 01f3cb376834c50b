package learners

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/training/execution"
)

// toyData is n transitions of random values, in episodes of four, of which every
// second one is augmented.
func toyData(n int) *Data {
	rng := rand.New(rand.NewPCG(1, 2))
	d := &Data{ObservationDim: 3, ActionDim: 2, Terminals: make([]bool, n), Augmented: make([]bool, n)}
	values := func(count int) []float32 {
		list := make([]float32, count)
		for i := range list {
			list[i] = float32(2*rng.Float64() - 1)
		}
		return list
	}
	d.Observations, d.Next, d.Actions, d.Rewards = values(3*n), values(3*n), values(2*n), values(n)
	for row := range n {
		if row%4 == 0 {
			d.Starts = append(d.Starts, row)
		}
		d.Augmented[row] = row%8 >= 4
		d.Terminals[row] = row%4 == 3
	}
	return d
}

// toyConfig is a learner of small nets.
func toyConfig(t testing.TB, learner Learner, seeds ...uint64) Config {
	t.Helper()
	cfg, err := Preset(learner, "")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Seeds, cfg.Batch, cfg.Steps, cfg.SaveEvery = seeds, 8, 20, 10
	if cfg.IQL != nil {
		cfg.IQL.Hidden, cfg.IQL.ActorDropout = 8, 0.1
	}
	if cfg.TD3BC != nil {
		cfg.TD3BC.Hidden = 8
	}
	if cfg.DT != nil {
		cfg.DT.Context, cfg.DT.Layers, cfg.DT.Width, cfg.DT.EpisodeSteps, cfg.DT.WarmupSteps = 3, 1, 8, 10, 5
	}
	return cfg
}

// once runs a graph and gives its outputs.
func once(t *testing.T, engine compute.Backend, build func(inputs []*Node) []*Node, inputs ...*tensors.Tensor) [][]float32 {
	t.Helper()
	exec, err := model.NewExec(engine, model.NewStore(), func(_ *model.Scope, inputs []*Node) []*Node { return build(inputs) })
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	outputs, err := execution.Run(engine, exec, inputs...)
	if err != nil {
		t.Fatal(err)
	}
	var flat [][]float32
	for _, output := range outputs {
		values, err := execution.Copy(output)
		if err != nil {
			t.Fatal(err)
		}
		flat = append(flat, values)
	}
	return flat
}

// near is whether values agree but for rounding.
func near(got, want []float32, tolerance float64) bool {
	return slices.EqualFunc(got, want, func(a, b float32) bool {
		return math.Abs(float64(a)-float64(b)) <= tolerance*max(1, math.Abs(float64(b)))
	})
}
