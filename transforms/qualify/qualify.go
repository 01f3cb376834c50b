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
	// Delta is δ, in the units of the observations, or with Normalised in standard
	// deviations of the training data's.
	Delta      float64 `json:"delta"`
	Normalised bool    `json:"normalised,omitempty"`
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
	// RequireGain drops a stitch that earns no more than what it replaces; with
	// AcceptTies one that earns less, as in the authors' code, which discounts both.
	RequireGain bool `json:"require_gain,omitempty"`
	AcceptTies  bool `json:"accept_ties,omitempty"`
}

// Validate reports a threshold that accepts nothing.
func (c Config) Validate() error {
	switch {
	case !c.Off && !(c.Delta > 0):
		return fmt.Errorf("qualify: δ %v accepts nothing", c.Delta)
	case c.AcceptTies && !c.RequireGain:
		return fmt.Errorf("qualify: ties of the gain are accepted where none is required")
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
		b.Errors = training.Distances(predicted[at*dim:(at+rows)*dim], next[at*dim:(at+rows)*dim], dim)
		b.MaxDisagreement = slices.Max(disagreement[at : at+rows])
		ends := fn.Config.RejectTerminal && anyLikely(terminals[at:at+rows-1])
		worst := slices.Max(b.Errors)
		if fn.Config.Normalised {
			worst = slices.Max(scaledDistances(predicted[at*dim:(at+rows)*dim], next[at*dim:(at+rows)*dim], fn.Info().StateScale))
		}
		b.Rejected = fn.Config.judge(b, float64(worst), ends)
		out.Bridges[i] = b
		at += rows
	}
	return out, nil
}

func count(ctx context.Context, reason string) {
	if reason == "" {
		accepted.Inc(ctx, 1)
		return
	}
	rejected[reason].Inc(ctx, 1)
}

// scaledDistances is ‖(a − b)/scale‖₂ of each row.
//
//	a, b:   [n, S]
//	scale:  [S]
//	result: [n]
func scaledDistances(a, b, scale []float32) []float32 {
	difference := make([]float32, len(a))
	for i := range a {
		difference[i] = (a[i] - b[i]) / scale[i%len(scale)]
	}
	return training.Distances(difference, make([]float32, len(a)), len(scale))
}

// judge gives the reason to reject a bridge, or "", by the largest distance of a
// predicted state. It ends early if a generated state is predicted to be terminal.
func (c Config) judge(b trajectory.Bridge, worst float64, endsEarly bool) string {
	disagreement := float64(b.MaxDisagreement)
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
	case c.RequireGain && (gain < 0 || gain == 0 && !c.AcceptTies):
		return ReasonNoGain
	}
	return ""
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// anyLikely is whether one of the probabilities says more likely than not.
func anyLikely(probabilities []float32) bool {
	return slices.ContainsFunc(probabilities, func(p float32) bool { return p > 0.5 })
}
