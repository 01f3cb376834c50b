// Package refinement makes trajectories of plans. A bridge that was inpainted is a plan:
// states that no dynamics led through. Here they are rolled out from s_T under actions
// that are optimised, within the range of the data, until the roll-out ends in s′_1; it
// stays near the plan, and where the nets of the dynamics agree.
//
// The optimiser is Gauss-Newton on the actions (Li & Todorov's iLQR, 2004): the dynamics
// are linearised along the roll-out, the quadratic problem that comes of it is solved
// backwards in time, and the roll-out follows the solution with its feedback. Each row of
// a batch has a damping of its own (Levenberg-Marquardt) and keeps the best it found.
package refinement

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/nets"
)

// Weights of what is minimised, beside the squared distance of the roll-out's end from
// s′_1 in units of a step's change, σ_Δ.
const (
	// nearPlan is that of a state's squared distance from the plan, in spreads. It is
	// small: where the end is out of reach, the plan is none to hold on to.
	nearPlan = 0.001
	// agreement is that of the squared distance of each net's next state from the nets'
	// mean, in units of σ_Δ. Where the nets agree they know what they say.
	agreement = 30
)

// The damping of a row, as a weight of the controls' squared change.
const (
	FirstDamping = 0.01
	leastDamping = 1e-4
	mostDamping  = 1e6
	dampingFalls = 0.25 // where a step was taken
	dampingRises = 8    // where it was not
)

// mostControl bounds the controls: there an action is within 0.04 % of the range's end.
const mostControl = 4

// iterations are the steps that the optimiser takes in a call.
const iterations = 2

// Dynamics are the nets that predict a state's change. States and actions are
// standardised: (x − mean)/σ.
type Dynamics struct {
	Net  nets.MLPConfig // of each
	Nets []*model.Scope
	// Ratio is σ_Δ/σ of each dimension of the states, 0 where no step changes it.
	Ratio []float32 // [S]
	// Middle and Half are those of the actions' range.
	Middle, Half []float32 // [A]
}

// Task is what is refined: rows of up to N transitions each.
type Task struct {
	Start    *Node // [rows, S], s_T
	Goal     *Node // [rows, S], s′_1
	Plan     *Node // [N, rows, S], the state after each transition
	Controls *Node // [N, rows, A], where the optimiser stands: see Control
	Damping  *Node // [rows, 1], FirstDamping at first
	Steps    *Node // [rows] int32, transitions of each row; 0 of padding
}

// Refine takes some steps of the optimiser. It gives the roll-out, for each transition
// the state after it, the action, both standardised, and the control; and repeated at each
// transition the row's cost before the steps, after them, and its damping. Past a row's
// transitions they are the last state, and anything. See Width and Row.
//
//	result: [N, rows, S+2·A+3]
func Refine(scope *model.Scope, d Dynamics, task Task) *Node {
	p := newProblem(scope, d, task)
	first := p.roll(p.standing())
	first.damping = task.Damping
	best := first
	for range iterations {
		best = p.better(best, p.roll(p.step(best)))
	}
	repeated := func(x *Node) *Node { return BroadcastToDims(Reshape(x, 1, p.rows, 1), p.steps, p.rows, 1) }
	return Concatenate([]*Node{
		best.after, p.actions(best.controls), best.controls, repeated(first.cost), repeated(best.cost), repeated(best.damping),
	}, -1)
}

// Width is how many values Refine gives at a transition.
func Width(stateDim, actionDim int) int { return stateDim + 2*actionDim + 3 }

// Row is what Refine gives of a row at a transition.
type Row struct {
	State, Action, Control []float32
	// Before and After are the row's cost before and after the optimiser's steps.
	Before, After, Damping float32
}

// RowOf reads the values at a transition.
func RowOf(values []float32, stateDim, actionDim int) Row {
	rest := values[stateDim+2*actionDim:]
	return Row{
		State: values[:stateDim], Action: values[stateDim : stateDim+actionDim], Control: values[stateDim+actionDim : stateDim+2*actionDim],
		Before: rest[0], After: rest[1], Damping: rest[2],
	}
}

