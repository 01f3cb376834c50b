// Package qualify drops the stitches that the learned dynamics contradict
// (DiffStitch, section 4.2, eq. 9): a bridge stands only if
// ‖f_ω(s, a) − s′‖₂ < δ for each of its transitions.
package qualify

import (
	"context"
	"fmt"
	"math"
	"slices"

	"diffstitch/io/attempt"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/transforms/inference"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

// Reasons for rejection.
const (
	ReasonDynamics     = "dynamics error"
	ReasonDisagreement = "ensemble disagreement"
	ReasonTerminal     = "predicted terminal state"
	ReasonNotFinite    = "not finite"
	ReasonNoGain       = "no gain in return"
)

var (
	accepted = beam.NewCounter("qualify", "stitches_accepted")
	rejected = map[string]beam.Counter{
		ReasonDynamics:     beam.NewCounter("qualify", "stitches_rejected_dynamics_error"),
		ReasonDisagreement: beam.NewCounter("qualify", "stitches_rejected_ensemble_disagreement"),
		ReasonTerminal:     beam.NewCounter("qualify", "stitches_rejected_predicted_terminal"),
		ReasonNotFinite:    beam.NewCounter("qualify", "stitches_rejected_not_finite"),
		ReasonNoGain:       beam.NewCounter("qualify", "stitches_rejected_no_gain"),
	}
	latency = beam.NewDistribution("qualify", "batch_milliseconds")
)

func init() {
	beam.RegisterDoFn(&stitchFn{})
	register.Emitter1[trajectory.BridgeBatch]()
}

// Config of the qualification.
type Config struct {
	// Delta is δ, in the units of the observations, or what Measure has.
	Delta float64 `json:"delta"`
	// Measure is how far the predicted next state is from the generated one.
	Measure string `json:"measure,omitempty"`
	// Off keeps every finite bridge, with its error: the paper's ablation
	// without qualification.
	Off bool `json:"off,omitempty"`
	// MaxDisagreement drops a stitch if, at any transition, a net of the dynamics
	// ensemble predicts a state farther than this from the nets' mean, in the
	// units of the observations; 0 asks nothing of them. It is the uncertainty
	// that the authors' code, after MOPO (Yu et al., 2020), can take off rewards.
	MaxDisagreement float64 `json:"max_disagreement,omitempty"`
	// RejectTerminal drops a stitch if one of its generated states is predicted to
	// be terminal, since the episode would end there. Of the Δ+1 transitions
	// those into s̃_1 … s̃_Δ are asked for. The last one is not: it leads to the
	// real s′_1, from which the high episode goes on; nor are the real transitions
	// before s_T. The authors' code, which has each environment's own rule in
	// place of a prediction, asks the last one too.
	RejectTerminal bool `json:"reject_terminal,omitempty"`
	// RequireGain drops a stitch that earns no more than what it replaces, as
	// the authors' code does.
	RequireGain bool `json:"require_gain,omitempty"`
}

// Measures of the error that δ bounds.
const (
	// Distance is ‖f_ω(s, a) − s′‖₂ (eq. 9); "" is the same.
	Distance = "distance"
	// Squared is the square of that between states as the denoiser has them: the
	// authors' code.
	Squared = "squared"
)

// Validate reports a threshold that accepts nothing.
func (c Config) Validate() error {
	switch {
	case !slices.Contains([]string{"", Distance, Squared}, c.Measure):
		return fmt.Errorf("qualify: unknown measure %q: want %s or %s", c.Measure, Distance, Squared)
	case !c.Off && !(c.Delta > 0):
		return fmt.Errorf("qualify: δ %v accepts nothing", c.Delta)
	case c.MaxDisagreement < 0 || !finite(c.MaxDisagreement):
		return fmt.Errorf("qualify: the largest disagreement %v is none: want a positive number, or 0 to allow any", c.MaxDisagreement)
	}
	return nil
}

// Stitches sets the errors of a PCollection<trajectory.BridgeBatch>, and a
// reason on those that are rejected: every stitch that comes in goes out, or its
// batch to a PCollection<trajectory.Failure>.
func Stitches(s beam.Scope, cfg Config, models session.Options, bridges beam.PCollection) (judged, dead beam.PCollection) {
	s = s.Scope("qualify.Stitches")
	return beam.ParDo2(s, &stitchFn{Config: cfg, Models: inference.Models{Options: models}}, bridges)
}

type stitchFn struct {
	inference.Models
	Config Config `json:"config"`
}

func (fn *stitchFn) ProcessElement(ctx context.Context, in trajectory.BridgeBatch, emit func(trajectory.BridgeBatch), dead func(trajectory.Failure)) error {
	defer inference.Clock(ctx, latency)()
	work := func() (trajectory.BridgeBatch, error) { return fn.qualify(ctx, in) }
	judged := func(out trajectory.BridgeBatch) {
		for _, b := range out.Bridges {
			count(ctx, b.Rejected)
		}
		emit(out)
	}
	return attempt.Batch(ctx, "qualify", in.Span(), work, judged, dead)
}

func (fn *stitchFn) qualify(ctx context.Context, in trajectory.BridgeBatch) (trajectory.BridgeBatch, error) {
	dim := fn.Info().ObservationDim
	states, next := in.Transitions(dim)
	var actions []float32
	for _, b := range in.Bridges {
		actions = append(actions, b.Actions...)
	}
	predicted, disagreement, err := fn.Dynamics(ctx, states, actions)
	if err != nil {
		return in, err
	}
	var terminals []float32 // probability of each transition
	if fn.Config.RejectTerminal {
		if terminals, err = fn.Terminals(ctx, states, actions); err != nil {
			return in, fmt.Errorf("terminal states: %w", err)
		}
	}
	out := trajectory.BridgeBatch{Index: in.Index, Bridges: make([]trajectory.Bridge, len(in.Bridges))}
	at := 0
	for i, b := range in.Bridges {
		rows := b.Pair.BridgeRows()
		b.Errors = fn.errors(predicted[at*dim:(at+rows)*dim], next[at*dim:(at+rows)*dim])
		b.MaxDisagreement = slices.Max(disagreement[at : at+rows])
		ends := fn.Config.RejectTerminal && anyLikely(terminals[at:at+rows-1])
		b.Rejected = fn.Config.judge(b, ends)
		out.Bridges[i] = b
		at += rows
	}
	return out, nil
}

// errors are those of the transitions, [n], between states [n, S].
func (fn *stitchFn) errors(predicted, next []float32) []float32 {
	info := fn.Info()
	if fn.Config.Measure != Squared {
		return training.Distances(predicted, next, info.ObservationDim)
	}
	normalised := func(states []float32) []float32 {
		scaled := make([]float32, len(states))
		info.States.Apply(scaled, states)
		return scaled
	}
	errors := training.Distances(normalised(predicted), normalised(next), info.ObservationDim)
	for i, d := range errors {
		errors[i] = d * d
	}
	return errors
}

func count(ctx context.Context, reason string) {
	if reason == "" {
		accepted.Inc(ctx, 1)
		return
	}
	rejected[reason].Inc(ctx, 1)
}

// judge gives the reason to reject a bridge, or "". It ends early if a generated
// state is predicted to be terminal.
func (c Config) judge(b trajectory.Bridge, endsEarly bool) string {
	worst, disagreement := float64(slices.Max(b.Errors)), float64(b.MaxDisagreement)
	gain := b.Pair.HighReturn - b.Pair.LowRest
	for _, r := range b.Rewards {
		gain += float64(r)
	}
	switch {
	case !finite(worst + disagreement + gain):
		return ReasonNotFinite
	case !c.Off && worst >= c.Delta:
		return ReasonDynamics
	case c.MaxDisagreement > 0 && disagreement > c.MaxDisagreement:
		return ReasonDisagreement
	case c.RejectTerminal && endsEarly:
		return ReasonTerminal
	case c.RequireGain && gain <= 0:
		return ReasonNoGain
	}
	return ""
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// anyLikely is whether one of the probabilities says more likely than not.
func anyLikely(probabilities []float32) bool {
	return slices.ContainsFunc(probabilities, func(p float32) bool { return p > 0.5 })
}
