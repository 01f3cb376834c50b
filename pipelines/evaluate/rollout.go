package evaluate

import (
	"context"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/env"
	"diffstitch/modelops/learners"
	"diffstitch/pipelines/observe"
)

// maxCopies is about how many copies of an environment run at once.
const maxCopies = 128

// copiesOf is how many episodes of a seed run at once.
func copiesOf(seeds, episodes int) int {
	return min(episodes, max(1, maxCopies/seeds))
}

// rollout has the policies of all seeds fly some episodes each at once.
type rollout struct {
	vector   env.Vector // seeds × copies
	copies   int        // episodes of a seed
	progress *observe.Teller
}

// run fills in what came of the episodes.
func (r rollout) run(ctx context.Context, policy learners.Policy, e *Evaluation) error {
	if aiming, ok := policy.(learners.Conditioned); ok && len(e.Env.TargetReturns) > 0 {
		e.TargetReturn = e.Env.TargetReturns[0]
		aiming.Aim(e.TargetReturn)
	}
	for _, seed := range e.Learner.Seeds {
		e.Seeds = append(e.Seeds, SeedEvaluation{Seed: seed})
	}
	for first := 0; first < e.Episodes; first += r.copies {
		if err := r.round(ctx, policy, e, first); err != nil {
			return err
		}
	}
	return nil
}

// round flies the episodes from first on, as many as there are copies; those beyond
// the last that was asked for do not count.
func (r rollout) round(ctx context.Context, policy learners.Policy, e *Evaluation, first int) error {
	n := len(e.Seeds) * r.copies
	observations, err := r.vector.Reset(e.starts(first, r.copies))
	if err != nil {
		return err
	}
	policy.Begin(r.copies)
	returns, lengths, rewards, ended, achieved := make([]float64, n), make([]int, n), make([]float32, n), make([]bool, n), make([]bool, n)
	for steps, running := 0, n; running > 0; steps++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		actions, err := policy.Act(observations, rewards)
		if err != nil {
			return err
		}
		s, err := r.vector.Step(actions)
		if err != nil {
			return err
		}
		observations, rewards = s.Observations, s.Rewards
		for i := range n {
			if ended[i] {
				continue
			}
			returns[i] += float64(s.Rewards[i])
			lengths[i]++
			achieved[i] = achieved[i] || s.Successes[i]
			if ended[i] = s.Terminals[i] || s.Timeouts[i]; ended[i] {
				running--
			}
		}
		r.tell(e, first, n-running)
	}
	for i := range n {
		if s := &e.Seeds[i/r.copies]; len(s.Returns) < e.Episodes {
			s.Returns, s.Lengths = append(s.Returns, returns[i]), append(s.Lengths, lengths[i])
			if e.Env.TellsSuccess {
				s.Successes = append(s.Successes, achieved[i])
			}
		}
	}
	return nil
}

// tell says how many episodes have ended.
func (r rollout) tell(e *Evaluation, first, ended int) {
	total := len(e.Seeds) * e.Episodes
	r.progress.Tell(observe.Progress{
		Task: "rolling out", Done: int64(min(len(e.Seeds)*first+ended, total)), Total: int64(total), Unit: "episodes",
	})
}

// starts are the seeds of the episodes [first, first+copies) of each policy. They
// depend on the policy's seed and the episode's number alone, so that what was
// trained otherwise begins where this does.
func (e *Evaluation) starts(first, copies int) (starts []uint64) {
	for _, s := range e.Seeds {
		for i := range copies {
			starts = append(starts, trajectory.StreamSeed(s.Seed, int64(first+i), trajectory.StageEvaluate))
		}
	}
	return starts
}
