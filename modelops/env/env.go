// Package env has the interfaces of environments: Vector, in which policies are rolled
// out, and Simulator, which takes a step from any observation and so can judge a
// generated transition. The packages below implement them, pointmaze in Go and
// gymnasium by a Python program; catalog opens either by its name, and envtest is the
// suite that both pass.
//
// Arrays are flat float32 slices, row-major: n copies of S observation and A
// action values.
package env

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
)

// ErrUnknown is in the chain of an error that says that there is no environment
// of a name, that it has no simulator, or that it does not take an option.
var ErrUnknown = errors.New("unknown environment")

// Options are settings of an environment, by their names: those that begin with
// ResetPrefix of each episode, the others of the environment itself.
type Options map[string]json.RawMessage

// String lists the options by their names.
func (o Options) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(o)) {
		all = append(all, name+"="+string(o[name]))
	}
	return strings.Join(all, ", ")
}

// ResetPrefix begins the names of the options that an episode is begun with.
const ResetPrefix = "reset."

// Spec is what an environment is.
type Spec struct {
	Name           string `json:"name"`
	ObservationDim int    `json:"observation_dim"` // S
	ActionDim      int    `json:"action_dim"`      // A
	// MaxSteps is after how many steps an episode ends by a timeout; 0 where it
	// never does.
	MaxSteps int `json:"max_steps"`
	// Actions are clipped to these bounds, [A] each.
	ActionLow  []float32 `json:"action_low"`
	ActionHigh []float32 `json:"action_high"`
	// Reference is nil where no scores are known.
	Reference *Reference `json:"reference,omitempty"`
	// TargetReturns are those that a Decision Transformer is asked for, the
	// highest first; none where nothing is known.
	TargetReturns []float64 `json:"target_returns,omitempty"`
	// Options are those it was opened with, where there were any.
	Options Options `json:"options,omitempty"`
	// TellsSuccess is whether Step says when the task is achieved.
	TellsSuccess bool `json:"tells_success,omitempty"`
	// Unobserved is what of the state is not observed though something depends on it, and
	// what a Simulator takes in its place; "" where there is nothing.
	Unobserved string `json:"unobserved,omitempty"`
	// Versions are those of the software that runs it, by package.
	Versions map[string]string `json:"versions,omitempty"`
}

// Reference gives the returns between which scores are normalised.
type Reference struct {
	Random float64 `json:"random"` // return of a random policy: score 0
	Expert float64 `json:"expert"` // return of an expert: score 100
	// Caveat says what scores made with it cannot be compared with; it may be "".
	Caveat string `json:"caveat,omitempty"`
}

// Score is the normalised score of a return.
func (r Reference) Score(episodeReturn float64) float64 {
	return 100 * (episodeReturn - r.Random) / (r.Expert - r.Random)
}

// Vector is n copies of an environment that are stepped together.
type Vector interface {
	Spec() Spec
	// Reset begins an episode in each copy, from a seed each. It gives their
	// first observations, [n, S].
	Reset(seeds []uint64) (observations []float32, err error)
	// Step takes an action in each copy, [n, A]. A copy whose episode ended stays
	// as it is until Reset: the same observation and flags, a reward of 0.
	Step(actions []float32) (Step, error)
	Close() error
}

// Step is what an action in each of n copies led to. Its slices are the caller's.
type Step struct {
	Observations []float32 // [n, S]
	Rewards      []float32 // [n]
	Terminals    []bool    // [n], the episode ended in a terminal state
	Timeouts     []bool    // [n], the episode ended by its time limit
	Successes    []bool    // [n], the task is achieved now; false where that is not told
}

// Simulator is an environment whose state can be set from an observation, so
// that it can judge a transition.
type Simulator interface {
	Spec() Spec
	// StepFrom takes an action from each of m states: the observations that
	// follow, [m, S], and the rewards, [m]. The row of an observation that no
	// state can be set from is NaN, and so are rewards that depend on more than is
	// observed.
	//
	//	observations: [m, S]
	//	actions:      [m, A]
	StepFrom(observations, actions []float32) (next, rewards []float32, err error)
	Close() error
}
