// Package rollout imagines episodes by TATU (Zhang et al., 2023, arXiv 2304.04660),
// a baseline: from states of the data, a policy that was learned from it acts in an
// ensemble of dynamics models, until their accumulated uncertainty is too large.
package rollout

import (
	"context"
	"fmt"
	"math/rand/v2"

	"diffstitch/io/attempt"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/transforms/inference"
	"diffstitch/transforms/qualify"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

// ReasonUncertain is that not even the first step could be trusted.
const ReasonUncertain = "uncertain at the first step"

var (
	accepted = beam.NewCounter("rollout", "rollouts_accepted")
	rejected = map[string]beam.Counter{
		ReasonUncertain:         beam.NewCounter("rollout", "rollouts_rejected_uncertain"),
		qualify.ReasonNotFinite: beam.NewCounter("rollout", "rollouts_rejected_not_finite"),
	}
	truncated = beam.NewCounter("rollout", "rollouts_truncated")
	lengths   = beam.NewDistribution("rollout", "steps")
	latency   = beam.NewDistribution("rollout", "batch_milliseconds")
)

func init() {
	beam.RegisterDoFn(&episodesFn{})
	register.Emitter1[trajectory.SyntheticBatch]()
}

// Config of the rollouts. The uncertainty of a step is the largest L2 distance of a
// net of the ensemble from the nets' mean, in the units of the observations.
type Config struct {
	Length int `json:"length"` // steps at most
	// Truncation is the share of the largest uncertainty of any of the data's
	// transitions that the sum of a rollout's uncertainties stays below: 1/α of the
	// paper.
	Truncation float64 `json:"truncation"`
	// Penalty λ is what a step's uncertainty takes off its reward: r − λ·u.
	Penalty float64 `json:"penalty"`
}

// DefaultConfig is that of the authors' code.
func DefaultConfig() Config { return Config{Length: 5, Truncation: 0.5, Penalty: 1} }

// Validate reports settings that roll nothing out.
func (c Config) Validate() error {
	switch {
	case c.Length < 1:
		return fmt.Errorf("rollout: rollouts of %d steps", c.Length)
	case !(c.Truncation > 0):
		return fmt.Errorf("rollout: a truncation at %v times the data's uncertainty leaves nothing", c.Truncation)
	case !(c.Penalty >= 0):
		return fmt.Errorf("rollout: a negative penalty %v pays for uncertainty", c.Penalty)
	}
	return nil
}

// Runs is how many runs of a model a batch takes, at most: one of each in a step.
func (c Config) Runs() int64 {
	return int64(c.Length) * int64(len(training.KindsOf(training.MethodTATU)))
}

// Episodes rolls out the episodes of a PCollection<trajectory.Starts>, each with a
// random stream of its own. It gives a PCollection<trajectory.SyntheticBatch>, in
// which those are rejected whose first step is too uncertain, and a
// PCollection<trajectory.Failure> of the batches that could not be rolled out.
func Episodes(s beam.Scope, cfg Config, models session.Options, seed uint64, starts beam.PCollection) (rolled, dead beam.PCollection) {
	s = s.Scope("rollout.Episodes")
	return beam.ParDo2(s, &episodesFn{Config: cfg, Models: inference.Models{Options: models}, Seed: seed}, starts)
}

type episodesFn struct {
	inference.Models
	Config Config `json:"config"`
	Seed   uint64 `json:"seed"`
}

func (fn *episodesFn) ProcessElement(ctx context.Context, starts trajectory.Starts, emit func(trajectory.SyntheticBatch), dead func(trajectory.Failure)) error {
	defer inference.Clock(ctx, latency)()
	work := func() ([]rollout, error) { return fn.rollOut(ctx, starts) }
	rolled := func(all []rollout) {
		out := trajectory.SyntheticBatch{Plan: starts.Batch, Source: trajectory.TATU}
		for _, r := range all {
			r.count(ctx)
			out.Episodes = append(out.Episodes, r.episode)
		}
		emit(out)
	}
	return attempt.Batch(ctx, "rollout", starts.Batch.Span(), work, rolled, dead)
}

// rollout is one in progress.
type rollout struct {
	episode trajectory.SyntheticEpisode
	rng     *rand.Rand
	state   []float32 // [S], the latest
	sum     float64   // of the uncertainties so far
	cut     string    // why it was ended before its time, or ""
	over    bool
}

func (r rollout) count(ctx context.Context) {
	if r.episode.Rejected != "" {
		rejected[r.episode.Rejected].Inc(ctx, 1)
		return
	}
	accepted.Inc(ctx, 1)
	lengths.Update(ctx, int64(len(r.episode.Rewards)))
	if r.cut != "" {
		truncated.Inc(ctx, 1)
	}
}

func (fn *episodesFn) rollOut(ctx context.Context, starts trajectory.Starts) ([]rollout, error) {
	dim := fn.Info().ObservationDim
	all := make([]rollout, starts.Batch.Count)
	for i := range all {
		index, state := starts.Batch.First+int64(i), starts.States[i*dim:(i+1)*dim]
		all[i] = rollout{
			episode: trajectory.SyntheticEpisode{Index: index, States: append([]float32(nil), state...)},
			rng:     trajectory.Stream(fn.Seed, index, trajectory.StageRollout), state: state,
		}
	}
	for range fn.Config.Length {
		var going []*rollout
		for i := range all {
			if !all[i].over {
				going = append(going, &all[i])
			}
		}
		if len(going) == 0 {
			break
		}
		if err := fn.step(ctx, going); err != nil {
			return nil, err
		}
	}
	for i := range all {
		if e := &all[i].episode; len(e.Rewards) == 0 {
			e.Rejected = all[i].cut
		}
	}
	return all, nil
}

// step takes one step of the rollouts that go on.
func (fn *episodesFn) step(ctx context.Context, going []*rollout) error {
	info := fn.Info()
	var states, latent []float32
	nets := make([]int, len(going))
	for i, r := range going {
		states = append(states, r.state...)
		for range info.Latent {
			latent = append(latent, float32(r.rng.NormFloat64()))
		}
		nets[i] = r.rng.IntN(info.DynamicsNets)
	}
	actions, err := fn.Act(ctx, states, latent)
	if err != nil {
		return fmt.Errorf("actions: %w", err)
	}
	mean, next, uncertainty, err := fn.Roll(ctx, states, actions, nets)
	if err != nil {
		return fmt.Errorf("next states: %w", err)
	}
	rewards, terminals, err := fn.Outcomes(ctx, states, actions)
	if err != nil {
		return fmt.Errorf("rewards: %w", err)
	}
	errors := training.Distances(mean, next, info.ObservationDim)
	limit := fn.Config.Truncation * info.MaxDisagreement
	for i, r := range going {
		r.add(fn.Config.Penalty, limit, transition{
			action: actions[i*info.ActionDim : (i+1)*info.ActionDim], next: next[i*info.ObservationDim : (i+1)*info.ObservationDim],
			reward: rewards[i], uncertainty: uncertainty[i], err: errors[i], terminal: terminals != nil && terminals[i] > 0.5,
		})
	}
	return nil
}

// transition is a step as the models have it.
type transition struct {
	action, next             []float32 // [A], [S]
	reward, uncertainty, err float32
	terminal                 bool
}

// add appends a step, with its reward penalised, unless the uncertainties have come
// to the limit: then the rollout ends before it.
func (r *rollout) add(penalty, limit float64, t transition) {
	r.sum += float64(t.uncertainty)
	e := r.episode
	longer := trajectory.SyntheticEpisode{
		Index:    e.Index,
		States:   append(e.States[:len(e.States):len(e.States)], t.next...),
		Actions:  append(e.Actions[:len(e.Actions):len(e.Actions)], t.action...),
		Rewards:  append(e.Rewards[:len(e.Rewards):len(e.Rewards)], t.reward-float32(penalty)*t.uncertainty),
		Errors:   append(e.Errors[:len(e.Errors):len(e.Errors)], t.err),
		Terminal: t.terminal,
	}
	switch {
	case !longer.Finite():
		r.cut = qualify.ReasonNotFinite
	case !(r.sum < limit):
		r.cut = ReasonUncertain
	default:
		r.episode, r.state = longer, t.next
	}
	r.over = r.cut != "" || t.terminal
}
