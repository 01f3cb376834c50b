package pipelines

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"text/tabwriter"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/env"
	"diffstitch/modelops/learners"

	"gonum.org/v1/gonum/stat"
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
	progress *teller
}

// ends checks that every episode does.
func ends(s env.Spec) error {
	if s.MaxSteps == 0 {
		return fmt.Errorf("%w: episodes of %s have no time limit, so they may never end", ErrUsage, s.Name)
	}
	return nil
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
	returns, lengths, rewards, ended := make([]float64, n), make([]int, n), make([]float32, n), make([]bool, n)
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
			if ended[i] = s.Terminals[i] || s.Timeouts[i]; ended[i] {
				running--
			}
		}
		r.tell(e, first, n-running)
	}
	for i := range n {
		if s := &e.Seeds[i/r.copies]; len(s.Returns) < e.Episodes {
			s.Returns, s.Lengths = append(s.Returns, returns[i]), append(s.Lengths, lengths[i])
		}
	}
	return nil
}

// tell says how many episodes have ended.
func (r rollout) tell(e *Evaluation, first, ended int) {
	total := len(e.Seeds) * e.Episodes
	r.progress.tell(Progress{
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

// conclude sums up the episodes.
func (e *Evaluation) conclude() {
	var returns, scores []float64
	for i := range e.Seeds {
		s := &e.Seeds[i]
		s.Return = stat.Mean(s.Returns, nil)
		returns = append(returns, s.Return)
		if e.Env.Reference != nil {
			s.Score = e.Env.Reference.Score(s.Return)
			scores = append(scores, s.Score)
		}
	}
	e.Return, e.ReturnSD = meanAndDeviation(returns)
	e.Score, e.ScoreSD = meanAndDeviation(scores)
}

// meanAndDeviation gives 0 for what takes more values.
func meanAndDeviation(values []float64) (mean, deviation float64) {
	if len(values) == 0 {
		return 0, 0
	}
	mean, deviation = stat.MeanStdDev(values, nil)
	if math.IsNaN(deviation) {
		deviation = 0
	}
	return mean, deviation
}

// Text shows the evaluation to a reader.
func (e Evaluation) Text() string {
	text := &bytes.Buffer{}
	fmt.Fprintf(text, "%s in %s, %d updates, original:augmented %v, %d episodes a seed", e.Learner.Learner, e.Env.Name, e.Learner.Steps, e.Learner.Ratio, e.Episodes)
	if e.TargetReturn != 0 {
		fmt.Fprintf(text, ", aiming at %g", e.TargetReturn)
	}
	w := tabwriter.NewWriter(text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\n\nseed\treturn\tof episodes ±\tsteps\tscore\t\n")
	for _, s := range e.Seeds {
		_, spread := meanAndDeviation(s.Returns)
		steps := 0
		for _, n := range s.Lengths {
			steps += n
		}
		fmt.Fprintf(w, "%d\t%.2f\t%.2f\t%.1f\t%s\t\n", s.Seed, s.Return, spread, float64(steps)/float64(len(s.Lengths)), e.score(s.Score))
	}
	w.Flush() // to memory
	fmt.Fprintf(text, "\nreturn %.2f ± %.2f, score %s ± %s: mean and standard deviation over %d seeds\n",
		e.Return, e.ReturnSD, e.score(e.Score), e.score(e.ScoreSD), len(e.Seeds))
	switch r := e.Env.Reference; {
	case r == nil:
		fmt.Fprintf(text, "score: no reference returns of %s are known\n", e.Env.Name)
	case r.Caveat != "":
		fmt.Fprintf(text, "score: 0 for a return of %g, 100 for %g; %s\n", r.Random, r.Expert, r.Caveat)
	default:
		fmt.Fprintf(text, "score: 0 for a return of %g, a random policy's, 100 for %g, an expert's\n", r.Random, r.Expert)
	}
	return text.String()
}

func (e Evaluation) score(v float64) string {
	if e.Env.Reference == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", v)
}
