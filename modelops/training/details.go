package training

import (
	"fmt"
	"strings"

	"diffstitch/modelops/checkpoint"
)

// Details is what model.json says of a trained model beyond its identity.
type Details struct {
	Statistics Statistics `json:"statistics"`

	// Normalizer of the states, for the denoiser alone: the perceptrons scale by
	// the Statistics.
	Normalizer checkpoint.Normalizer `json:"normalizer,omitzero"`
	// Learned is Data.Learned and, last, the episodes of this training; nil of one that began
	// at random.
	Learned []int `json:"learned,omitempty"`
	// Windows tell what the denoiser learned from; nil of the other kinds.
	Windows *Windows `json:"windows,omitempty"`
	// TooShort counts the episodes without an example: of the denoiser those of a single
	// state.
	TooShort int `json:"too_short,omitempty"`

	Elites []int   `json:"elites,omitempty"` // members in use, of a perceptron
	Curve  []Point `json:"curve"`

	HeldOutLoss     float64 `json:"held_out_loss"`
	HeldOutExamples int     `json:"held_out_examples"` // windows or transitions held out
	// HeldOutError is f_ω's error on held-out transitions: that of the nets that judge.
	HeldOutError *ErrorQuantiles `json:"held_out_error,omitempty"`
	// RefinerError is that of the nets that refine bridges, where they are others.
	RefinerError *ErrorQuantiles `json:"refiner_error,omitempty"`
	// EpisodeError is the mean of f_ω's error over each held-out episode, and StretchError
	// the largest over each stretch of StretchSteps transitions of one: a bridge, too, is
	// judged by its worst.
	EpisodeError *ErrorQuantiles `json:"episode_error,omitempty"`
	StretchError *ErrorQuantiles `json:"stretch_error,omitempty"`
	// ActionEffect is how far f_ω's next state moves where the action is that of another
	// held-out transition.
	ActionEffect *ErrorQuantiles `json:"action_effect,omitempty"`
	// MaxDisagreement is how far a net of f_ω's ensemble strays from the nets' mean, at
	// most, on any transition of the data, in the units of the observations; 0 of one
	// net.
	MaxDisagreement float64 `json:"max_disagreement,omitempty"`
	// HeldOutTerminals is how well f_ϕ predicts terminal states, if it does.
	HeldOutTerminals *TerminalScore `json:"held_out_terminals,omitempty"`
}

// Knew is Data.Learned for a training that goes on from the model.
func (d Details) Knew() []int {
	if len(d.Learned) > 0 {
		return d.Learned
	}
	return []int{d.Statistics.Episodes}
}

// StretchSteps are the transitions of a stretch, about those of a bridge. Shorter
// episodes are a stretch.
const StretchSteps = 10

// Windows are the stretches of at most a horizon's states that a denoiser learns from,
// held out or not. One begins at every state that another follows; where its episode
// ends before the horizon does, the rest is padding, which the net doesn't see.
type Windows struct {
	Episodes int `json:"episodes"` // with two states or more: those that windows lie in
	States   int `json:"states"`   // of these episodes
	Begin    int `json:"begin"`    // windows
	Padded   int `json:"padded"`   // windows that reach past their episode's end
	Longest  int `json:"longest"`  // states of the longest episode
}

// LearnedFrom tells readers what a denoiser learned from; "" of the other kinds.
func (d Details) LearnedFrom() string {
	w := d.Windows
	if w == nil {
		return ""
	}
	return fmt.Sprintf("%d of %d episodes, %d states; %.0f%% of %d windows are padded past their episode's end",
		w.Episodes, d.Statistics.Episodes, w.States, 100*float64(w.Padded)/float64(w.Begin), w.Begin)
}

// Notice tells readers what bridges do with dimensions that no step changes; "" where
// there are none.
func (s Statistics) Notice() string {
	if len(s.EpisodeConstant) == 0 {
		return ""
	}
	list := strings.ReplaceAll(strings.Trim(fmt.Sprint(s.EpisodeConstant), "[]"), " ", ", ")
	return "What is constant within every episode and differs between episodes, as a goal does: of the states, dimension " + list + "." +
		" A bridge takes it from the high episode's s′_1; the dynamics model predicts that it stays, so that a stitch between episodes in which it differs by δ or more is rejected."
}

// TerminalScore compares predicted terminal states with the data's on held-out
// transitions. A transition is predicted to end in one where that is more likely
// than not.
type TerminalScore struct {
	Loss     float64 `json:"loss"`     // cross-entropy
	Terminal int     `json:"terminal"` // transitions that end in a terminal state
	Found    int     `json:"found"`    // those of them that are predicted to
	Mistaken int     `json:"mistaken"` // others that are predicted to
}

// Point is one point of a loss curve.
type Point struct {
	Step    int     `json:"step"`
	Loss    float64 `json:"loss"`     // mean over the steps since the point before
	HeldOut float64 `json:"held_out"` // of the averaged weights
}

// ErrorQuantiles is the distribution of ‖f_ω(s,a) − s′‖₂ over real transitions:
// errorQuantiles values at equal steps of probability from 0 to 1.
type ErrorQuantiles struct {
	Raw        []float32 `json:"raw"`        // in the units of the observations
	Normalized []float32 `json:"normalized"` // in standard deviations of the observations
}

// Quantile is the error that a share p of real transitions stays below, in the
// units of the observations.
func (e ErrorQuantiles) Quantile(p float64) float64 { return at(e.Raw, p) }

// QuantileNormalized is Quantile in standard deviations of the observations.
func (e ErrorQuantiles) QuantileNormalized(p float64) float64 { return at(e.Normalized, p) }

// at is a quantile of those that are kept.
func at(quantiles []float32, p float64) float64 {
	position := min(max(p, 0), 1) * float64(len(quantiles)-1)
	below := int(position)
	above := min(below+1, len(quantiles)-1)
	return float64(quantiles[below]) + (position-float64(below))*(float64(quantiles[above])-float64(quantiles[below]))
}
