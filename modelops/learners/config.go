package learners

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Learner is the name of a way to learn.
type Learner string

// The learners.
const (
	IQL   Learner = "iql"
	TD3BC Learner = "td3bc"
	DT    Learner = "dt"
)

// Learners lists them in the order of the paper's tables.
var Learners = []Learner{IQL, TD3BC, DT}

// Config is what a policy is trained by. Of the learners' own parts it holds the one
// of its learner.
type Config struct {
	Learner Learner  `json:"learner"`
	Seeds   []uint64 `json:"seeds"` // each trains a policy of its own
	Steps   int      `json:"steps"` // updates
	Batch   int      `json:"batch"` // transitions, or contexts, per update and seed
	Ratio   Ratio    `json:"ratio"`

	LearningRate float64 `json:"learning_rate"`
	// ObservationEpsilon is added to the standard deviations that observations are
	// divided by.
	ObservationEpsilon float64 `json:"observation_epsilon"`
	Rewards            Rewards `json:"rewards"`
	MaxAction          float64 `json:"max_action"` // actions lie in [-MaxAction, MaxAction]
	SaveEvery          int     `json:"save_every"` // updates between saved training states

	IQL   *IQLConfig   `json:"iql,omitempty"`
	TD3BC *TD3BCConfig `json:"td3bc,omitempty"`
	DT    *DTConfig    `json:"dt,omitempty"`
}

// Ratio is that of original to augmented rows in every batch.
type Ratio struct {
	Original  int `json:"original"`
	Augmented int `json:"augmented"`
}

// ParseRatio reads what String writes: "2:1".
func ParseRatio(text string) (Ratio, error) {
	first, second, found := strings.Cut(text, ":")
	original, err := strconv.Atoi(first)
	augmented, err2 := strconv.Atoi(second)
	r := Ratio{Original: original, Augmented: augmented}
	if !found || err != nil || err2 != nil || r.validate() != nil {
		return Ratio{}, fmt.Errorf("learners: ratio %q: it is original:augmented, such as 2:1 or 1:0", text)
	}
	return r, nil
}

func (r Ratio) String() string { return fmt.Sprintf("%d:%d", r.Original, r.Augmented) }

func (r Ratio) validate() error {
	if r.Original < 0 || r.Augmented < 0 || r.Original+r.Augmented < 1 {
		return fmt.Errorf("ratio %v: neither part may be negative, nor both 0", r)
	}
	return nil
}

// split is how many of a batch are original; the others are augmented. A part that
// is not 0 gets at least one.
func (r Ratio) split(batch int) (original int) {
	whole := r.Original + r.Augmented
	original = (2*batch*r.Original + whole) / (2 * whole) // to the nearest
	if r.Original > 0 {
		original = max(original, 1)
	}
	if r.Augmented > 0 {
		original = min(original, batch-1)
	}
	return original
}

// Rewards says how rewards are scaled.
type Rewards struct {
	Scale float64 `json:"scale"`
	// ByReturns divides by the range of the episodes' returns, too.
	ByReturns bool `json:"by_returns,omitempty"`
}

// IQLConfig is what implicit Q-learning needs besides.
type IQLConfig struct {
	Hidden       int     `json:"hidden"` // width of the two hidden layers
	Discount     float64 `json:"discount"`
	Tau          float64 `json:"tau"`  // share of the critics that goes into their targets
	Beta         float64 `json:"beta"` // inverse temperature: 0 clones behaviour
	Expectile    float64 `json:"expectile"`
	MaxAdvantage float64 `json:"max_advantage"` // bound of exp(Beta·advantage)
	// Deterministic has the actor learn the action by squared error, and no spread.
	Deterministic bool `json:"deterministic"`
	// ActorDropout is the share of the actor's hidden numbers that an update drops.
	ActorDropout float64 `json:"actor_dropout,omitempty"`
}

// TD3BCConfig is what TD3+BC needs besides.
type TD3BCConfig struct {
	Hidden      int     `json:"hidden"` // width of the two hidden layers
	Discount    float64 `json:"discount"`
	Tau         float64 `json:"tau"`          // share of the nets that goes into their targets
	PolicyNoise float64 `json:"policy_noise"` // standard deviation added to the target's actions, of MaxAction
	NoiseClip   float64 `json:"noise_clip"`   // bound of that, of MaxAction
	PolicyDelay int     `json:"policy_delay"` // updates of the critics for one of the actor
	Alpha       float64 `json:"alpha"`        // weight of the critic against cloning
}

// DTConfig is what the Decision Transformer needs besides.
type DTConfig struct {
	Context      int     `json:"context"` // steps
	Layers       int     `json:"layers"`
	Width        int     `json:"width"`
	EpisodeSteps int     `json:"episode_steps"` // steps that have embeddings of their own
	Dropout      float64 `json:"dropout"`
	WeightDecay  float64 `json:"weight_decay"`
	GradientClip float64 `json:"gradient_clip"`
	WarmupSteps  int     `json:"warmup_steps"` // the learning rate rises linearly over these
	// TargetReturn is what a policy aims at; at the highest return in the data where it
	// is 0.
	TargetReturn float64 `json:"target_return,omitempty"`
}

