package learners

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training/execution"
)

// Policy acts for all its seeds at once. It is for one goroutine.
type Policy interface {
	// Begin starts n episodes for each seed.
	Begin(n int)
	// Act gives the actions for the observations, and takes the rewards of the step
	// before, which are zeros at the first. Episodes that have ended go on being asked
	// for, with anything finite.
	//
	//	observations: [seeds, n, O]
	//	rewards:      [seeds, n]
	//	actions:      [seeds, n, A]
	Act(observations, rewards []float32) (actions []float32, err error)
	// Seeds is how many there are.
	Seeds() int
	// Finalize frees what the policy holds on the device.
	Finalize()
}

// Open loads the policy that Train wrote to dir.
func Open(engine compute.Backend, dir string) (Policy, error) {
	m, _, weights, err := checkpoint.Open(dir)
	if errors.Is(err, checkpoint.ErrUnfinished) {
		return nil, fmt.Errorf("learners: %s holds no finished policy: train one there first: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("learners: %w", err)
	}
	p := &policy{engine: engine, observationDim: m.ObservationDim, actionDim: m.ActionDim}
	if err := json.Unmarshal(m.Identity.Config, &p.cfg); err != nil {
		return nil, fmt.Errorf("learners: reading the configuration of %s: %w", dir, err)
	}
	if err := p.cfg.Validate(); err != nil {
		return nil, fmt.Errorf("learners: %s: %w", dir, err)
	}
	if err := json.Unmarshal(m.Details, &p.details); err != nil {
		return nil, fmt.Errorf("learners: reading the details of %s: %w", dir, err)
	}
	if err := p.load(weights); err != nil {
		return nil, fmt.Errorf("learners: %s: %w", dir, err)
	}
	return p, nil
}

// policy is an actor that looks at the present observation alone.
type policy struct {
	engine                    compute.Backend
	cfg                       Config
	details                   details
	observationDim, actionDim int

	n      int // episodes a seed
	actor  actor
	names  []string
	values []*tensors.Tensor
	exec   *model.Exec
}

// actor is a learner of which the policy needs one net.
type actor interface {
	// act gives the actions for normalised observations.
	//
	//	observations: [seeds, n, O]
	//	result:       [seeds, n, A], in [-1, 1]
	act(values arrays, observations *Node) *Node
}

// load puts the weights on the device.
func (p *policy) load(weights []checkpoint.Tensor) error {
	r := replay{observationDim: p.observationDim, actionDim: p.actionDim}
	p.actor = newIQL(p.cfg, r)
	for _, w := range weights {
		p.names = append(p.names, w.Name)
		p.values = append(p.values, tensors.FromFlatDataAndDimensions(w.Data, w.Shape...))
	}
	var err error
	p.exec, err = model.NewExec(p.engine, model.NewStore(), p.graph)
	return err
}

// graph gives the actions.
//
//	inputs: observations, [seeds, n, O], then the arrays
//	result: [seeds, n, A], in [-1, 1]
func (p *policy) graph(_ *model.Scope, inputs []*Node) *Node {
	values := arrays{}
	for i, name := range p.names {
		values[name] = inputs[1+i]
	}
	return p.actor.act(values, inputs[0])
}

func (p *policy) Seeds() int { return len(p.cfg.Seeds) }

func (p *policy) Begin(n int) { p.n = n }

func (p *policy) Act(observations, rewards []float32) ([]float32, error) {
	seeds := len(p.cfg.Seeds)
	if len(observations) != seeds*p.n*p.observationDim || len(rewards) != seeds*p.n {
		return nil, fmt.Errorf("learners: %d values of observations and %d rewards for %d seeds of %d episodes", len(observations), len(rewards), seeds, p.n)
	}
	scaled := make([]float32, len(observations))
	for i := 0; i < len(scaled); i += p.observationDim {
		p.details.Scaling.observation(scaled[i:i+p.observationDim], observations[i:])
	}
	input := tensors.FromFlatDataAndDimensions(scaled, seeds, p.n, p.observationDim)
	outputs, err := execution.Run(p.engine, p.exec, append([]*tensors.Tensor{input}, p.values...)...)
	if err != nil {
		return nil, fmt.Errorf("learners: acting: %w", err)
	}
	actions, err := execution.Copy(outputs[0])
	if err := errors.Join(err, execution.Finalize(append(outputs, input))); err != nil {
		return nil, fmt.Errorf("learners: acting: %w", err)
	}
	for i := range actions {
		actions[i] *= p.details.Scaling.MaxAction
	}
	return actions, nil
}

func (p *policy) Finalize() {
	p.exec.Finalize()
	_ = execution.Finalize(p.values) // nothing is to be done about it
}
