package learners

import (
	"errors"
	"fmt"
	"slices"

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

// Conditioned is a policy that aims at a return: at the configuration's, unless it is
// told another.
type Conditioned interface {
	Policy
	// Aim sets the return that episodes begun from here on aim at.
	Aim(target float64)
}

// Open loads the policy that Train wrote to dir. That of a Decision Transformer is
// Conditioned.
func Open(engine compute.Backend, dir string) (Policy, error) {
	m, _, weights, err := checkpoint.Open(dir)
	if errors.Is(err, checkpoint.ErrUnfinished) {
		return nil, fmt.Errorf("learners: %s holds no finished policy: train one there first: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("learners: %w", err)
	}
	p, err := open(engine, m, weights)
	if err != nil {
		return nil, fmt.Errorf("learners: %s: %w", dir, err)
	}
	return p, nil
}

func open(engine compute.Backend, m checkpoint.Model, weights []checkpoint.Tensor) (Policy, error) {
	n := net{engine: engine, observationDim: m.ObservationDim, actionDim: m.ActionDim}
	if err := m.Decode(&n.cfg, &n.details); err != nil {
		return nil, err
	}
	if err := n.cfg.Validate(); err != nil {
		return nil, err
	}
	r := replay{observationDim: m.ObservationDim, actionDim: m.ActionDim}
	switch n.cfg.Learner {
	case IQL:
		return openReactive(n, newIQL(n.cfg, r).act, weights)
	case TD3BC:
		return openReactive(n, newTD3BC(n.cfg, r).act, weights)
	default: // a valid configuration has no other
		return openRemembering(n, newDT(n.cfg, r), weights)
	}
}

// net is a trained net on the device.
type net struct {
	engine                    compute.Backend
	cfg                       Config
	details                   details
	observationDim, actionDim int

	names  []string
	values []*tensors.Tensor
	exec   *model.Exec
}

// load puts the weights on the device; build gives the actions for inputs.
func (n *net) load(weights []checkpoint.Tensor, inputs int, build func(values arrays, inputs []*Node) *Node) (err error) {
	for _, w := range weights {
		n.names = append(n.names, w.Name)
		n.values = append(n.values, tensors.FromFlatDataAndDimensions(w.Data, w.Shape...))
	}
	n.exec, err = model.NewExec(n.engine, model.NewStore(), func(_ *model.Scope, nodes []*Node) *Node {
		values := arrays{}
		for i, name := range n.names {
			values[name] = nodes[inputs+i]
		}
		return build(values, nodes[:inputs])
	})
	return err
}

// run gives the actions in their own unit, and frees the inputs.
func (n *net) run(inputs ...*tensors.Tensor) ([]float32, error) {
	outputs, err := execution.Run(n.engine, n.exec, slices.Concat(inputs, n.values)...)
	if err != nil {
		return nil, fmt.Errorf("learners: acting: %w", err)
	}
	actions, err := execution.Copy(outputs[0])
	if err := errors.Join(err, execution.Finalize(append(outputs, inputs...))); err != nil {
		return nil, fmt.Errorf("learners: acting: %w", err)
	}
	for i := range actions {
		actions[i] *= n.details.Scaling.MaxAction
	}
	return actions, nil
}

// observed normalises the observations of n episodes of each seed.
func (n *net) observed(episodes int, observations, rewards []float32) ([]float32, error) {
	seeds := len(n.cfg.Seeds)
	if episodes < 1 || len(observations) != seeds*episodes*n.observationDim || len(rewards) != seeds*episodes {
		return nil, fmt.Errorf("learners: %d values of observations and %d rewards for %d seeds of %d episodes", len(observations), len(rewards), seeds, episodes)
	}
	scaled := make([]float32, len(observations))
	for i := 0; i < len(scaled); i += n.observationDim {
		n.details.Scaling.observation(scaled[i:i+n.observationDim], observations[i:])
	}
	return scaled, nil
}

func (n *net) Seeds() int { return len(n.cfg.Seeds) }

func (n *net) Finalize() {
	n.exec.Finalize()
	_ = execution.Finalize(n.values) // nothing is to be done about it
}

// reactive is a policy that looks at the present observation alone.
type reactive struct {
	net
	episodes int // of a seed
}

// openReactive takes the actor's graph.
//
//	observations: [seeds, n, O], normalised
//	result:       [seeds, n, A], in [-1, 1]
func openReactive(n net, act func(values arrays, observations *Node) *Node, weights []checkpoint.Tensor) (Policy, error) {
	p := &reactive{net: n}
	err := p.load(weights, 1, func(values arrays, inputs []*Node) *Node { return act(values, inputs[0]) })
	return p, err
}

func (p *reactive) Begin(n int) { p.episodes = n }

func (p *reactive) Act(observations, rewards []float32) ([]float32, error) {
	scaled, err := p.observed(p.episodes, observations, rewards)
	if err != nil {
		return nil, err
	}
	return p.run(tensors.FromFlatDataAndDimensions(scaled, p.Seeds(), p.episodes, p.observationDim))
}
