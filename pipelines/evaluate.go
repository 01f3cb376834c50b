package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"diffstitch/io/datasetio"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/env"
	"diffstitch/modelops/env/catalog"
	"diffstitch/modelops/learners"
)

// EvaluateOptions configure the training of a learner on a dataset and what its
// policies are scored by.
type EvaluateOptions struct {
	Data    Data
	Learner learners.Learner
	// Preset is the environment, as learners.Preset takes it, whose settings the
	// learner has; Env where it is "".
	Preset string
	Tiny   bool     // small nets and fast schedules in place of the preset's
	Steps  int      // updates; 0 keeps the preset's
	Seeds  []uint64 // of the policies, each of which is trained and scored
	// Ratio is that of original to augmented rows in a batch: the zero ratio stands
	// for DefaultRatio, or for original rows alone where the data has no others.
	Ratio learners.Ratio
	Out   string // folder of the policies, in "policy", and of the evaluation

	// Policy is the folder of policies that are trained already: they are only
	// rolled out, and of all the above only Out, which may be "", counts.
	Policy string

	Env      string
	Python   string // interpreter that runs Gymnasium, "" for the usual one
	Episodes int    // a policy
	Backend  string
}

// DefaultRatio is the paper's best for the most learners (Table 2).
var DefaultRatio = learners.Ratio{Original: 4, Augmented: 1}

// Validate reports the first setting that cannot be.
func (o EvaluateOptions) Validate() error {
	switch {
	case o.Env == "":
		return errors.New("pipelines: no environment is given")
	case o.Episodes < 1:
		return fmt.Errorf("pipelines: %d episodes asked for", o.Episodes)
	case o.Policy != "":
		return nil
	case o.Steps < 0:
		return fmt.Errorf("pipelines: %d updates asked for", o.Steps)
	case o.Out == "":
		return errors.New("pipelines: no folder is given for the policies")
	case len(o.Seeds) == 0:
		return errors.New("pipelines: no seed is given")
	case !slices.Contains(learners.Learners, o.Learner):
		return fmt.Errorf("pipelines: no learner %q, there are %v", o.Learner, learners.Learners)
	}
	return nil
}

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
}

// PolicyDir is the folder of the policies in that of an evaluation.
const PolicyDir = "policy"

// evaluationFile is what an evaluation is kept in.
const evaluationFile = "evaluation.json"

