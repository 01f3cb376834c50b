package learners

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"diffstitch/modelops/checkpoint"
)

// remembering is a policy that looks at the last steps of its episodes, and at the
// return that is still to come.
type remembering struct {
	net
	transformer *decisionTransformer
	target      float64

	rows  int // episodes of all seeds
	steps int // acted so far
	// The last steps, of which the present one is the last that is filled; the others
	// are zeros. Each is [rows, context, …].
	returns, observations, actions []float32
	times                          []int32
}

func openRemembering(n net, transformer *decisionTransformer, weights []checkpoint.Tensor) (Policy, error) {
	p := &remembering{net: n, transformer: transformer, target: n.cfg.DT.TargetReturn}
	if p.target == 0 {
		p.target = n.details.BestReturn
	}
	return p, p.load(weights, 5, p.graph)
}

// graph gives the actions of one step of a context.
//
//	inputs: returns, observations, actions, times, and the step, a scalar
//	result: [seeds, n, A], in [-1, 1]
func (p *remembering) graph(values arrays, inputs []*Node) *Node {
	c := contexts{returns: inputs[0], observations: inputs[1], actions: inputs[2], times: inputs[3]}
	actions := p.transformer.actions(values, c, nil)                                           // [seeds, n, context, A]
	step := Iota(actions.Graph(), shapes.Make(dtypes.Int32, actions.Shape().Dimensions...), 2) // of each number
	present := Equal(step, BroadcastToDims(inputs[4], step.Shape().Dimensions...))
	return ReduceSum(Where(present, actions, ZerosLike(actions)), 2)
}

func (p *remembering) Aim(target float64) { p.target = target }

func (p *remembering) Begin(n int) {
	p.rows, p.steps = n*p.Seeds(), 0
	size := p.rows * p.cfg.DT.Context
	p.returns, p.times = make([]float32, size), make([]int32, size)
	p.observations, p.actions = make([]float32, size*p.observationDim), make([]float32, size*p.actionDim)
}

func (p *remembering) Act(observations, rewards []float32) ([]float32, error) {
	episodes := p.rows / p.Seeds()
	scaled, err := p.observed(episodes, observations, rewards)
	if err != nil {
		return nil, err
	}
	place := p.remember(scaled, rewards)
	shape := func(rest ...int) []int { return append([]int{p.Seeds(), episodes, p.cfg.DT.Context}, rest...) }
	actions, err := p.run(
		tensors.FromFlatDataAndDimensions(p.returns, shape()...),
		tensors.FromFlatDataAndDimensions(p.observations, shape(p.observationDim)...),
		tensors.FromFlatDataAndDimensions(p.actions, shape(p.actionDim)...),
		tensors.FromFlatDataAndDimensions(p.times, shape()...),
		tensors.FromScalar(int32(place)),
	)
	if err != nil {
		return nil, err
	}
	for row := range p.rows {
		p.details.Scaling.action(at(p.actions, p.cfg.DT.Context, p.actionDim, row, place), actions[row*p.actionDim:])
	}
	p.steps++
	return actions, nil
}

// remember adds a step, forgets the first where the context is full, and gives the
// place of the new one.
//
//	observations: [rows, O], normalised
//	rewards:      [rows], of the step before
func (p *remembering) remember(observations, rewards []float32) (place int) {
	context := p.cfg.DT.Context
	place = min(p.steps, context-1)
	if p.steps >= context {
		forget(p.returns, context, 1)
		forget(p.times, context, 1)
		forget(p.observations, context, p.observationDim)
		forget(p.actions, context, p.actionDim)
	}
	for row := range p.rows {
		copy(at(p.observations, context, p.observationDim, row, place), observations[row*p.observationDim:])
		clear(at(p.actions, context, p.actionDim, row, place)) // not known yet
		p.times[row*context+place] = int32(p.steps)
		toGo := float32(p.target) * p.details.Scaling.RewardScale
		if p.steps > 0 {
			before := max(place-1, 0)
			toGo = p.returns[row*context+before] - rewards[row]*p.details.Scaling.RewardScale
		}
		p.returns[row*context+place] = toGo
	}
	return place
}

// at is a step of a row of [rows, context, dim].
func at(values []float32, context, dim, row, step int) []float32 {
	start := (row*context + step) * dim
	return values[start : start+dim]
}

// forget moves the steps of each row of [rows, context, dim] one to the front.
func forget[T any](values []T, context, dim int) {
	for row := 0; row < len(values); row += context * dim {
		copy(values[row:row+(context-1)*dim], values[row+dim:row+context*dim])
	}
}
