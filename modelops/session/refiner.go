package session

import (
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/refinement"
	"diffstitch/modelops/training"
	"diffstitch/modelops/training/execution"
)

// mostRounds is how many calls of the optimiser a stretch gets.
const mostRounds = 4

// refineRows is how many stretches one run of the graph refines; the last run is padded.
const refineRows = 64

// shortStretch is the most transitions of a short bridge.
const shortStretch = 12

// refiner is the nets of f_ω that refine, with some steps of the optimiser compiled for
// stretches of up to so many transitions.
type refiner struct {
	*execution.Net
	nets        training.Refining
	transitions int // N
}

func newRefiner(k key, m checkpoint.Model, weights []checkpoint.Tensor, transitions int) (*refiner, error) {
	nets, err := training.NewRefining(m)
	if err != nil {
		return nil, err
	}
	r := &refiner{nets: nets, transitions: transitions}
	// start, goal: [rows, S], plan: [N, rows, S], controls: [N, rows, A], damping: [rows, 1], steps: [rows]
	r.Net, err = execution.NewNet(k.engine, weights, func(scope *model.Scope, in []*Node) *Node {
		task := refinement.Task{Start: in[0], Goal: in[1], Plan: in[2], Controls: in[3], Damping: in[4], Steps: in[5]}
		return refinement.Refine(scope.At(execution.WeightsScope), nets.Dynamics(scope), task)
	})
	return r, err
}

func (r *refiner) stateDim() int  { return len(r.nets.Statistics.ObservationMean) }
func (r *refiner) actionDim() int { return len(r.nets.Statistics.ActionMean) }

