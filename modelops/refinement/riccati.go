package refinement

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"diffstitch/modelops/nets"
)

// linear is the problem along a trajectory: how the next state follows state and control,
// and the cost of the nets' disagreement, to second order.
type linear struct {
	moves    *Node // [N, rows, S, S+A], derivative of the next state
	curve    *Node // [N, rows, S+A, S+A], half the second derivative of the disagreement's cost
	slope    *Node // [N, rows, S+A], half its first derivative
	strayed  *Node // [N, rows, S], half the first derivative of the cost of leaving the plan
	straying *Node // [N, rows, 1], half the second derivative
}

// linearise differentiates the nets at every transition of a trajectory.
func (p *problem) linearise(t trajectory) linear {
	features := Concatenate([]*Node{p.before(t.after), p.actions(t.controls)}, -1)
	flat := Reshape(features, p.steps*p.rows, -1)
	inputs := p.stateDim + p.actionDim
	var outputs, jacobians []*Node
	for _, scope := range p.dynamics.Nets {
		y, rows := nets.MLPJacobian(scope, p.dynamics.Net, flat)
		outputs = append(outputs, Reshape(y, p.steps, p.rows, p.stateDim))
		jacobians = append(jacobians, Mul(Reshape(Stack(rows, 1), p.steps, p.rows, p.stateDim, inputs), p.perControl(t.controls)))
	}
	mean := average(jacobians)
	moves := Mul(mean, Reshape(p.move, p.steps, p.rows, p.stateDim, 1))
	moves = Add(moves, Reshape(Const(moves.Graph(), identity(p.stateDim, inputs)), 1, 1, p.stateDim, inputs))
	l := linear{
		moves:    moves,
		curve:    Zeros(flat.Graph(), shapes.Make(dtypes.Float32, p.steps, p.rows, inputs, inputs)),
		slope:    Zeros(flat.Graph(), shapes.Make(dtypes.Float32, p.steps, p.rows, inputs)),
		strayed:  MulScalar(Mul(p.between, Sub(t.after, p.Plan)), nearPlan),
		straying: MulScalar(p.between, nearPlan),
	}
	if len(outputs) == 1 {
		return l
	}
	middle := average(outputs)
	for i := range outputs {
		away := MulScalar(Mul(p.valid, Sub(outputs[i], middle)), agreement)
		tilt := Mul(Reshape(p.valid, p.steps, p.rows, 1, 1), Sub(jacobians[i], mean))
		l.curve = Add(l.curve, MulScalar(Einsum("tbij,tbik->tbjk", tilt, tilt), agreement))
		l.slope = Add(l.slope, Einsum("tbij,tbi->tbj", tilt, away))
	}
	return l
}

// perControl turns derivatives by standardised states and actions into those by states
// and controls.
//
//	result: [N, rows, 1, S+A]
func (p *problem) perControl(controls *Node) *Node {
	g := controls.Graph()
	steep := Mul(Reshape(Const(g, p.dynamics.Half), 1, 1, p.actionDim), OneMinus(Square(Tanh(controls))))
	states := OnesLike(p.Plan)
	return Reshape(Concatenate([]*Node{states, steep}, -1), p.steps, p.rows, 1, p.stateDim+p.actionDim)
}

// step solves the linearised problem backwards in time, for the policy that minimises it.
func (p *problem) step(t trajectory) policy {
	l := p.linearise(t)
	g := t.cost.Graph()
	// The end's cost: ‖(end − s′_1)/ratio‖².
	weight := Square(p.near) // [1, S]
	missed := Sub(SliceAxis(t.after, 0, AxisElem(p.steps-1)), Reshape(p.Goal, 1, p.rows, p.stateDim))
	value := Mul(Reshape(weight, 1, p.stateDim, 1), Reshape(Const(g, identity(p.stateDim, p.stateDim)), 1, p.stateDim, p.stateDim))
	carry := []*Node{
		BroadcastToDims(value, p.rows, p.stateDim, p.stateDim),
		Mul(Reshape(missed, p.rows, p.stateDim), weight),
		t.damping,
	}
	widths := []int{p.actionDim, p.actionDim * p.stateDim}
	_, out := p.scan(true, carry, []*Node{l.moves, l.curve, l.slope, l.strayed, l.straying}, widths, p.backwards)
	return policy{
		controls: Add(t.controls, out[0]), expected: p.before(t.after),
		gains: Reshape(out[1], p.steps, p.rows, p.actionDim, p.stateDim),
	}
}