// Settled is whether further steps would change little: those that were taken gained
// little, or none can be found any more.
func (r Row) Settled(before float32) bool {
	if r.Damping > hopeless {
		return true
	}
	return r.Damping <= before && r.After >= (1-leastGain)*r.Before
}

const (
	leastGain = 0.3 // of the cost, for further steps
	hopeless  = 1e3 // as a damping
)

// problem is a task with what follows from it.
type problem struct {
	Task
	dynamics            Dynamics
	variables           nets.Carried
	steps, rows         int   // N, and rows
	stateDim, actionDim int   // S and A
	valid               *Node // [N, rows, 1], 1 on a row's transitions
	between             *Node // [N, rows, 1], 1 where a row's transition leads to a state between its ends
	move                *Node // [N, rows, S], the ratio on a row's transitions, else 0
	near                *Node // [1, S], 1/ratio, 0 where no step changes it
}

func newProblem(scope *model.Scope, d Dynamics, task Task) *problem {
	g := task.Plan.Graph()
	p := &problem{
		Task: task, dynamics: d, variables: nets.Carry(scope),
		steps: task.Plan.Shape().Dim(0), rows: task.Plan.Shape().Dim(1),
		stateDim: task.Plan.Shape().Dim(2), actionDim: task.Controls.Shape().Dim(2),
	}
	at := Iota(g, shapes.Make(dtypes.Int32, p.steps, p.rows, 1), 0)
	last := BroadcastToDims(Reshape(task.Steps, 1, p.rows, 1), p.steps, p.rows, 1)
	p.valid = ConvertDType(LessThan(at, last), dtypes.Float32)
	p.between = ConvertDType(LessThan(Add(at, Const(g, int32(1))), last), dtypes.Float32)
	p.move = Mul(p.valid, Reshape(Const(g, d.Ratio), 1, 1, p.stateDim))
	inverse := make([]float32, p.stateDim)
	for i, ratio := range d.Ratio {
		if ratio > 0 {
			inverse[i] = 1 / ratio
		}
	}
	p.near = Reshape(Const(g, inverse), 1, p.stateDim)
	return p
}

// trajectory is a roll-out, and what it costs.
type trajectory struct {
	controls *Node // [N, rows, A]
	after    *Node // [N, rows, S], the state after each transition
	cost     *Node // [rows, 1]
	damping  *Node // [rows, 1]
}

// before are the states before each transition.
//
//	result: [N, rows, S]
func (p *problem) before(after *Node) *Node {
	start := Reshape(p.Start, 1, p.rows, p.stateDim)
	return Concatenate([]*Node{start, SliceAxis(after, 0, AxisRange(0, p.steps-1))}, 0)
}

// policy is what a roll-out does: controls, and how they answer to a state that is not
// the one expected.
type policy struct {
	controls *Node // [N, rows, A]
	expected *Node // [N, rows, S], the states before
	gains    *Node // [N, rows, A, S]
}

// standing is the task's controls, whatever the state.
func (p *problem) standing() policy {
	return policy{p.Controls, ZerosLike(p.Plan), Zeros(p.Plan.Graph(), shapes.Make(dtypes.Float32, p.steps, p.rows, p.actionDim, p.stateDim))}
}

// actions are those of controls, standardised.
//
//	controls, result: [..., A]
func (p *problem) actions(controls *Node) *Node {
	dims := make([]int, controls.Rank())
	for i := range dims {
		dims[i] = 1
	}
	dims[len(dims)-1] = p.actionDim
	g := controls.Graph()
	middle, half := Reshape(Const(g, p.dynamics.Middle), dims...), Reshape(Const(g, p.dynamics.Half), dims...)
	return Add(middle, Mul(half, Tanh(controls)))
}

