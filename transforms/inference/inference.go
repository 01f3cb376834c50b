// Package inference gives the DoFns that run models those models: loaded on Setup,
// shared by the process, and counted at each call by metrics named as those of Beam's
// RunInference. It is no transform itself; estimate, inpaint, wrapup, refine,
// qualify, synthesize and rollout embed its Models.
package inference

import (
	"context"
	"fmt"
	"time"

	"diffstitch/modelops/session"
	"diffstitch/modelops/training"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// Models gives a DoFn that embeds it the models of a run. What it calls is counted
// in the namespace inference.KIND of the model.
type Models struct {
	Options session.Options `json:"session"`

	session *session.Session // set by Setup, never serialized
}

// Setup loads the models, unless the process has them.
func (m *Models) Setup() (err error) {
	if m.session, err = session.Shared(m.Options); err != nil {
		return fmt.Errorf("inference: loading the models in %q: %w", m.Options.Dir, err)
	}
	return nil
}

// Info describes the models.
func (m *Models) Info() session.Info { return m.session.Info() }

// Sample calls session.Session.Sample.
func (m *Models) Sample(ctx context.Context, known, mask []float32, seeds []uint64) (states []float32, err error) {
	bytes := floats(known, mask) + 8*int64(len(seeds))
	err = m.call(ctx, training.Denoiser, len(seeds), bytes, func() (err error) {
		states, err = m.session.Sample(known, mask, seeds)
		return err
	})
	return states, err
}

// Synthesize calls session.Session.Synthesize.
func (m *Models) Synthesize(ctx context.Context, seeds []uint64) (sampled training.Transitions, err error) {
	err = m.call(ctx, training.SynthER, len(seeds), 8*int64(len(seeds)), func() (err error) {
		sampled, err = m.session.Synthesize(seeds)
		return err
	})
	return sampled, err
}

// InverseDynamics calls session.Session.InverseDynamics.
func (m *Models) InverseDynamics(ctx context.Context, states, next []float32) (actions []float32, err error) {
	err = m.call(ctx, training.InverseDynamics, m.rows(states), floats(states, next), func() (err error) {
		actions, err = m.session.InverseDynamics(states, next)
		return err
	})
	return actions, err
}

// Rewards calls session.Session.Rewards.
func (m *Models) Rewards(ctx context.Context, states, actions []float32) (rewards []float32, err error) {
	err = m.call(ctx, training.Reward, m.rows(states), floats(states, actions), func() (err error) {
		rewards, err = m.session.Rewards(states, actions)
		return err
	})
	return rewards, err
}

// Terminals calls session.Session.Terminals.
func (m *Models) Terminals(ctx context.Context, states, actions []float32) (chances []float32, err error) {
	err = m.call(ctx, training.Reward, m.rows(states), floats(states, actions), func() (err error) {
		chances, err = m.session.Terminals(states, actions)
		return err
	})
	return chances, err
}

// Outcomes calls session.Session.Outcomes.
func (m *Models) Outcomes(ctx context.Context, states, actions []float32) (rewards, chances []float32, err error) {
	err = m.call(ctx, training.Reward, m.rows(states), floats(states, actions), func() (err error) {
		rewards, chances, err = m.session.Outcomes(states, actions)
		return err
	})
	return rewards, chances, err
}

// Dynamics calls session.Session.Dynamics.
func (m *Models) Dynamics(ctx context.Context, states, actions []float32) (next, disagreement []float32, err error) {
	err = m.call(ctx, training.Dynamics, m.rows(states), floats(states, actions), func() (err error) {
		next, disagreement, err = m.session.Dynamics(states, actions)
		return err
	})
	return next, disagreement, err
}

// Refine calls session.Session.Refine.
func (m *Models) Refine(ctx context.Context, plans [][]float32) (refined []session.Refined, err error) {
	err = m.call(ctx, training.Dynamics, len(plans), floats(plans...), func() (err error) {
		refined, err = m.session.Refine(plans)
		return err
	})
	return refined, err
}

// Roll calls session.Session.Roll.
func (m *Models) Roll(ctx context.Context, states, actions []float32, nets []int) (mean, next, disagreement []float32, err error) {
	err = m.call(ctx, training.Dynamics, m.rows(states), floats(states, actions), func() (err error) {
		mean, next, disagreement, err = m.session.Roll(states, actions, nets)
		return err
	})
	return mean, next, disagreement, err
}

// Act calls session.Session.Act.
func (m *Models) Act(ctx context.Context, states, latent []float32) (actions []float32, err error) {
	err = m.call(ctx, training.RolloutPolicy, m.rows(states), floats(states, latent), func() (err error) {
		actions, err = m.session.Act(states, latent)
		return err
	})
	return actions, err
}

// Peaks calls session.Session.Peaks, which runs no model and is not counted as one.
func (m *Models) Peaks(rows, columns []float32) ([]float32, error) {
	return m.session.Peaks(rows, columns)
}

// rows is the number of states, [n, S].
func (m *Models) rows(states []float32) int {
	return len(states) / m.session.Info().ObservationDim
}

// floats is how many bytes arrays take.
func floats(arrays ...[]float32) (bytes int64) {
	for _, a := range arrays {
		bytes += 4 * int64(len(a))
	}
	return bytes
}

// Clock adds the time until the returned function is called to a distribution,
// in milliseconds.
func Clock(ctx context.Context, latency beam.Distribution) (stop func()) {
	start := time.Now()
	return func() { latency.Update(ctx, time.Since(start).Milliseconds()) }
}
