// Package evaluate trains a learner on a dataset, one policy per seed, and scores the
// policies by rolling them out in an environment.
package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"diffstitch/io/datasetio"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/env"
	"diffstitch/modelops/learners"
	"diffstitch/pipelines/evaluate/environment"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
)

// Options configure the training of a learner on a dataset and what its
// policies are scored by.
type Options struct {
	Data    input.Data
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

	Env        string
	EnvOptions env.Options
	Python     string // interpreter that runs Gymnasium, "" for the usual one
	Episodes   int    // a policy
	Backend    string
}

// DefaultRatio is the paper's best for the most learners (Table 2).
var DefaultRatio = learners.Ratio{Original: 4, Augmented: 1}

// validate reports the first setting that cannot be.
func (o Options) validate() error {
	switch {
	case o.Env == "":
		return errors.New("evaluate: no environment is given")
	case o.Episodes < 1:
		return fmt.Errorf("evaluate: %d episodes asked for", o.Episodes)
	case o.Policy != "":
		return nil
	case o.Steps < 0:
		return fmt.Errorf("evaluate: %d updates asked for", o.Steps)
	case o.Out == "":
		return errors.New("evaluate: no folder is given for the policies")
	case len(o.Seeds) == 0:
		return errors.New("evaluate: no seed is given")
	case !slices.Contains(learners.Learners, o.Learner):
		return fmt.Errorf("evaluate: no learner %q, there are %v", o.Learner, learners.Learners)
	}
	return nil
}

// PolicyDir is the folder of the policies in that of an evaluation.
const PolicyDir = "policy"

// evaluationFile is what an evaluation is kept in.
const evaluationFile = "evaluation.json"

// Run trains a policy for each seed, unless they are there already, and rolls
// them out. A finished evaluation is not made again; the training of an interrupted
// one goes on where it stood.
func Run(ctx context.Context, o Options, progress func(observe.Progress)) (e Evaluation, err error) {
	if err := o.validate(); err != nil {
		return e, fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	if err := input.Local(o.Out); err != nil {
		return e, err
	}
	engine, info, err := backend.Open(o.Backend)
	if err != nil {
		return e, err
	}
	seeds, err := o.seeds()
	if err != nil {
		return e, err
	}
	r := rollout{copies: copiesOf(seeds, o.Episodes), progress: observe.NewTeller("evaluation", progress)}
	if r.vector, err = environment.Open(ctx, o.Python, o.Env, o.EnvOptions, r.copies*seeds); err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, r.vector.Close()) }()
	if err := o.unoccupied(); err != nil {
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

// policies is the folder of the policies.
func (o Options) policies() string {
	if o.Policy != "" {
		return o.Policy
	}
	return filepath.Join(o.Out, PolicyDir)
}

// seeds is how many policies there are, or will be.
func (o Options) seeds() (int, error) {
	if o.Policy == "" {
		return len(o.Seeds), nil
	}
	e, err := o.trained(env.Spec{}, "")
	return len(e.Learner.Seeds), err
}

// config is the preset's, with what was asked for in its place.
func (o Options) config(s env.Spec, augmented bool) (learners.Config, error) {
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
		return cfg, fmt.Errorf("%w: the ratio %v asks for augmented rows, of which %q has none: it is no D*, or nothing was accepted; --ratio 1:0 does without", failure.ErrUsage, o.Ratio, o.Data.Path)
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
		return cfg, fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	return cfg, nil
}

// unbounded is how wide bounds are that say nothing of an action.
const unbounded = 1e6

// trained is what is known of finished policies before they are rolled out.
func (o Options) trained(s env.Spec, backendKind string) (e Evaluation, err error) {
	e = Evaluation{Env: s, Data: o.Data.Path, Backend: backendKind, Episodes: o.Episodes}
	m, hash, err := checkpoint.Describe(o.policies())
	if errors.Is(err, checkpoint.ErrUnfinished) {
		return e, fmt.Errorf("%w: %q holds no finished policies: --policy takes the folder %s in the --out of a finished evaluation", failure.ErrUsage, o.policies(), PolicyDir)
	}
	if err != nil {
		return e, fmt.Errorf("evaluate: %w", err)
	}
	if err := json.Unmarshal(m.Identity.Config, &e.Learner); err != nil {
		return e, fmt.Errorf("evaluate: reading the configuration of %q: %w", o.policies(), err)
	}
	if s.Name != "" {
		err = environment.Fits(fmt.Sprintf("the policies in %q take", o.policies()), datasetio.Shape{ObservationDim: m.ObservationDim, ActionDim: m.ActionDim}, s)
	}
	e.Policy = hash
	return e, err
}

// telling tells how a learner's training goes.
func telling(learner learners.Learner, progress *observe.Teller) func(learners.Progress) {
	return func(p learners.Progress) {
		note := ""
		for _, name := range slices.Sorted(maps.Keys(p.Metrics)) {
			note += fmt.Sprintf(", %s %.4g", name, p.Metrics[name])
		}
		progress.Tell(observe.Progress{Task: "training " + string(learner), Done: int64(p.Step), Total: int64(p.Steps), Unit: "updates", Note: note[min(2, len(note)):]})
	}
}