// backwards takes the value of the states after a transition to that of the states before
// it.
//
//	carry: the value's second derivative [rows, S, S], its first [rows, S] and the
//	       damping [rows, 1]
//	at:    the fields of linear at the transition
//	out:   the controls' change [rows, A], and by the state [rows, A·S]
func (p *problem) backwards(carry, at []*Node) (before, out []*Node) {
	value, slope, damping := carry[0], carry[1], carry[2]
	moves, curve, tilt, strayed, straying := at[0], at[1], at[2], at[3], at[4]
	states := p.stateDim
	value = Add(value, diagonal(straying, states))
	slope = Add(slope, strayed)
	curve = Add(curve, Einsum("bij,bik->bjk", moves, Einsum("bij,bjk->bik", value, moves))) // [rows, S+A, S+A]
	tilt = Add(tilt, Einsum("bij,bi->bj", moves, slope))                                    // [rows, S+A]

	byState := Slice(curve, AxisRange(), AxisRange(states), AxisRange(0, states)) // [rows, A, S]
	byControl := Slice(curve, AxisRange(), AxisRange(states), AxisRange(states))  // [rows, A, A]
	damped := Add(byControl, diagonal(damping, p.actionDim))
	right := Concatenate([]*Node{byState, Reshape(Slice(tilt, AxisRange(), AxisRange(states)), -1, p.actionDim, 1)}, -1)
	solved := Neg(p.solve(damped, right)) // [rows, A, S+1]
	gains := Slice(solved, AxisRange(), AxisRange(), AxisRange(0, states))
	change := Reshape(Slice(solved, AxisRange(), AxisRange(), AxisRange(states)), -1, p.actionDim)

	before = []*Node{
		Add(Slice(curve, AxisRange(), AxisRange(0, states), AxisRange(0, states)), Einsum("bai,baj->bij", byState, gains)),
		Add(Slice(tilt, AxisRange(), AxisRange(0, states)), Einsum("bai,ba->bi", byState, change)),
		damping,
	}
	return before, []*Node{change, Reshape(gains, -1, p.actionDim*states)}
}

// solve is the inverse of a positive definite matrix times right, by elimination.
//
//	matrix: [rows, A, A]
//	right:  [rows, A, n]
//	result: [rows, A, n]
func (p *problem) solve(matrix, right *Node) *Node {
	whole := Concatenate([]*Node{matrix, right}, -1)
	for pivot := range p.actionDim {
		unit := make([]float32, p.actionDim)
		unit[pivot] = 1
		row := Slice(whole, AxisRange(), AxisElem(pivot), AxisRange()) // [rows, 1, A+n]
		row = Div(row, Slice(row, AxisRange(), AxisRange(), AxisElem(pivot)))
		column := Slice(whole, AxisRange(), AxisRange(), AxisElem(pivot)) // [rows, A, 1]
		column = Sub(column, Reshape(Const(whole.Graph(), unit), 1, p.actionDim, 1))
		whole = Sub(whole, Mul(column, row))
	}
	return Slice(whole, AxisRange(), AxisRange(), AxisRange(p.actionDim))
}

// diagonal are matrices with a value on the diagonal.
//
//	values: [rows, 1]
//	result: [rows, n, n]
func diagonal(values *Node, n int) *Node {
	return Mul(Reshape(values, -1, 1, 1), Reshape(Const(values.Graph(), identity(n, n)), 1, n, n))
}

// identity is a matrix with ones on its diagonal.
func identity(rows, columns int) [][]float32 {
	matrix := make([][]float32, rows)
	for i := range matrix {
		matrix[i] = make([]float32, columns)
		matrix[i][i] = 1
	}
	return matrix
}
