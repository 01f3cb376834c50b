package refinement

import (
	"math"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"

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

const horizon, rounds = 12, 4

// refined gives what some calls make of rows, [rows][horizon].
func refined(t *testing.T, engine compute.Backend, rows []row) [][]Row {
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
		return Refine(weights, d, Task{Start: in[0], Goal: in[1], Plan: in[2], Controls: in[3], Damping: in[4], Steps: in[5]})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer net.Finalize()
	controls, damping := make([]float32, horizon*n), make([]float32, n)
	for i := range damping {
		damping[i] = FirstDamping
	}
	var result [][]Row
	for range rounds {
		flat, err := net.Call(
			tensors.FromFlatDataAndDimensions(start, n, 2), tensors.FromFlatDataAndDimensions(goal, n, 2),
			tensors.FromFlatDataAndDimensions(plan, horizon, n, 2), tensors.FromFlatDataAndDimensions(controls, horizon, n, 1),
			tensors.FromFlatDataAndDimensions(damping, n, 1), tensors.FromFlatDataAndDimensions(steps, n))
		if err != nil {
			t.Fatal(err)
		}
		result = make([][]Row, n)
		for i := range result {
			for step := range horizon {
				row := RowOf(flat[(step*n+i)*Width(2, 1):][:Width(2, 1)], 2, 1)
				result[i] = append(result[i], row)
				controls[step*n+i], damping[i] = row.Control[0], row.Damping
			}
			if last := result[i][horizon-1]; last.After > last.Before {
				t.Errorf("row %d cost %g and then %g", i, last.Before, last.After)
			}
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
				push := float64(s.Action[0])
				place, speed = place+speed/10, speed+push/10
				if math.Abs(push) > 1 || math.Abs(place-float64(s.State[0])) > 1e-5 || math.Abs(speed-float64(s.State[1])) > 1e-5 {
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
			if !(math.Abs(float64(s.Action[0])) <= 1) {
				t.Errorf("step %d pushes by %g", step, s.Action[0])
			}
		}
		if end := states[far.steps-1].State; !(end[0] > 0.2 && end[0] < 1) {
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
			if !cmp.Equal(s, among[step]) {
				t.Errorf("step %d: %v alone, %v among others", step, s, among[step])
			}
		}
	})
}
