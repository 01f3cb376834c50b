package session

import (
	"fmt"
	"slices"

	"diffstitch/modelops/training"
)

// Sample completes windows by the reverse process.
//
//	known:  [n, H, S], H of Info; where the mask hides, anything, even NaN
//	mask:   [n, H], 1 = known, 0 = hidden, Past = past the end of the episode
//	seeds:  [n], the random stream of each window
//	result: [n, H, S], known states as they were, to the bit; anything past the end
//
// Hidden states lie within the range of the training data and the configuration's margin.
// What never varies there has its value, and what varies from episode to episode alone is
// that of the next known state, or of the last known one where none follows.
//
// With DDIM and DPM a window depends on its own seed alone; DDPM draws its fresh noise
// for a batch, from the seeds of all its windows.
//
// Where the device lacks the memory for a batch it is sampled in halves, quarters
// and so on. They get the whole batch's noise and give the same rows, but for
// rounding: engines order their sums by the shape of the input.
func (s *Session) Sample(known, mask []float32, seeds []uint64) (states []float32, err error) {
	if err := s.runs(training.Denoiser); err != nil {
		return nil, err
	}
	err = s.use(func(on *modelSet) (halvings int, err error) {
		states, halvings, err = on.sampler.sample(windows{known, mask, seeds})
		if err != nil {
			err = fmt.Errorf("sampling %d windows: %w", len(seeds), err)
		}
		return halvings, err
	})
	return states, err
}

// Synthesize samples transitions by SynthER's denoiser, each from a random stream
// of its own: seeds are [n].
//
// Where the device lacks the memory for a batch it is sampled in parts, which give
// the same up to rounding.
func (s *Session) Synthesize(seeds []uint64) (sampled training.Transitions, err error) {
	if err := s.runs(training.SynthER); err != nil {
		return sampled, err
	}
	err = s.use(func(on *modelSet) (halvings int, err error) {
		rows, halvings, err := on.synthesizer.sample(seeds)
		if err != nil {
			return halvings, fmt.Errorf("sampling %d transitions: %w", len(seeds), err)
		}
		sampled = on.synthesizer.layout.Decode(rows)
		return halvings, nil
	})
	return sampled, err
}

// InverseDynamics infers the actions between states, f_ψ. They may lie outside of
// the data's range.
//
//	states, next: [n, S]
//	result:       [n, A]
func (s *Session) InverseDynamics(states, next []float32) ([]float32, error) {
	actions, _, err := s.predict(training.InverseDynamics, states, next)
	return actions, err
}

// Rewards infers rewards, f_ϕ.
//
//	states:  [n, S]
//	actions: [n, A]
//	result:  [n]
func (s *Session) Rewards(states, actions []float32) ([]float32, error) {
	rewards, _, err := s.Outcomes(states, actions)
	return rewards, err
}

// Terminals predicts how likely each step ends in a terminal state. It fails
// where f_ϕ was not trained to, see Info.
//
//	states:  [n, S]
//	actions: [n, A]
//	result:  [n], probabilities
func (s *Session) Terminals(states, actions []float32) ([]float32, error) {
	if !s.info.Terminals {
		return nil, fmt.Errorf("session: the reward model of %s does not predict terminal states: train with the preset reference", s.options.Dir)
	}
	_, chances, err := s.Outcomes(states, actions)
	return chances, err
}

// Outcomes is Rewards and Terminals by one run of f_ϕ. There are no chances where it
// was not trained to predict terminal states.
func (s *Session) Outcomes(states, actions []float32) (rewards, chances []float32, err error) {
	results, _, err := s.predict(training.Reward, states, actions)
	if err != nil || !s.info.Terminals {
		return results, nil, err
	}
	return everySecond(results, 0), everySecond(results, 1), nil
}

// everySecond value of pairs, the first or the second of each.
func everySecond(pairs []float32, which int) []float32 {
	values := make([]float32, len(pairs)/2)
	for i := range values {
		values[i] = pairs[2*i+which]
	}
	return values
}

// Dynamics predicts next states, f_ω, as the mean of the ensemble's elites. Their
// disagreement is, for each row, the largest L2 distance of one from that mean,
// in the units of the observations; 0 where there is but one net.
//
//	states:       [n, S]
//	actions:      [n, A]
//	next:         [n, S]
//	disagreement: [n]
func (s *Session) Dynamics(states, actions []float32) (next, disagreement []float32, err error) {
	return s.predict(training.Dynamics, states, actions)
}

// Roll predicts next states by one net of the dynamics' ensemble for each row, by its
// number among those in use, beside what Dynamics gives.
//
//	states:       [n, S]
//	actions:      [n, A]
//	nets:         [n]
//	mean, next:   [n, S]
//	disagreement: [n]
func (s *Session) Roll(states, actions []float32, nets []int) (mean, next, disagreement []float32, err error) {
	if err := s.runs(training.Dynamics); err != nil {
		return nil, nil, nil, err
	}
	err = s.use(func(on *modelSet) (halvings int, err error) {
		mean, next, disagreement, err = on.regressors[training.Dynamics].Pick(states, actions, nets)
		return 0, err
	})
	return mean, next, disagreement, err
}

// Act gives the rollout policy's actions, within the data's range.
//
//	states: [n, S]
//	latent: [n, Info.Latent], standard normal
//	result: [n, A]
func (s *Session) Act(states, latent []float32) (actions []float32, err error) {
	if err := s.runs(training.RolloutPolicy); err != nil {
		return nil, err
	}
	err = s.use(func(on *modelSet) (halvings int, err error) {
		actions, err = on.policy.Act(states, latent)
		return 0, err
	})
	return actions, err
}

func (s *Session) predict(kind training.Kind, states, second []float32) (results, disagreement []float32, err error) {
	if err := s.runs(kind); err != nil {
		return nil, nil, err
	}
	err = s.use(func(on *modelSet) (halvings int, err error) {
		results, disagreement, err = on.regressors[kind].Predict(states, second)
		return 0, err
	})
	return results, disagreement, err
}

// runs fails where a model is not one of the session's.
func (s *Session) runs(kind training.Kind) error {
	if !slices.Contains(s.info.Kinds, kind) {
		return fmt.Errorf("session: the %s model is asked for, of %v", kind, s.info.Kinds)
	}
	return nil
}