// Validate tells what is wrong with the configuration.
func (c Config) Validate() error {
	if err := c.validate(); err != nil {
		return fmt.Errorf("learners: %s: %w", c.Learner, err)
	}
	return nil
}

func (c Config) validate() error {
	if err := c.Ratio.validate(); err != nil {
		return err
	}
	switch {
	case len(c.Seeds) == 0:
		return fmt.Errorf("seeds is empty: give one at least")
	case len(slices.Compact(slices.Sorted(slices.Values(c.Seeds)))) != len(c.Seeds):
		return fmt.Errorf("seeds %v: one is there twice", c.Seeds)
	case c.Steps < 1 || c.SaveEvery < 1:
		return fmt.Errorf("steps (%d) and save_every (%d) must be at least 1", c.Steps, c.SaveEvery)
	case c.Batch < 1 || c.Ratio.Original > 0 && c.Ratio.Augmented > 0 && c.Batch < 2:
		return fmt.Errorf("batch %d is too small for the ratio %v", c.Batch, c.Ratio)
	case !(c.LearningRate > 0) || !(c.ObservationEpsilon > 0) || !(c.Rewards.Scale > 0) || !(c.MaxAction > 0):
		return fmt.Errorf("learning_rate (%v), observation_epsilon (%v), rewards.scale (%v) and max_action (%v) must be positive",
			c.LearningRate, c.ObservationEpsilon, c.Rewards.Scale, c.MaxAction)
	}
	return c.validateLearner()
}

// validateLearner looks at the learner's own part.
func (c Config) validateLearner() error {
	parts := map[Learner]bool{IQL: c.IQL != nil, TD3BC: c.TD3BC != nil, DT: c.DT != nil}
	for learner, there := range parts {
		if there != (learner == c.Learner) {
			return fmt.Errorf("a configuration of %s has the part of %s alone", c.Learner, c.Learner)
		}
	}
	switch c.Learner {
	case IQL:
		return c.IQL.validate()
	case TD3BC:
		return c.TD3BC.validate()
	case DT:
		return c.DT.validate()
	default:
		return fmt.Errorf("no such learner: it is one of %v", Learners)
	}
}

func (c IQLConfig) validate() error {
	switch {
	case c.Hidden < 1:
		return fmt.Errorf("hidden %d must be at least 1", c.Hidden)
	case !(c.Discount >= 0 && c.Discount <= 1) || !(c.Tau > 0 && c.Tau <= 1):
		return fmt.Errorf("discount %v must be in [0, 1] and tau %v in (0, 1]", c.Discount, c.Tau)
	case !(c.Expectile > 0 && c.Expectile < 1):
		return fmt.Errorf("expectile %v is outside (0, 1)", c.Expectile)
	case !(c.Beta >= 0) || !(c.MaxAdvantage > 0):
		return fmt.Errorf("beta %v must not be negative, max_advantage %v must be positive", c.Beta, c.MaxAdvantage)
	case !(c.ActorDropout >= 0 && c.ActorDropout < 1):
		return fmt.Errorf("actor_dropout %v is outside [0, 1)", c.ActorDropout)
	}
	return nil
}

func (c TD3BCConfig) validate() error {
	switch {
	case c.Hidden < 1:
		return fmt.Errorf("hidden %d must be at least 1", c.Hidden)
	case !(c.Discount >= 0 && c.Discount <= 1) || !(c.Tau > 0 && c.Tau <= 1):
		return fmt.Errorf("discount %v must be in [0, 1] and tau %v in (0, 1]", c.Discount, c.Tau)
	case !(c.PolicyNoise >= 0) || !(c.NoiseClip >= 0) || !(c.Alpha > 0):
		return fmt.Errorf("policy_noise (%v) and noise_clip (%v) must not be negative, alpha (%v) must be positive", c.PolicyNoise, c.NoiseClip, c.Alpha)
	case c.PolicyDelay < 1 || callUpdates%c.PolicyDelay != 0:
		return fmt.Errorf("policy_delay %d must divide %d", c.PolicyDelay, callUpdates)
	}
	return nil
}

func (c DTConfig) validate() error {
	switch {
	case c.Context < 1 || c.Layers < 1 || c.Layers > 9 || c.Width < 1 || c.EpisodeSteps < 1:
		return fmt.Errorf("context (%d), width (%d) and episode_steps (%d) must be at least 1, layers (%d) from 1 to 9", c.Context, c.Width, c.EpisodeSteps, c.Layers)
	case !(c.Dropout >= 0 && c.Dropout < 1):
		return fmt.Errorf("dropout %v is outside [0, 1)", c.Dropout)
	case !(c.WeightDecay >= 0) || !(c.GradientClip >= 0) || c.WarmupSteps < 0:
		return fmt.Errorf("weight_decay (%v), gradient_clip (%v) and warmup_steps (%d) must not be negative", c.WeightDecay, c.GradientClip, c.WarmupSteps)
	}
	return nil
}
