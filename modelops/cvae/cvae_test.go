package cvae

import (
	"math"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend/backendtest"
)

// TestDivergence holds it to numbers worked out by hand.
func TestDivergence(t *testing.T) {
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		divergence := MustNewExec(engine, Divergence)
		for _, test := range []struct{ mean, log, want float64 }{
			{0, 0, 0}, {1, 0, 0.5}, {-2, 0, 2}, {0, 1, (math.E*math.E - 3) / 2}, {0, -1, (1/(math.E*math.E) + 1) / 2},
		} {
			got := tensors.MustCopyFlatData[float32](divergence.MustCall([][]float32{{float32(test.mean)}}, [][]float32{{float32(test.log)}})[0])[0]
			if math.Abs(float64(got)-test.want) > 1e-5 {
				t.Errorf("of N(%g, e^%g²): %g, want %g", test.mean, test.log, got, test.want)
			}
		}
	})
}

func TestShapes(t *testing.T) {
	const batch = 5
	cfg := Config{StateDim: 3, ActionDim: 2, Hidden: 8}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		exec := model.MustNewExec(engine, model.NewStore(), func(scope *model.Scope, states, actions, latent *Node) []*Node {
			mean, log := Encode(scope, cfg, states, actions)
			loss := Loss(scope, cfg, Batch{States: states, Actions: actions, Noise: latent})
			return []*Node{mean, log, Decode(scope, cfg, states, latent), loss}
		})
		far := make([][]float32, batch)
		for i := range far {
			far[i] = []float32{1e4, -1e4, 1e4}
		}
		out := exec.MustCall(far, rows(batch, 2), rows(batch, 4))
		for i, want := range [][]int{{batch, 4}, {batch, 4}, {batch, 2}, {}} {
			if got := out[i].Shape().Dimensions; len(got) != len(want) || len(want) > 0 && (got[0] != want[0] || got[1] != want[1]) {
				t.Errorf("result %d has shape %v, want %v", i, got, want)
			}
		}
		for _, v := range tensors.MustCopyFlatData[float32](out[1]) {
			if v < leastLog || v > mostLog {
				t.Errorf("a log deviation of %g", v)
			}
		}
		for _, v := range tensors.MustCopyFlatData[float32](out[2]) {
			if v < -1 || v > 1 {
				t.Errorf("an action of %g", v)
			}
		}
	})
}

func rows(n, dim int) [][]float32 {
	all := make([][]float32, n)
	for i := range all {
		all[i] = make([]float32, dim)
	}
	return all
}

func TestBound(t *testing.T) {
	latent := []float32{-3, -0.2, 0, 0.4, 7}
	Bound(latent)
	for i, want := range []float32{-0.5, -0.2, 0, 0.4, 0.5} {
		if latent[i] != want {
			t.Errorf("latent %d is %g, want %g", i, latent[i], want)
		}
	}
}
