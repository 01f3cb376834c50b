package training

import (
	"fmt"
	"math"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/cvae"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/edm"
	"diffstitch/modelops/nets"
)

// Config is the configuration of all models.
type Config struct {
	Denoiser DenoiserConfig  `json:"denoiser"`
	Inverse  RegressorConfig `json:"inverse"`
	Reward   RegressorConfig `json:"reward"`
	Dynamics RegressorConfig `json:"dynamics"`
	SynthER  SynthERConfig   `json:"synther"`
	Policy   PolicyConfig    `json:"policy"`
}

// Of is a pointer to the configuration of a kind, as its model.json has it.
func (c *Config) Of(kind Kind) any {
	return map[Kind]any{
		Denoiser: &c.Denoiser, InverseDynamics: &c.Inverse, Reward: &c.Reward, Dynamics: &c.Dynamics, SynthER: &c.SynthER, RolloutPolicy: &c.Policy,
	}[kind]
}

// Decays of the learning rate after its warm-up.
const (
	Constant = "constant"
	Cosine   = "cosine" // to zero at the last step
)

// Schedule is how long and how fast a model learns.
type Schedule struct {
	Steps        int     `json:"steps"` // optimizer steps
	Batch        int     `json:"batch"` // windows or transitions per step
	LearningRate float64 `json:"learning_rate"`
	WarmupSteps  int     `json:"warmup_steps"` // the rate rises linearly over these
	Decay        string  `json:"decay"`        // constant or cosine
	EMA          float64 `json:"ema"`          // decay of the averaged weights, those that are kept

	EvaluateEvery int `json:"evaluate_every"` // steps between held-out losses
	SaveEvery     int `json:"save_every"`     // steps between saved training states
}

// DenoiserConfig configures G_θ. The dimensions of the states are filled in from
// the data.
type DenoiserConfig struct {
	Schedule
	Normalizer string           `json:"normalizer"` // gaussian or quantile
	Diffusion  diffusion.Config `json:"diffusion"`
}

// SynthERConfig configures SynthER's denoiser of transitions. Their width is filled
// in from the data.
type SynthERConfig struct {
	Schedule
	Diffusion edm.Config `json:"diffusion"`
}

// PolicyConfig configures TATU's rollout policy. The dimensions are filled in from the
// data.
type PolicyConfig struct {
	Schedule
	Net cvae.Config `json:"net"`
}

// RegressorConfig configures one of the three perceptrons.
type RegressorConfig struct {
	Schedule
	Hidden     int    `json:"hidden"`
	Layers     int    `json:"layers"` // linear layers, the output's included
	Activation string `json:"activation"`
	Members    int    `json:"members"` // nets trained, each on its own batches
	Elites     int    `json:"elites"`  // nets used, those with the least held-out loss
	// Refiners are nets of the dynamics beside the members, trained on other episodes:
	// they refine bridges, and the members judge what comes of it. 0 has the elites do
	// both.
	Refiners int `json:"refiners,omitempty"`
	// Terminals has the reward model predict terminal states too.
	Terminals bool `json:"terminals,omitempty"`
}

// net is the shape of one member.
func (c RegressorConfig) net(inputs, outputs int) nets.MLPConfig {
	return nets.MLPConfig{Inputs: inputs, Hidden: c.Hidden, Layers: c.Layers, Outputs: outputs, Activation: c.Activation}
}

// refining lists the nets that refine bridges, of which elites judge.
func (c RegressorConfig) refining(elites []int) []int {
	if c.Refiners == 0 {
		return elites
	}
	list := make([]int, c.Refiners)
	for i := range list {
		list[i] = c.Members + i
	}
	return list
}

// Validate reports the first value that cannot be trained with.
func (s Schedule) Validate() error {
	switch {
	case s.Steps < 1 || s.Batch < 1 || s.EvaluateEvery < 1 || s.SaveEvery < 1:
		return fmt.Errorf("steps (%d), batch (%d), evaluate_every (%d) and save_every (%d) must be at least 1", s.Steps, s.Batch, s.EvaluateEvery, s.SaveEvery)
	case !(s.LearningRate > 0) || s.WarmupSteps < 0:
		return fmt.Errorf("learning_rate %v must be positive and warmup_steps %d not negative", s.LearningRate, s.WarmupSteps)
	case s.Decay != Constant && s.Decay != Cosine:
		return fmt.Errorf("decay %q is neither %s nor %s", s.Decay, Constant, Cosine)
	case !(s.EMA >= 0 && s.EMA < 1):
		return fmt.Errorf("ema %v is outside [0, 1)", s.EMA)
	}
	return nil
}

// Validate reports the first value that cannot be trained with.
func (c DenoiserConfig) Validate() error {
	if c.Normalizer != checkpoint.Gaussian && c.Normalizer != checkpoint.Quantile {
		return fmt.Errorf("normalizer %q is neither %s nor %s", c.Normalizer, checkpoint.Gaussian, checkpoint.Quantile)
	}
	if err := c.Diffusion.Validate(); err != nil {
		return err
	}
	return c.Schedule.Validate()
}

// Validate reports the first value that cannot be trained with.
func (c SynthERConfig) Validate() error {
	if err := c.Diffusion.Validate(); err != nil {
		return err
	}
	return c.Schedule.Validate()
}

// Validate reports the first value that cannot be trained with.
func (c PolicyConfig) Validate() error {
	if err := c.Net.Validate(); err != nil {
		return err
	}
	return c.Schedule.Validate()
}

// Validate reports the first value that cannot be trained with.
func (c RegressorConfig) Validate() error {
	if c.Elites < 1 || c.Members < c.Elites {
		return fmt.Errorf("elites (%d) must be at least 1 and at most members (%d)", c.Elites, c.Members)
	}
	if c.Refiners < 0 {
		return fmt.Errorf("refiners (%d) must not be negative", c.Refiners)
	}
	if err := c.net(1, 1).Validate(); err != nil {
		return err
	}
	return c.Schedule.Validate()
}

// rate is the learning rate of a 0-based step.
func (s Schedule) rate(step int) float64 {
	warm := math.Min(1, float64(step+1)/float64(s.WarmupSteps+1))
	if s.Decay == Constant {
		return s.LearningRate * warm
	}
	return s.LearningRate * warm * 0.5 * (1 + math.Cos(math.Pi*float64(step)/float64(s.Steps)))
}

// averaging is the decay of the averaged weights at a 0-based step. It rises from
// 0, since the first weights say nothing.
func (s Schedule) averaging(step int) float64 {
	return math.Min(s.EMA, float64(step)/float64(step+9))
}
