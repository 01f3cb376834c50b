package learners

import (
	"slices"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/random"
)

// TestCausality changes one input of one step of a context: the actions before stay as
// they are, and so does that step's where the input is its own action.
func TestCausality(t *testing.T) {
	const context, changed = 4, 2
	cfg := toyConfig(t, DT, 1)
	cfg.DT.Context, cfg.DT.Layers = context, 2
	r := replay{observationDim: 3, actionDim: 2}
	first := newDT(cfg, r).first(random.Stream(1, weightsStream, 0))
	weights := func() (all []*tensors.Tensor) { // of one engine
		for k, array := range first { // waves, since the first weights hardly look at anything
			all = append(all, wave(k, array.Shape...))
		}
		return all
	}
	build := func(nodes []*Node) []*Node {
		values := arrays{}
		for i, array := range first {
			values[array.Name] = nodes[4+i]
		}
		c := contexts{returns: nodes[0], observations: nodes[1], actions: nodes[2], times: nodes[3]}
		return []*Node{newDT(cfg, r).actions(values, c, nil)}
	}
	inputs := func(bump string) []*tensors.Tensor {
		returns, observations, actions := make([]float32, context), make([]float32, 3*context), make([]float32, 2*context)
		times := []int32{5, 6, 7, 8}
		switch bump {
		case "return":
			returns[changed] = 1
		case "observation":
			observations[3*changed] = 1
		case "action":
			actions[2*changed] = 1
		case "time":
			times[changed] = 1
		}
		return append([]*tensors.Tensor{
			tensors.FromFlatDataAndDimensions(returns, 1, 1, context), tensors.FromFlatDataAndDimensions(observations, 1, 1, context, 3),
			tensors.FromFlatDataAndDimensions(actions, 1, 1, context, 2), tensors.FromFlatDataAndDimensions(times, 1, 1, context),
		}, weights()...)
	}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		before := once(t, engine, build, inputs("")...)[0]
		for bump, from := range map[string]int{"return": changed, "observation": changed, "action": changed + 1, "time": changed} {
			after := once(t, engine, build, inputs(bump)...)[0]
			for step := range context {
				same := slices.Equal(before[2*step:2*step+2], after[2*step:2*step+2])
				if want := step < from; same != want {
					t.Errorf("%s of step %d changed: the action of step %d stays: %v, want %v", bump, changed, step, same, want)
				}
			}
		}
	})
}

// TestParts has batches cut evenly.
func TestParts(t *testing.T) {
	for _, tc := range []struct{ batch, largest, want int }{
		{64, 256, 1}, {256, 256, 1}, {4096, 256, 16}, {4096, 1024, 4}, {300, 256, 2}, {257, 256, 257}, {9, 4, 3},
	} {
		if got := parts(tc.batch, tc.largest); got != tc.want {
			t.Errorf("%d in parts of %d at most: %d, want %d", tc.batch, tc.largest, got, tc.want)
		}
	}
}
