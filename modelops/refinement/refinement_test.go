package refinement

import (
	"math"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/nets"
	"diffstitch/modelops/training/execution"
)

// cart is a point on a line: its state is place and speed, its action a push. In a step
// the place changes by the speed's tenth, the speed by the push's.
var cart = []checkpoint.Tensor{
	{Name: "output/weights", Shape: []int{3, 2}, Data: []float32{0, 0, 1, 0, 0, 1}},
	{Name: "output/bias", Shape: []int{2}, Data: []float32{0, 0}},
}

// row is a stretch to refine.
type row struct {
	start, goal [2]float32
	steps       int
}

const horizon = 12

// refined gives the states after each transition and the pushes, [rows][horizon][3].
func refined(t *testing.T, engine compute.Backend, rows []row) [][][]float32 {
	t.Helper()
	n := len(rows)
	start, goal, plan := make([]float32, n*2), make([]float32, n*2), make([]float32, horizon*n*2)
	steps := make([]int32, n)
	for i, r := range rows {
		copy(start[2*i:], r.start[:])
		copy(goal[2*i:], r.goal[:])
		steps[i] = int32(r.steps)
		for step := range horizon {
			for d := range 2 {
				share := min(1, float32(step+1)/float32(max(1, r.steps)))
				plan[(step*n+i)*2+d] = r.start[d] + share*(r.goal[d]-r.start[d])
			}
		}
	}
	net, err := execution.NewNet(engine, cart, func(scope *model.Scope, in []*Node) *Node {
		weights := scope.At(execution.WeightsScope)
		d := Dynamics{
			Net:  nets.MLPConfig{Inputs: 3, Hidden: 1, Layers: 1, Outputs: 2, Activation: "relu"},
			Nets: []*model.Scope{weights}, Ratio: []float32{0.1, 0.1}, Middle: []float32{0}, Half: []float32{1},
		}
		return Refine(weights, d, Task{Start: in[0], Goal: in[1], Plan: in[2], Controls: in[3], Steps: in[4]})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer net.Finalize()
	flat, err := net.Call(
		tensors.FromFlatDataAndDimensions(start, n, 2), tensors.FromFlatDataAndDimensions(goal, n, 2),
		tensors.FromFlatDataAndDimensions(plan, horizon, n, 2), tensors.FromFlatDataAndDimensions(make([]float32, horizon*n), horizon, n, 1),
		tensors.FromFlatDataAndDimensions(steps, n))
	if err != nil {
		t.Fatal(err)
	}
	result := make([][][]float32, n)
	for i := range result {
		for step := range horizon {
			at := (step*n + i) * 3
			result[i] = append(result[i], flat[at:at+3])
		}
	}
	return result
}

func TestCartArrives(t *testing.T) {
	rows := []row{
		{start: [2]float32{0, 0}, goal: [2]float32{0.3, 0.2}, steps: 12},
		{start: [2]float32{1, -0.5}, goal: [2]float32{0.8, -0.2}, steps: 7},
		{start: [2]float32{0, 0.1}, goal: [2]float32{0.01, 0.05}, steps: 1}, // one push, to where it leads
		{steps: 0}, // padding
	}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		for i, states := range refined(t, engine, rows) {
			r := rows[i]
			place, speed := float64(r.start[0]), float64(r.start[1])
			for step, s := range states[:r.steps] {
				push := float64(s[2])
				place, speed = place+speed/10, speed+push/10
				if math.Abs(push) > 1 || math.Abs(place-float64(s[0])) > 1e-5 || math.Abs(speed-float64(s[1])) > 1e-5 {
					t.Errorf("row %d step %d: %v, want the cart at %g, %g", i, step, s, place, speed)
				}
			}
			if off := math.Hypot(place-float64(r.goal[0]), speed-float64(r.goal[1])); off > 2e-3 {
				t.Errorf("row %d ends %g from its goal", i, off)
			}
		}
	})
}

// TestOutOfReach asks for more than the pushes can do.
func TestOutOfReach(t *testing.T) {
	far := row{goal: [2]float32{3, 0}, steps: 10}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		states := refined(t, engine, []row{far})[0]
		for step, s := range states[:far.steps] {
			if !(math.Abs(float64(s[2])) <= 1) {
				t.Errorf("step %d pushes by %g", step, s[2])
			}
		}
		if end := states[far.steps-1]; !(end[0] > 0.2 && end[0] < 1) {
			t.Errorf("it ends at %v", end)
		}
	})
}

// TestRowsAreAlone holds a row equal to the bit in other company.
func TestRowsAreAlone(t *testing.T) {
	one := row{start: [2]float32{1, -0.5}, goal: [2]float32{0.8, -0.2}, steps: 7}
	other := row{goal: [2]float32{3, 0}, steps: 10}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		among := refined(t, engine, []row{other, {}, one})[2]
		for step, s := range refined(t, engine, []row{one, {}, {}})[0][:one.steps] {
			if !slices.Equal(s, among[step]) {
				t.Errorf("step %d: %v alone, %v among others", step, s, among[step])
			}
		}
	})
}