// roll rolls a policy out.
func (p *problem) roll(by policy) trajectory {
	inputs := []*Node{by.controls, by.expected, by.gains, p.move}
	widths := []int{p.stateDim, p.actionDim, 1}
	_, out := p.scan(false, []*Node{p.Start}, inputs, widths, func(carry, at []*Node) (_, out []*Node) {
		state, controls, expected, gains, move := carry[0], at[0], at[1], at[2], at[3]
		answer := Einsum("bas,bs->ba", gains, Sub(state, expected))
		controls = bound(Add(controls, answer), mostControl)
		mean, disagreement := p.predict(Concatenate([]*Node{state, p.actions(controls)}, -1))
		next := Add(state, Mul(move, mean))
		return []*Node{next}, []*Node{next, controls, disagreement}
	})
	t := trajectory{after: out[0], controls: out[1]}
	missed := Mul(Sub(SliceAxis(t.after, 0, AxisElem(p.steps-1)), Reshape(p.Goal, 1, p.rows, p.stateDim)), Reshape(p.near, 1, 1, p.stateDim))
	strayed := Mul(p.between, Sub(t.after, p.Plan))
	t.cost = Add(
		ReduceSum(Square(missed), 0, 2),
		Add(MulScalar(ReduceSum(Square(strayed), 0, 2), nearPlan), MulScalar(ReduceSum(Mul(p.valid, out[2]), 0, 2), agreement)))
	t.cost = Reshape(t.cost, p.rows, 1)
	return t
}

// predict is the nets' mean, in units of σ_Δ, and the sum of their squared distances from
// it.
//
//	features:     [rows, S+A]
//	mean:         [rows, S]
//	disagreement: [rows, 1]
func (p *problem) predict(features *Node) (mean, disagreement *Node) {
	outputs := make([]*Node, len(p.dynamics.Nets))
	for i, scope := range p.dynamics.Nets {
		outputs[i] = nets.MLP(scope, p.dynamics.Net, features)
	}
	mean = average(outputs)
	sum := Const(mean.Graph(), ones(p.stateDim))
	disagreement = Dot(Square(Sub(outputs[0], mean)), sum).Product()
	for _, output := range outputs[1:] {
		disagreement = Add(disagreement, Dot(Square(Sub(output, mean)), sum).Product())
	}
	return mean, disagreement
}

// better is, for each row, the trajectory that costs less, with the damping that follows
// from whether that is the new one.
func (p *problem) better(old, new trajectory) trajectory {
	falls := LessThan(new.cost, old.cost) // [rows, 1]; false of NaN
	over := func(x *Node) *Node {
		return BroadcastToDims(Reshape(falls, 1, p.rows, 1), x.Shape().Dimensions...)
	}
	g := old.cost.Graph()
	damping := Mul(old.damping, Where(falls, full(old.cost, dampingFalls), full(old.cost, dampingRises)))
	return trajectory{
		controls: Where(over(old.controls), new.controls, old.controls),
		after:    Where(over(old.after), new.after, old.after),
		cost:     Where(falls, new.cost, old.cost),
		damping:  Max(Min(damping, Const(g, float32(mostDamping))), Const(g, float32(leastDamping))),
	}
}

func average(nodes []*Node) *Node {
	sum := nodes[0]
	for _, node := range nodes[1:] {
		sum = Add(sum, node)
	}
	return Mul(sum, scalar(sum, 1/float64(len(nodes))))
}

// bound clips to ±most.
func bound(x *Node, most float64) *Node {
	return Max(Min(x, scalar(x, most)), scalar(x, -most))
}

// full is a value in the shape of x.
func full(x *Node, value float64) *Node { return AddScalar(ZerosLike(x), value) }

// scalar is a constant that a loop's body may use: GoMLX's own scalars are kept for the
// whole graph.
func scalar(x *Node, value float64) *Node { return Const(x.Graph(), float32(value)) }

// ones is a column.
func ones(n int) [][]float32 {
	column := make([][]float32, n)
	for i := range column {
		column[i] = []float32{1}
	}
	return column
}

// Control is what an action begins as, in the data's range from low to high.
func Control(action, low, high float32) float32 {
	if !(low < high) {
		return 0
	}
	share := 2*float64(action-low)/float64(high-low) - 1
	return float32(math.Atanh(min(max(share, -mostShare), mostShare)))
}

// mostShare of the range is where an action begins at most: further out the optimiser
// would not feel it.
const mostShare = 0.98
