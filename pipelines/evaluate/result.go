package evaluate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"

	"diffstitch/io/storage"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/env"
	"diffstitch/modelops/learners"

	"gonum.org/v1/gonum/stat"
)

// Evaluation is how policies fare in an environment.
type Evaluation struct {
	Env env.Spec `json:"env"`
	// Policy is the hash of the policies, and Learner what they were trained by.
	Policy   string          `json:"policy"`
	Learner  learners.Config `json:"learner"`
	Data     string          `json:"data,omitempty"` // that they were trained on, where that is known
	Backend  string          `json:"backend"`
	Episodes int             `json:"episodes"` // a seed
	// TargetReturn is what a Decision Transformer was asked for.
	TargetReturn float64 `json:"target_return,omitempty"`

	// Success is the share of all episodes that achieve the task; nil where the
	// environment does not tell.
	Success *float64 `json:"success,omitempty"`

	Seeds []SeedEvaluation `json:"seeds"`
	// Over the seeds' means: sample standard deviations, 0 of one seed. Scores are
	// normalised, and 0 where the environment has no reference.
	Return   float64 `json:"return"`
	ReturnSD float64 `json:"return_sd"`
	Score    float64 `json:"score"`
	ScoreSD  float64 `json:"score_sd"`
}

// SeedEvaluation is how the policy of one seed fares.
type SeedEvaluation struct {
	Seed    uint64    `json:"seed"`
	Returns []float64 `json:"returns"` // of each episode
	Lengths []int     `json:"lengths"` // of each episode, in steps
	Return  float64   `json:"return"`  // mean
	Score   float64   `json:"score"`   // of the mean; 0 without a reference
	// Successes say of each episode whether it achieves the task at any step; none
	// where the environment does not tell.
	Successes []bool `json:"successes,omitempty"`
}

// Success is the share of the policy's episodes that achieve the task.
func (s SeedEvaluation) Success() float64 { return shareOf(s.Successes) }

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
	if e.Env.TellsSuccess {
		var all []bool
		for _, s := range e.Seeds {
			all = append(all, s.Successes...)
		}
		share := shareOf(all)
		e.Success = &share
	}
	e.Return, e.ReturnSD = meanAndDeviation(returns)
	e.Score, e.ScoreSD = meanAndDeviation(scores)
}

// shareOf is how many are true.
func shareOf(all []bool) float64 {
	n := 0
	for _, is := range all {
		if is {
			n++
		}
	}
	return float64(n) / float64(len(all))
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
	if len(e.Env.Options) > 0 {
		fmt.Fprintf(text, ", %v", e.Env.Options)
	}
	w := tabwriter.NewWriter(text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\n\nseed\tsuccess\treturn\tof episodes ±\tsteps\tscore\t\n")
	for _, s := range e.Seeds {
		_, spread := meanAndDeviation(s.Returns)
		steps := 0
		for _, n := range s.Lengths {
			steps += n
		}
		fmt.Fprintf(w, "%d\t%s\t%.2f\t%.2f\t%.1f\t%s\t\n", s.Seed, e.success(s.Success()), s.Return, spread, float64(steps)/float64(len(s.Lengths)), e.score(s.Score))
	}
	w.Flush() // to memory
	if e.Success != nil {
		fmt.Fprintf(text, "\nsuccess %s: share of the episodes that achieve the task", e.success(*e.Success))
	}
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

func (e Evaluation) success(share float64) string {
	if !e.Env.TellsSuccess {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

func (e Evaluation) score(v float64) string {
	if e.Env.Reference == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", v)
}

// kept is the evaluation that the folder holds, if there is one.
func (o Options) kept() (made Evaluation, ok bool) {
	if o.Out == "" {
		return made, false
	}
	text, err := os.ReadFile(o.file())
	ok = err == nil && json.Unmarshal(text, &made) == nil // otherwise it is made
	return made, ok
}

// file is what the evaluation is kept in.
func (o Options) file() string { return filepath.Join(o.Out, evaluationFile) }

// unoccupied fails where the folder holds the evaluation of other policies, which
// would be lost, or would seem to be that of those about to be trained.
func (o Options) unoccupied() error {
	made, ok := o.kept()
	if _, hash, err := checkpoint.Describe(o.policies()); !ok || err == nil && hash == made.Policy {
		return nil
	}
	return fmt.Errorf("evaluate: %q is not of the policies in %q: give another --out, or delete it", o.file(), o.policies())
}

// finished is the evaluation that the folder holds, if it is this one.
func (o Options) finished(e Evaluation) (made Evaluation, ok bool) {
	if made, ok = o.kept(); !ok {
		return made, false
	}
	same := made.Policy == e.Policy && made.Env.Name == e.Env.Name && maps.Equal(made.Env.Versions, e.Env.Versions) && made.Env.Options.String() == e.Env.Options.String() &&
		made.Backend == e.Backend && made.Episodes == e.Episodes
	return made, same
}

// keep writes the evaluation into the folder.
func (o Options) keep(e Evaluation) error {
	if o.Out == "" {
		return nil
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	return storage.WriteJSON(o.file(), e)
}
