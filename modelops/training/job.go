package training

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/random"
)

// objective is what differs between the kinds: what an example is, and what is
// lost on it.
type objective interface {
	// tables are what is drawn from, which stay on the device.
	tables() []*tensors.Tensor
	// draw builds the inputs of one optimizer step: random examples of one side.
	draw(draws *random.Draws, tables []*Node, from side, batch int) []*Node
	// loss is one number per net, [members]: nets are trained side by side, each as
	// if alone.
	loss(scope *model.Scope, inputs []*Node) *Node
}

// job is one model to be trained.
type job struct {
	kind      Kind
	data      *Data
	seed      uint64
	schedule  Schedule
	config    any // the kind's own configuration, dimensions filled in
	examples  examples
	objective objective
	onStep    func(Progress) // may be nil
	details   Details
}

// warmShare of the configuration's steps, its inverse, is what a warm training takes.
const warmShare = 4

// newJob prepares the data of a kind.
func newJob(kind Kind, cfg Config, data *Data, opts Options) (*job, error) {
	j := &job{kind: kind, data: data, seed: opts.Seed, onStep: opts.Progress}
	j.details.Statistics = data.statistics()
	var err error
	steps := opts.Steps
	if opts.Initial != "" {
		steps = 0 // the configuration stays as it is
	}
	switch kind {
	case Denoiser:
		err = j.prepareDenoiser(cfg.Denoiser, steps)
	case InverseDynamics:
		err = j.prepareRegressor(cfg.Inverse, steps)
	case Reward:
		err = j.prepareRegressor(cfg.Reward, steps)
	case Dynamics:
		err = j.prepareRegressor(cfg.Dynamics, steps)
	case SynthER:
		err = j.prepareSynthER(cfg.SynthER, steps)
	case RolloutPolicy:
		err = j.preparePolicy(cfg.Policy, steps)
	default:
		err = fmt.Errorf("no such model, there are %v", Kinds)
	}
	if err != nil {
		return nil, err
	}
	if opts.Initial != "" {
		j.schedule.Steps = cmp.Or(opts.Steps, max(1, j.schedule.Steps/warmShare))
	}
	if len(data.Learned) > 0 {
		j.details.Learned = data.generations()
	}
	j.details.TooShort = j.examples.tooShort
	j.details.HeldOutExamples = len(j.examples.heldOut)
	return j, nil
}

// identity is what the weights will be a function of.
func (j *job) identity(backendKind string) (checkpoint.Identity, error) {
	config, err := json.Marshal(j.config)
	if err != nil {
		return checkpoint.Identity{}, fmt.Errorf("encoding the configuration: %w", err)
	}
	return checkpoint.Identity{Config: config, DatasetFingerprint: j.data.Fingerprint, Seed: j.seed, Backend: backendKind}, nil
}

// model is the content of model.json, all but the identity.
func (j *job) model() (checkpoint.Model, error) {
	details, err := json.Marshal(j.details)
	if err != nil {
		return checkpoint.Model{}, fmt.Errorf("encoding the details: %w", err)
	}
	return checkpoint.Model{
		Kind: string(j.kind), ObservationDim: j.data.ObservationDim, ActionDim: j.data.ActionDim,
		Details: details,
	}, nil
}

// finish measures the perceptrons on all held-out transitions, through the code
// that will run them.
func (j *job) finish(engine compute.Backend, weights []checkpoint.Tensor) error {
	objective, ok := j.objective.(*regression)
	if !ok {
		return nil
	}
	return objective.measure(engine, j, weights)
}
