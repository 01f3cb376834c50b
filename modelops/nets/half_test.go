package nets

import (
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
)

// TestHalve: a U-Net in half precision is the same but for rounding, and is rounded.
func TestHalve(t *testing.T) {
	engine := backendtest.Open(t, backend.XLA)
	cfg := UNetConfig{StateDim: 3, ConditionDim: 4, Horizon: 8, Channels: 8, Multipliers: []int{1, 2}, Kernel: 3, Groups: 4}
	store := model.NewStore()
	if err := store.SetRNGStateFromSeed(1); err != nil {
		t.Fatal(err)
	}
	run := func(half bool) []float32 {
		exec, err := model.NewExec(engine, store, func(scope *model.Scope, x, condition, step *Node) *Node {
			scope = scope.At("net")
			if half {
				Halve(scope)
			}
			return UNet(scope, cfg, UNetInputs{X: x, Condition: condition, Step: step})
		})
		if err != nil {
			t.Fatal(err)
		}
		defer exec.Finalize()
		x, condition := make([]float32, 2*8*3), make([]float32, 2*8*4)
		for i := range x {
			x[i] = float32(i%7) / 7
		}
		results, err := exec.Call(tensors.FromFlatDataAndDimensions(x, 2, 8, 3), tensors.FromFlatDataAndDimensions(condition, 2, 8, 4), tensors.FromFlatDataAndDimensions([]int32{1, 50}, 2))
		if err != nil {
			t.Fatal(err)
		}
		return tensors.MustCopyFlatData[float32](results[0])
	}
	whole, half := run(false), run(true)
	var most float32
	for i := range whole {
		most = max(most, whole[i]-half[i], half[i]-whole[i])
	}
	if most == 0 || most > 0.05 {
		t.Errorf("outputs differ by %v", most)
	}
}
