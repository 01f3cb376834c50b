package learners

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/random"
)

// goldenFile holds what two updates make of each learner's arrays in PyTorch:
// tools/golden/learners.py writes it. Arrays, batches and noise begin as waves.
const goldenFile = "testdata/updates.json"

const goldenSeeds, goldenBatch = 2, 4

// wave is the k-th made-up array.
func wave(k int, dims ...int) *tensors.Tensor {
	t := zeros("", dims...)
	for j := range t.Data {
		t.Data[j] = float32(0.4 * math.Sin(1.7*float64(k)+0.9*float64(j)+1))
	}
	return tensors.FromFlatDataAndDimensions(t.Data, dims...)
}

// step is what makes the k-th update of a learner from made-up inputs.
type step func(u *update, inputs []*Node)

func TestGoldenUpdates(t *testing.T) {
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]map[string][]float32
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	r := replay{observationDim: 3, actionDim: 2}
	gaussian, deterministic := goldenConfig(t, IQL), goldenConfig(t, IQL)
	deterministic.IQL.Deterministic = true
	iqlStep := func(cfg Config) step {
		return func(u *update, in []*Node) { newIQL(cfg, r).learn(u, transitionsOf(in), nil) }
	}
	dtStep := func(largest int) step {
		return func(u *update, in []*Node) { newDT(goldenConfig(t, DT), r).learn(u, contextsOf(in), nil, largest) }
	}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		for _, tc := range []struct {
			name   string
			cfg    Config
			inputs []*tensors.Tensor
			step   step
		}{
			{"iql", gaussian, goldenBatches(), iqlStep(gaussian)},
			{"iql_deterministic", deterministic, goldenBatches(), iqlStep(deterministic)},
			{"td3bc", goldenConfig(t, TD3BC), goldenBatches(), func(u *update, in []*Node) {
				newTD3BC(goldenConfig(t, TD3BC), r).learn(u, transitionsOf(in), in[5])
			}},
			{"dt", goldenConfig(t, DT), goldenContexts(), dtStep(goldenBatch)},
			{"dt", goldenConfig(t, DT), goldenContexts(), dtStep(goldenBatch - 1)}, // in two parts
		} {
			t.Run(tc.name, func(t *testing.T) {
				got := twoUpdates(t, engine, newAlgorithm(tc.cfg, r), tc.inputs, tc.step)
				for name, want := range golden[tc.name] {
					if !near(got[name], want, 2e-5) {
						t.Errorf("%s (-want +got):\n%v\n%v", name, want, got[name])
					}
				}
				if len(got) != len(golden[tc.name]) {
					t.Errorf("%d arrays, want %d", len(got), len(golden[tc.name]))
				}
			})
		}
	})
}

// goldenConfig has numbers that show: tools/golden/learners.py has the same.
func goldenConfig(t *testing.T, learner Learner) Config {
	cfg := toyConfig(t, learner, 1, 2)
	cfg.Batch, cfg.Steps, cfg.LearningRate = goldenBatch, 6, 0.01
	switch learner {
	case IQL:
		cfg.IQL.Hidden, cfg.IQL.Tau = 5, 0.1
	case TD3BC:
		cfg.TD3BC.Hidden, cfg.TD3BC.Tau = 5, 0.1
	case DT:
		cfg.DT.Context, cfg.DT.Layers, cfg.DT.Width, cfg.DT.EpisodeSteps, cfg.DT.WarmupSteps = 3, 2, 4, 3, 4
		cfg.DT.GradientClip, cfg.DT.WeightDecay = 0.01, 0.1
	}
	return cfg
}

// goldenBatches is the inputs of two updates: observations, actions, rewards, alive,
// next, noise.
func goldenBatches() []*tensors.Tensor {
	var inputs []*tensors.Tensor
	for k := range 2 {
		inputs = append(inputs,
			wave(100+10*k, goldenSeeds, goldenBatch, 3), wave(101+10*k, goldenSeeds, goldenBatch, 2), wave(102+10*k, goldenSeeds, goldenBatch),
			tensors.FromFlatDataAndDimensions([]float32{1, 0, 1, 1, 1, 1, 0, 1}, goldenSeeds, goldenBatch),
			wave(104+10*k, goldenSeeds, goldenBatch, 3), wave(105+10*k, goldenSeeds, goldenBatch, 2))
	}
	return inputs
}

func transitionsOf(in []*Node) batch {
	return batch{observations: in[0], actions: in[1], rewards: in[2], alive: in[3], next: in[4]}
}

// goldenContexts is the inputs of two updates: returns, observations, actions, times,
// known, and one to fill up.
func goldenContexts() []*tensors.Tensor {
	var inputs []*tensors.Tensor
	for k := range 2 {
		times, known := make([]int32, goldenSeeds*goldenBatch*3), make([]float32, goldenSeeds*goldenBatch*3)
		for i := range times {
			context, step := i/3, i%3
			times[i] = int32(context%goldenBatch + step)
			if context%2 == 0 || step < 2 {
				known[i] = 1
			}
		}
		inputs = append(inputs,
			wave(100+10*k, goldenSeeds, goldenBatch, 3), wave(101+10*k, goldenSeeds, goldenBatch, 3, 3), wave(102+10*k, goldenSeeds, goldenBatch, 3, 2),
			tensors.FromFlatDataAndDimensions(times, goldenSeeds, goldenBatch, 3),
			tensors.FromFlatDataAndDimensions(known, goldenSeeds, goldenBatch, 3), wave(0, 1))
	}
	return inputs
}

func contextsOf(in []*Node) contexts {
	return contexts{returns: in[0], observations: in[1], actions: in[2], times: in[3], known: in[4]}
}

// twoUpdates begins with waves, and gives the arrays after two updates.
func twoUpdates(t *testing.T, engine compute.Backend, a algorithm, inputs []*tensors.Tensor, step step) map[string][]float32 {
	t.Helper()
	first := a.first(random.Stream(1, weightsStream, 0))
	slices.SortFunc(first, func(a, b checkpoint.Tensor) int { return strings.Compare(a.Name, b.Name) })
	var names []string
	var arraysOf []*tensors.Tensor
	for k, array := range first {
		names = append(names, array.Name)
		dims := append([]int{goldenSeeds * array.Shape[0]}, array.Shape[1:]...)
		value := wave(k, dims...)
		if ofTraining(array.Name) {
			value = tensors.FromShape(value.Shape())
		}
		arraysOf = append(arraysOf, value)
	}
	each := len(inputs) / 2
	outputs := once(t, engine, func(nodes []*Node) []*Node {
		values := arrays{}
		for i, name := range names {
			values[name] = nodes[2*each+i]
		}
		for k := range 2 {
			u := &update{done: Const(nodes[0].Graph(), int32(k)), last: k == a.stride()-1 || a.stride() == 1, values: values}
			step(u, nodes[k*each:(k+1)*each])
		}
		var results []*Node
		for _, name := range names {
			results = append(results, values[name])
		}
		return results
	}, slices.Concat(inputs, arraysOf)...)
	result := map[string][]float32{}
	for i, name := range names {
		result[name] = outputs[i]
	}
	return result
}
