// Package cvae is the net of TATU's rollout policy (Zhang et al., 2023, arXiv
// 2304.04660): a conditional variational auto-encoder, which for a state draws actions
// such as the data has there. It is built as BCQ's (Fujimoto et al., 2019).
//
// States are standardised, and actions scaled to [-1, 1].
package cvae

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/nets"
)

const (
	// klWeight is the weight of the divergence beside the mean squared error.
	klWeight = 0.5
	// The logarithm of the encoder's deviation is kept within these.
	leastLog, mostLog = -4, 15
	// latentBound bounds the latent values that actions are drawn from.
	latentBound = 0.5
)

// Config is the shape of encoder and decoder.
type Config struct {
	StateDim  int `json:"state_dim"`
	ActionDim int `json:"action_dim"`
	Hidden    int `json:"hidden"` // width of the two hidden layers
}

// Latent is the number of latent values, twice that of an action's.
func (c Config) Latent() int { return 2 * c.ActionDim }

// Validate tells what is wrong with the configuration.
func (c Config) Validate() error {
	if c.StateDim < 1 || c.ActionDim < 1 || c.Hidden < 1 {
		return fmt.Errorf("cvae: state_dim, action_dim and hidden must be positive: %+v", c)
	}
	return nil
}

// Batch is what one training step sees.
type Batch struct {
	States  *Node // [batch, S]
	Actions *Node // [batch, A]
	Noise   *Node // [batch, latent], standard normal
}

// Loss is the mean squared error of the actions that come back, and the divergence
// of the latent values from a standard normal distribution.
//
//	result: scalar
func Loss(scope *model.Scope, cfg Config, batch Batch) *Node {
	mean, logDeviation := Encode(scope, cfg, batch.States, batch.Actions)
	latent := Add(mean, Mul(Exp(logDeviation), batch.Noise))
	back := Decode(scope, cfg, batch.States, latent)
	return Add(ReduceAllMean(Square(Sub(back, batch.Actions))), MulScalar(Divergence(mean, logDeviation), klWeight))
}

// Encode gives the distribution of the latent values.
//
//	states:  [batch, S]
//	actions: [batch, A]
//	results: [batch, latent]
func Encode(scope *model.Scope, cfg Config, states, actions *Node) (mean, logDeviation *Node) {
	check(cfg.Validate())
	latent := cfg.Latent()
	both := nets.MLP(scope.At("encoder"), cfg.net(cfg.StateDim+cfg.ActionDim, 2*latent), Concatenate([]*Node{states, actions}, -1))
	return SliceAxis(both, -1, AxisRange(0, latent)), ClipScalar(SliceAxis(both, -1, AxisRange(latent)), leastLog, mostLog)
}

// Decode gives the actions of latent values.
//
//	states: [batch, S]
//	latent: [batch, latent]
//	result: [batch, A], within [-1, 1]
func Decode(scope *model.Scope, cfg Config, states, latent *Node) *Node {
	check(cfg.Validate())
	return Tanh(nets.MLP(scope.At("decoder"), cfg.net(cfg.StateDim+cfg.Latent(), cfg.ActionDim), Concatenate([]*Node{states, latent}, -1)))
}

// Bound clips latent values that were drawn at random, in place, so that actions
// stay near the data's.
func Bound(latent []float32) {
	for i, v := range latent {
		latent[i] = min(max(v, -latentBound), latentBound)
	}
}

// Divergence is the Kullback–Leibler divergence from a standard normal distribution,
// the mean over all values.
//
//	mean, logDeviation: [batch, latent]
//	result:             scalar
func Divergence(mean, logDeviation *Node) *Node {
	variance := Exp(MulScalar(logDeviation, 2))
	terms := Sub(Add(Square(mean), variance), AddScalar(MulScalar(logDeviation, 2), 1))
	return MulScalar(ReduceAllMean(terms), 0.5)
}

// net is the shape of a half.
func (c Config) net(inputs, outputs int) nets.MLPConfig {
	return nets.MLPConfig{Inputs: inputs, Hidden: c.Hidden, Layers: 3, Outputs: outputs, Activation: "relu"}
}

// check panics on a wrong configuration, as graph building does.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
