package study

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/learners"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/train"
)

// trainJob trains the models of a method.
type trainJob struct {
	Data    string `json:"data"`
	Method  string `json:"method"`
	Preset  string `json:"preset"`
	Horizon int    `json:"horizon,omitempty"` // in place of the preset's
	Seed    uint64 `json:"seed"`
	Backend string `json:"backend"`

	steps int64 // optimizer steps, of the preset
}

func (trainJob) kind() Kind { return ModelsStep }
func (t trainJob) title() string {
	return fmt.Sprintf("models of %s, %s", methodNames[t.Method], modelsName(t.Preset, t.Horizon))
}
func (t trainJob) needs() []string { return []string{t.Data} }
func (t trainJob) work() Work {
	return Work{Amount: t.steps, Unit: "optimizer steps", Alike: fmt.Sprintf("models %s %s %s", t.Method, modelsName(t.Preset, t.Horizon), t.Backend)}
}

func (t trainJob) do(ctx context.Context, r *run, dir string) (Outcome, error) {
	_, err := r.tools.Train(ctx, train.Options{
		Data: r.dataset(t.Data), Models: output(dir, string(ModelsStep)), Methods: []training.Method{training.Method(t.Method)}, Preset: t.Preset,
		Horizon: t.Horizon, Seed: t.Seed, Backend: t.Backend, Runner: r.options.Runner,
	}, r.show)
	return Outcome{}, err
}

// optimizerSteps are those of a preset's models of a method.
func optimizerSteps(preset, method string) (int64, error) {
	cfg, err := training.Preset(preset)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	cfg = cfg.For(training.Method(method))
	steps := map[training.Kind]int{
		training.Denoiser: cfg.Denoiser.Steps, training.InverseDynamics: cfg.Inverse.Steps, training.Reward: cfg.Reward.Steps,
		training.Dynamics: cfg.Dynamics.Steps, training.SynthER: cfg.SynthER.Steps, training.RolloutPolicy: cfg.Policy.Steps,
	}
	sum := 0
	for _, kind := range training.KindsOf(training.Method(method)) {
		sum += steps[kind]
	}
	return int64(sum), nil
}

// augmentJob makes D*.
type augmentJob struct {
	Data   string `json:"data"`
	Models string `json:"models"`
	Method string `json:"method"`

	Stitching *Stitching `json:"stitching,omitempty"` // of DiffStitch
	// Stitches are attempted, or else so many Transitions made.
	Stitches    int64 `json:"stitches,omitempty"`
	Transitions int64 `json:"transitions,omitempty"`

	Seed    uint64 `json:"seed"`
	Backend string `json:"backend"`

	label string // what sets it apart from others of its method
}

func (augmentJob) kind() Kind        { return AugmentStep }
func (a augmentJob) needs() []string { return []string{a.Data, a.Models} }
func (a augmentJob) title() string {
	if a.label == "" {
		return "D* by " + methodNames[a.Method]
	}
	return fmt.Sprintf("D* by %s, %s", methodNames[a.Method], a.label)
}

func (a augmentJob) work() Work {
	alike := fmt.Sprintf("D* %s %s", a.Method, a.Backend)
	if a.Stitching != nil {
		alike += fmt.Sprintf(" %s %v %s", a.Stitching.Pairing, a.Stitching.Sampler, a.Stitching.Refine)
	}
	if a.Stitches > 0 {
		return Work{Amount: a.Stitches, Unit: "stitches", Alike: alike}
	}
	return Work{Amount: a.Transitions, Unit: "transitions", Alike: alike}
}

// do publishes D*, unless an earlier run got as far as that.
func (a augmentJob) do(ctx context.Context, r *run, dir string) (Outcome, error) {
	out := output(dir, string(AugmentStep))
	published, err := snapshot.Current(out)
	if errors.Is(err, snapshot.ErrNoSnapshot) {
		published, err = r.tools.Augment(ctx, a.options(r, out), nil, r.show)
	}
	if err != nil {
		return Outcome{}, err
	}
	made := augmentedBy(published)
	made.Report = filepath.Join(published.ID, "report", "index.html")
	return Outcome{Augmented: &made}, nil
}

func (a augmentJob) options(r *run, out string) augment.Options {
	o := augment.DefaultOptions()
	o.Method = training.Method(a.Method)
	o.Data, o.Models, o.Out = r.dataset(a.Data), output(r.dir(a.Models), a.Models), out
	if a.Stitching != nil {
		o.StitchingSettings, o.Mix.Emit = a.Stitching.StitchingSettings, a.Stitching.Emit
	}
	o.Stitches, o.Transitions = a.Stitches, a.Transitions
	o.Seed, o.Backend, o.Runner = a.Seed, a.Backend, r.options.Runner
	return o
}

// evaluateJob trains a learner on a dataset, one policy a seed, and scores them.
type evaluateJob struct {
	Data     string   `json:"data"`
	Learner  string   `json:"learner"`
	Settings string   `json:"settings"` // the environment whose settings the learner has
	Tiny     bool     `json:"tiny,omitempty"`
	Ratio    string   `json:"ratio"` // original:augmented rows of a batch
	Env      string   `json:"env"`
	Seeds    []uint64 `json:"seeds"`
	Updates  int      `json:"updates"`
	Episodes int      `json:"episodes"` // a seed
	Backend  string   `json:"backend"`

	on string // the title of what it learns from
}

func (evaluateJob) kind() Kind        { return CellStep }
func (e evaluateJob) needs() []string { return []string{e.Data} }
func (e evaluateJob) title() string {
	if e.Ratio == allOriginal {
		return fmt.Sprintf("%s on %s", learnerNames[e.Learner], e.on)
	}
	return fmt.Sprintf("%s on %s, %s", learnerNames[e.Learner], e.on, e.Ratio)
}

func (e evaluateJob) work() Work {
	size := "full"
	if e.Tiny {
		size = "tiny"
	}
	return Work{Amount: int64(e.Updates), Unit: "updates", Alike: fmt.Sprintf("cell %s %s %s %d seeds %s", e.Learner, size, e.Env, len(e.Seeds), e.Backend)}
}

// do trains and scores, unless there is nothing to draw from beside the original
// data.
func (e evaluateJob) do(ctx context.Context, r *run, dir string) (Outcome, error) {
	if made := r.finished[e.Data].Outcome.Augmented; made != nil && made.Added.Transitions == 0 {
		return Outcome{Nothing: "nothing was accepted"}, nil
	}
	ratio, err := learners.ParseRatio(e.Ratio)
	if err != nil {
		return Outcome{}, err
	}
	evaluation, err := r.tools.Evaluate(ctx, evaluate.Options{
		Data: r.dataset(e.Data), Learner: learners.Learner(e.Learner), Preset: e.Settings, Tiny: e.Tiny, Steps: e.Updates,
		Seeds: e.Seeds, Ratio: ratio, Out: dir, Env: e.Env, Python: r.options.Python, Episodes: e.Episodes, Backend: e.Backend,
	}, r.show)
	if err != nil {
		return Outcome{}, err
	}
	curves, err := curvesOf(filepath.Join(dir, evaluate.PolicyDir))
	return Outcome{Scores: &Scores{Evaluation: evaluation, Curves: curves}}, err
}