// newRefiners compiles the refinement of short bridges, which most are, and of the longest.
func newRefiners(k key, m checkpoint.Model, weights []checkpoint.Tensor, horizon int) (all []*refiner, err error) {
	longest := horizon - 1 + Extras[len(Extras)-1]
	for _, transitions := range slices.Compact([]int{min(shortStretch, longest), longest}) {
		r, err := newRefiner(k, m, weights, transitions)
		if err != nil {
			return all, err
		}
		all = append(all, r)
		if err := r.compile(); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (r *refiner) compile() error {
	ends := shapes.Make(dtypes.Float32, refineRows, r.stateDim())
	return r.Compile(ends, ends, shapes.Make(dtypes.Float32, r.transitions, refineRows, r.stateDim()),
		shapes.Make(dtypes.Float32, r.transitions, refineRows, r.actionDim()), shapes.Make(dtypes.Float32, refineRows, 1), shapes.Make(dtypes.Int32, refineRows))
}

// prepare runs the graph once, which on XLA takes many times what later runs do. On pure
// Go all runs are alike.
func (r *refiner) prepare() error {
	if backend.IsGo(r.Engine) {
		return nil
	}
	return r.run(nil)
}

// stretch is a way from s_T to s′_1 in so many transitions.
type stretch struct {
	of      int       // the bridge that it is of
	extra   int       // transitions beyond the bridge's
	plan    []float32 // [n+1, S], its first and last are s_T and s′_1
	states  []float32 // [n+1, S], the roll-out's, with the same ends
	actions []float32 // [n, A]
	// Where the optimiser stands, and whether further steps would change little.
	controls []float32 // [n, A]
	damping  float32
	settled  bool
	// residual is the distance of the roll-out's end from s′_1.
	residual float32
}

func (s *stretch) transitions(stateDim int) int { return len(s.plan)/stateDim - 1 }

// refine takes the optimiser's steps with stretches of at most r.transitions until all
// are settled. What becomes of one does not depend on the others.
func (r *refiner) refine(rows []*stretch) error {
	for range mostRounds {
		for some := range slices.Chunk(rows, refineRows) {
			if err := r.run(some); err != nil {
				return fmt.Errorf("refining %d bridges: %w", len(some), err)
			}
		}
		rows = slices.DeleteFunc(rows, func(s *stretch) bool { return s.settled })
	}
	return nil
}

// run takes some steps with at most refineRows stretches.
func (r *refiner) run(rows []*stretch) error {
	flat, err := r.Call(r.inputs(rows)...)
	if err != nil {
		return err
	}
	for row, s := range rows {
		r.take(s, flat, row)
	}
	return nil
}

// inputs are the graph's.
func (r *refiner) inputs(rows []*stretch) []*tensors.Tensor {
	stateDim, actionDim, stats := r.stateDim(), r.actionDim(), r.nets.Statistics
	start, goal := make([]float32, refineRows*stateDim), make([]float32, refineRows*stateDim)
	plan, controls := make([]float32, r.transitions*refineRows*stateDim), make([]float32, r.transitions*refineRows*actionDim)
	damping, steps := make([]float32, refineRows), make([]int32, refineRows)
	scaled := func(dst, state []float32) {
		for d := range stateDim {
			dst[d] = (state[d] - stats.ObservationMean[d]) / stats.ObservationScale[d]
		}
	}
	for row, s := range rows {
		n := s.transitions(stateDim)
		steps[row], damping[row] = int32(n), s.damping
		scaled(start[row*stateDim:], s.plan)
		scaled(goal[row*stateDim:], s.plan[n*stateDim:])
		for step := range n {
			at := step*refineRows + row
			scaled(plan[at*stateDim:], s.plan[(step+1)*stateDim:])
			copy(controls[at*actionDim:(at+1)*actionDim], s.controls[step*actionDim:])
		}
	}
	return []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(start, refineRows, stateDim), tensors.FromFlatDataAndDimensions(goal, refineRows, stateDim),
		tensors.FromFlatDataAndDimensions(plan, r.transitions, refineRows, stateDim),
		tensors.FromFlatDataAndDimensions(controls, r.transitions, refineRows, actionDim),
		tensors.FromFlatDataAndDimensions(damping, refineRows, 1), tensors.FromFlatDataAndDimensions(steps, refineRows),
	}
}

// take reads a row of the graph's result into its stretch.
func (r *refiner) take(s *stretch, flat []float32, row int) {
	stateDim, actionDim, stats := r.stateDim(), r.actionDim(), r.nets.Statistics
	width, n := refinement.Width(stateDim, actionDim), s.transitions(stateDim)
	s.states = append(s.states[:0], s.plan[:stateDim]...)
	s.actions, s.controls = s.actions[:0], s.controls[:0]
	for step := range n {
		at := refinement.RowOf(flat[(step*refineRows+row)*width:][:width], stateDim, actionDim)
		for d, value := range at.State {
			if r.nets.Still[d] {
				s.states = append(s.states, s.plan[d]) // as in s_T, to the bit
				continue
			}
			s.states = append(s.states, value*stats.ObservationScale[d]+stats.ObservationMean[d])
		}
		for d, value := range at.Action {
			action := value*stats.ActionScale[d] + stats.ActionMean[d]
			s.actions = append(s.actions, min(max(action, stats.ActionLow[d]), stats.ActionHigh[d]))
		}
		s.controls = append(s.controls, at.Control...)
		if step == n-1 {
			s.settled = at.Settled(s.damping)
			s.damping = at.Damping
		}
	}
	goal := s.plan[n*stateDim:]
	s.residual = training.Distances(s.states[n*stateDim:], goal, stateDim)[0]
	copy(s.states[n*stateDim:], goal)
}

// Refined is a bridge whose states f_ω leads through.
type Refined struct {
	States  []float32 // [n+1, S], its ends those of the plan to the bit
	Actions []float32 // [n, A], within the data's range
	// Residuals are [n], how far each state is from where f_ω leads: 0 but in the last
	// transition, which leads to s′_1.
	Residuals []float32
	Extra     int  // transitions beyond the plan's
	Passed    bool // the residual is small
}

// Extras are how many transitions longer than planned a bridge may be.
var Extras = []int{0, 2, 4, 8}

// passQuantile is that of the refining nets' error on held-out transitions which the
// residual of a bridge must not exceed to pass.
const passQuantile = 0.9

// Refine makes trajectories of plans, [Δ+2, S] each, from s_T to s′_1: see package
// refinement. Each is tried with Δ+1 transitions and, where that does not pass, with some
// more; the shortest that passes is taken, or the one with the least residual where none
// does. A bridge has at most Info.Horizon−1 transitions.
func (s *Session) Refine(plans [][]float32) (refined []Refined, err error) {
	for _, kind := range []training.Kind{training.InverseDynamics, training.Dynamics} {
		if err := s.runs(kind); err != nil {
			return nil, err
		}
	}
	err = s.use(func(on *modelSet) (int, error) {
		if len(on.refiners) == 0 {
			return 0, fmt.Errorf("bridges are to be refined by models that were opened without")
		}
		refined, err = on.refine(plans)
		return 0, err
	})
	return refined, err
}

// refine is Session.Refine.
func (m *modelSet) refine(plans [][]float32) ([]Refined, error) {
	longest := m.refiners[len(m.refiners)-1]
	stateDim, pass := longest.stateDim(), float32(longest.nets.Error.Quantile(passQuantile))
	best := make([]*stretch, len(plans))
	for _, extras := range [][]int{Extras[:1], Extras[1:]} {
		var tried []*stretch
		for i, plan := range plans {
			if best[i] != nil && best[i].residual <= pass {
				continue
			}
			n := len(plan)/stateDim - 1
			if n < 1 || n+Extras[len(Extras)-1] > longest.transitions {
				return nil, fmt.Errorf("refining a bridge of %d transitions: from 1 to %d can be", n, longest.transitions-Extras[len(Extras)-1])
			}
			for _, extra := range extras {
				tried = append(tried, &stretch{of: i, extra: extra, plan: resample(plan, stateDim, n+extra)})
			}
		}
		if err := m.optimise(tried); err != nil {
			return nil, err
		}
		for _, s := range tried { // of a plan the shortest first
			if old := best[s.of]; old == nil || old.residual > pass && s.residual < old.residual {
				best[s.of] = s
			}
		}
	}
	refined := make([]Refined, len(best))
	for i, s := range best {
		residuals := make([]float32, s.transitions(stateDim))
		residuals[len(residuals)-1] = s.residual
		refined[i] = Refined{States: s.states, Actions: s.actions, Residuals: residuals, Extra: s.extra, Passed: s.residual <= pass}
	}
	return refined, nil
}

// optimise refines stretches, each by the graph for its length.
func (m *modelSet) optimise(all []*stretch) error {
	if err := m.infer(all); err != nil {
		return err
	}
	shorter := 0
	for _, r := range m.refiners {
		var rows []*stretch
		for _, s := range all {
			if n := s.transitions(r.stateDim()); n > shorter && n <= r.transitions {
				rows = append(rows, s)
			}
		}
		if err := r.refine(rows); err != nil {
			return err
		}
		shorter = r.transitions
	}
	return nil
}

// infer begins with the actions that f_ψ finds between the plan's states.
func (m *modelSet) infer(all []*stretch) error {
	stateDim, actionDim, stats := m.refiners[0].stateDim(), m.refiners[0].actionDim(), m.refiners[0].nets.Statistics
	var states, next []float32
	for _, s := range all {
		states = append(states, s.plan[:len(s.plan)-stateDim]...)
		next = append(next, s.plan[stateDim:]...)
	}
	actions, _, err := m.regressors[training.InverseDynamics].Predict(states, next)
	if err != nil {
		return err
	}
	for _, s := range all {
		n := s.transitions(stateDim) * actionDim
		s.damping, s.controls = refinement.FirstDamping, make([]float32, n)
		for i, a := range actions[:n] {
			s.controls[i] = refinement.Control(a, stats.ActionLow[i%actionDim], stats.ActionHigh[i%actionDim])
		}
		actions = actions[n:]
	}
	return nil
}

// resample goes through a plan in n transitions, at an even pace between its states.
//
//	plan:   [.., S]
//	result: [n+1, S]
func resample(plan []float32, stateDim, n int) []float32 {
	last := len(plan)/stateDim - 1
	states := make([]float32, 0, (n+1)*stateDim)
	for i := range n + 1 {
		at, rest := i*last/n, float32(i*last%n)/float32(n)
		for d := range stateDim {
			value := plan[at*stateDim+d]
			if rest > 0 {
				value += rest * (plan[(at+1)*stateDim+d] - value)
			}
			states = append(states, value)
		}
	}
	return states
}