// Evaluate trains a policy for each seed, unless they are there already, and rolls
// them out. A finished evaluation is not made again; the training of an interrupted
// one goes on where it stood.
func Evaluate(ctx context.Context, o EvaluateOptions, progress func(Progress)) (e Evaluation, err error) {
	if err := o.Validate(); err != nil {
		return e, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	engine, info, err := backend.Open(o.Backend)
	if err != nil {
		return e, err
	}
	seeds, err := o.seeds()
	if err != nil {
		return e, err
	}
	r := rollout{copies: copiesOf(seeds, o.Episodes), progress: newTeller("evaluation", progress)}
	if r.vector, err = catalog.Open(ctx, o.Python, o.Env, r.copies*seeds); err != nil {
		return e, environmentError(err)
	}
	defer func() { err = errors.Join(err, r.vector.Close()) }()
	if err := errors.Join(ends(r.vector.Spec()), o.unoccupied()); err != nil {
		return e, err
	}
	if o.Policy == "" {
		if err := o.train(ctx, r.vector.Spec(), r.progress); err != nil {
			return e, err
		}
	}
	if e, err = o.trained(r.vector.Spec(), info.Kind); err != nil {
		return e, err
	}
	if made, ok := o.finished(e); ok {
		return made, nil
	}
	policy, err := learners.Open(engine, o.policies())
	if err != nil {
		return e, err
	}
	defer policy.Finalize()
	if err := r.run(ctx, policy, &e); err != nil {
		return e, err
	}
	e.conclude()
	return e, o.keep(e)
}

// CheckEnvironment fails where there is no such environment, or where policies that
// learn from the data cannot be rolled out in it.
func CheckEnvironment(ctx context.Context, data Data, python, name string) (err error) {
	_, shape, err := data.open()
	if err != nil {
		return err
	}
	v, err := catalog.Open(ctx, python, name, 1)
	if err != nil {
		return environmentError(err)
	}
	return errors.Join(ends(v.Spec()), fits("the data has", shape, v.Spec()), v.Close())
}

// policies is the folder of the policies.
func (o EvaluateOptions) policies() string {
	if o.Policy != "" {
		return o.Policy
	}
	return filepath.Join(o.Out, PolicyDir)
}

// seeds is how many policies there are, or will be.
func (o EvaluateOptions) seeds() (int, error) {
	if o.Policy == "" {
		return len(o.Seeds), nil
	}
	e, err := o.trained(env.Spec{}, "")
	return len(e.Learner.Seeds), err
}

// config is the preset's, with what was asked for in its place.
func (o EvaluateOptions) config(s env.Spec, augmented bool) (learners.Config, error) {
	preset := o.Preset
	if preset == "" {
		preset = o.Env
	}
	cfg, err := learners.Preset(o.Learner, preset)
	if err != nil {
		return cfg, err
	}
	if o.Tiny {
		cfg = learners.Tiny(cfg)
	}
	cfg.Seeds = o.Seeds
	if o.Steps > 0 {
		cfg.Steps = o.Steps
	}
	switch none := (learners.Ratio{}); {
	case o.Ratio.Augmented > 0 && !augmented:
		return cfg, fmt.Errorf("%w: the ratio %v asks for augmented rows, of which %q has none: it is no D*, or nothing was accepted; --ratio 1:0 does without", ErrUsage, o.Ratio, o.Data.Path)
	case o.Ratio != none:
		cfg.Ratio = o.Ratio
	case augmented:
		cfg.Ratio = DefaultRatio
	}
	if bound := float64(slices.Max(append(s.ActionHigh, -slices.Min(s.ActionLow)))); bound < unbounded {
		cfg.MaxAction = bound
	}
	if cfg.DT != nil {
		cfg.DT.EpisodeSteps = max(cfg.DT.EpisodeSteps, s.MaxSteps)
	}
	if err := cfg.Validate(); err != nil {
		return cfg, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return cfg, nil
}

// unbounded is how wide bounds are that say nothing of an action.
const unbounded = 1e6

// loadLearning reads the whole dataset into memory. Augmented are the rows of every
// source but the original one.
func loadLearning(ctx context.Context, d Data, in datasetio.Input, shape datasetio.Shape, learner learners.Learner) (*learners.Data, error) {
	data := &learners.Data{ObservationDim: shape.ObservationDim, ActionDim: shape.ActionDim}
	metas, rejects, err := read(ctx, in, shape, func(e *trajectory.Episode) { addLearning(data, e, learner) })
	if err != nil {
		return nil, err
	}
	return data, d.check(len(in.Files), metas, rejects)
}

// addLearning adds an episode, less a last transition whose next observation is not
// known and matters: as in D4RL's qlearning_dataset. To a Decision Transformer none
// matters.
func addLearning(data *learners.Data, e *trajectory.Episode, learner learners.Learner) {
	n := e.Len()
	_, known := nextObservation(e, n-1)
	if !known && e.End != trajectory.Terminal && learner != learners.DT { // after a terminal one nothing is learnt from it
		n--
	}
	if n == 0 {
		return
	}
	data.Starts = append(data.Starts, len(data.Rewards))
	for step := range n {
		next, known := nextObservation(e, step)
		if !known {
			next = e.Observation(step)
		}
		data.Observations = append(data.Observations, e.Observation(step)...)
		data.Actions = append(data.Actions, e.Action(step)...)
		data.Rewards = append(data.Rewards, e.Rewards[step])
		data.Next = append(data.Next, next...)
		data.Terminals = append(data.Terminals, step == e.Len()-1 && e.End == trajectory.Terminal)
		data.Augmented = append(data.Augmented, e.Provenance != nil)
	}
}

// nextObservation is the one after a step, where it is known: D* repeats the last
// observation where the data it was made from does not hold the next.
func nextObservation(e *trajectory.Episode, step int) ([]float32, bool) {
	next, known := e.NextObservation(step)
	return next, known && (step < e.Len()-1 || !slices.Equal(next, e.Observation(step)))
}

// trained is what is known of finished policies before they are rolled out.
func (o EvaluateOptions) trained(s env.Spec, backendKind string) (e Evaluation, err error) {
	e = Evaluation{Env: s, Data: o.Data.Path, Backend: backendKind, Episodes: o.Episodes}
	m, hash, err := checkpoint.Describe(o.policies())
	if errors.Is(err, checkpoint.ErrUnfinished) {
		return e, fmt.Errorf("%w: %q holds no finished policies: --policy takes the folder %s in the --out of a finished evaluation", ErrUsage, o.policies(), PolicyDir)
	}
	if err != nil {
		return e, fmt.Errorf("pipelines: %w", err)
	}
	if err := json.Unmarshal(m.Identity.Config, &e.Learner); err != nil {
		return e, fmt.Errorf("pipelines: reading the configuration of %q: %w", o.policies(), err)
	}
	if s.Name != "" {
		err = fits(fmt.Sprintf("the policies in %q take", o.policies()), datasetio.Shape{ObservationDim: m.ObservationDim, ActionDim: m.ActionDim}, s)
	}
	e.Policy = hash
	return e, err
}

// kept is the evaluation that the folder holds, if there is one.
func (o EvaluateOptions) kept() (made Evaluation, ok bool) {
	if o.Out == "" {
		return made, false
	}
	text, err := os.ReadFile(o.file())
	ok = err == nil && json.Unmarshal(text, &made) == nil // otherwise it is made
	return made, ok
}

// file is what the evaluation is kept in.
func (o EvaluateOptions) file() string { return filepath.Join(o.Out, evaluationFile) }

// unoccupied fails where the folder holds the evaluation of other policies, which
// would be lost, or would seem to be that of those about to be trained.
func (o EvaluateOptions) unoccupied() error {
	made, ok := o.kept()
	if _, hash, err := checkpoint.Describe(o.policies()); !ok || err == nil && hash == made.Policy {
		return nil
	}
	return fmt.Errorf("pipelines: %q is not of the policies in %q: give another --out, or delete it", o.file(), o.policies())
}

// finished is the evaluation that the folder holds, if it is this one.
func (o EvaluateOptions) finished(e Evaluation) (made Evaluation, ok bool) {
	if made, ok = o.kept(); !ok {
		return made, false
	}
	same := made.Policy == e.Policy && made.Env.Name == e.Env.Name && maps.Equal(made.Env.Versions, e.Env.Versions) &&
		made.Backend == e.Backend && made.Episodes == e.Episodes
	return made, same
}

// keep writes the evaluation into the folder.
func (o EvaluateOptions) keep(e Evaluation) error {
	if o.Out == "" {
		return nil
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return fmt.Errorf("pipelines: %w", err)
	}
	return storage.WriteJSON(o.file(), e)
}

// training tells how a learner's training goes.
func (t *teller) training(learner learners.Learner) func(learners.Progress) {
	return func(p learners.Progress) {
		note := ""
		for _, name := range slices.Sorted(maps.Keys(p.Metrics)) {
			note += fmt.Sprintf(", %s %.4g", name, p.Metrics[name])
		}
		t.tell(Progress{Task: "training " + string(learner), Done: int64(p.Step), Total: int64(p.Steps), Unit: "updates", Note: note[min(2, len(note)):]})
	}
}
