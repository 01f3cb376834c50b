package training

import (
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/cvae"
	"diffstitch/modelops/random"
	"diffstitch/modelops/training/execution"
)

// imitation is the objective of TATU's rollout policy: to act as the data does.
type imitation struct {
	data     *Data
	stats    Statistics
	config   cvae.Config
	examples examples
}

// preparePolicy sets the job up for the rollout policy.
func (j *job) preparePolicy(cfg PolicyConfig, steps int) error {
	if steps > 0 {
		cfg.Steps = steps
	}
	cfg.Net.StateDim, cfg.Net.ActionDim = j.data.ObservationDim, j.data.ActionDim
	if err := cfg.Validate(); err != nil {
		return err
	}
	var err error
	if j.examples, err = split(j.data, j.seed, func(t Trajectory) int { return len(t.Rewards) }); err != nil {
		return err
	}
	j.config, j.schedule = cfg, cfg.Schedule
	j.objective = &imitation{data: j.data, stats: j.details.Statistics, config: cfg.Net, examples: j.examples}
	return nil
}

// Inputs of one step.
const (
	inState  = iota // [batch, S], standardised
	inAction        // [batch, A], within [-1, 1]
	inLatent        // [batch, latent], noise
)

// tables is one row per example: state and action.
func (o *imitation) tables() []*tensors.Tensor {
	stateDim, actionDim := o.config.StateDim, o.config.ActionDim
	return []*tensors.Tensor{tableOf(o.examples.all(), stateDim+actionDim, func(e example, row []float32) {
		t, step := &o.data.Trajectories[e.episode], int(e.step)
		standardize(row, t.States[step*stateDim:], o.stats.ObservationMean, o.stats.ObservationScale)
		for d, a := range t.Actions[step*actionDim : (step+1)*actionDim] {
			middle, half := o.stats.actionSpan(d)
			row[stateDim+d] = (a - middle) / half
		}
	})}
}

func (o *imitation) draw(draws *random.Draws, tables []*Node, from side, batch int) []*Node {
	rows := o.examples.pick(draws, tables[0], from, batch)
	return []*Node{
		inState:  SliceAxis(rows, 1, AxisRange(0, o.config.StateDim)),
		inAction: SliceAxis(rows, 1, AxisRange(o.config.StateDim)),
		inLatent: draws.Normal(batch, o.config.Latent()),
	}
}

func (o *imitation) loss(scope *model.Scope, inputs []*Node) *Node {
	return Reshape(cvae.Loss(scope, o.config, cvae.Batch{States: inputs[inState], Actions: inputs[inAction], Noise: inputs[inLatent]}), 1)
}

// actionSpan is the middle of an action's range in the data, and half its width,
// 1 where it has none.
func (s Statistics) actionSpan(d int) (middle, half float32) {
	middle, half = (s.ActionLow[d]+s.ActionHigh[d])/2, (s.ActionHigh[d]-s.ActionLow[d])/2
	if half == 0 {
		half = 1
	}
	return middle, half
}

// Policy runs a trained rollout policy. It is safe for concurrent use once made.
type Policy struct {
	stats  Statistics
	config cvae.Config
	net    *execution.Net
}

// NewPolicy compiles a model that was trained as a rollout policy.
func NewPolicy(engine compute.Backend, m checkpoint.Model, weights []checkpoint.Tensor) (*Policy, error) {
	var cfg PolicyConfig
	var details Details
	if err := m.Decode(&cfg, &details); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	p := &Policy{stats: details.Statistics, config: cfg.Net}
	// states: [rows, S], latent: [rows, latent], result: [rows, A]
	var err error
	p.net, err = execution.NewNet(engine, weights, func(scope *model.Scope, states, latent *Node) *Node {
		return cvae.Decode(scope.At(execution.WeightsScope), p.config, states, latent)
	})
	if err != nil {
		return nil, err
	}
	p.net.OneShape()
	states, latent := shapes.Make(dtypes.Float32, regressorRows, p.config.StateDim), shapes.Make(dtypes.Float32, regressorRows, p.config.Latent())
	return p, p.net.Compile(states, latent)
}

// Warm runs the compiled graph once, so that what an engine does at the first run
// is done.
func (p *Policy) Warm() error {
	_, err := p.Act(make([]float32, p.config.StateDim), make([]float32, p.config.Latent()))
	return err
}

// Finalize frees the compiled graph and the weights.
func (p *Policy) Finalize() { p.net.Finalize() }

// Latent is how many latent values an action is drawn from.
func (p *Policy) Latent() int { return p.config.Latent() }

// Act gives actions, within the data's range.
//
//	states: [n, S]
//	latent: [n, latent], standard normal; they are clipped as the method does
//	result: [n, A]
func (p *Policy) Act(states, latent []float32) ([]float32, error) {
	stateDim, width, actionDim := p.config.StateDim, p.config.Latent(), p.config.ActionDim
	n := len(states) / stateDim
	if len(states) != n*stateDim || len(latent) != n*width {
		return nil, fmt.Errorf("training: policy: %d and %d values are not rows of %d and %d", len(states), len(latent), stateDim, width)
	}
	actions := make([]float32, 0, n*actionDim)
	for start := 0; start < n; start += regressorRows {
		rows := min(regressorRows, n-start)
		scaled, bounded := make([]float32, regressorRows*stateDim), make([]float32, regressorRows*width)
		for row := range rows {
			standardize(scaled[row*stateDim:], states[(start+row)*stateDim:], p.stats.ObservationMean, p.stats.ObservationScale)
		}
		copy(bounded, latent[start*width:(start+rows)*width])
		cvae.Bound(bounded)
		flat, err := p.net.Call(
			tensors.FromFlatDataAndDimensions(scaled, regressorRows, stateDim), tensors.FromFlatDataAndDimensions(bounded, regressorRows, width))
		if err != nil {
			return nil, fmt.Errorf("training: policy: %w", err)
		}
		actions = append(actions, flat[:rows*actionDim]...)
	}
	for i, a := range actions {
		middle, half := p.stats.actionSpan(i % actionDim)
		actions[i] = middle + a*half
	}
	return actions, nil
}
