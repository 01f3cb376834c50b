// Package training trains the four models of DiffStitch (section 3 of the
// paper) and those of the baselines, and holds what is needed to run them again:
//
//	denoiser  G_θ  bridges the last state of one episode and the first of another
//	inverse   f_ψ  (s_t, s_{t+1}) → a_t
//	reward    f_ϕ  (s_t, a_t) → r_t, on request also whether s_{t+1} is terminal
//	dynamics  f_ω  (s_t, a_t) → s_{t+1}, one net or an ensemble
//	synther        noise → (s, a, r, s′, terminal), SynthER's denoiser
//	policy         (s_t, noise) → a_t, the data's behaviour, for TATU's rollouts
//
// An optimizer step's examples and noise depend on (seed, kind, step) alone, so
// training that was interrupted and resumed ends with the weights of one that
// was not, bit for bit on the pure-Go backend.
package training

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training/resumable"
)

// Kind is one of the models.
type Kind string

// The models, which are also the names of their folders.
const (
	Denoiser        Kind = "denoiser"
	InverseDynamics Kind = "inverse"
	Reward          Kind = "reward"
	Dynamics        Kind = "dynamics"
	SynthER         Kind = "synther"
	RolloutPolicy   Kind = "policy"
)

// Kinds lists the models in the order they are usually trained.
var Kinds = []Kind{Denoiser, InverseDynamics, Reward, Dynamics, SynthER, RolloutPolicy}

// Trajectory is one episode of T steps.
type Trajectory struct {
	States  []float32 // [T, S], or [T+1, S] where the state after the last step is known
	Actions []float32 // [T, A]
	Rewards []float32 // [T]
	// Terminal is whether the last step ends in a terminal state.
	Terminal bool
}

// Data is what models are trained on.
type Data struct {
	ObservationDim int // S
	ActionDim      int // A
	Trajectories   []Trajectory
	Fingerprint    string // of the dataset, kept with the models
	// Learned says how many episodes, from the first one on, the trainings knew one after
	// the other that led to Options.Initial. What was held out then is held out still.
	Learned []int
}

// Options of a training run.
type Options struct {
	Backend string // auto, go or xla
	Seed    uint64
	// Steps are optimizer steps in place of the configuration's, or of those of a warm
	// training; 0 keeps them.
	Steps int
	// Initial is a folder of finished models of the same configuration, whose weights the
	// training begins with: it is warm, and takes fewer steps. "" begins at random.
	Initial  string
	Progress func(Progress) // called after each optimizer step; may be nil
}

// Progress is where a training stands.
type Progress struct {
	Kind           Kind
	Step, Steps    int
	Loss           float64 // of this step
	HeldOut        float64 // last held-out loss; 0 before the first
	StepsPerSecond float64 // in this run
}

// Result is what a training came to.
type Result struct {
	Kind        Kind
	Dir         string // the model's folder
	Hash        string // of the model
	Steps       int
	ResumedFrom int  // step at which an interrupted training went on, 0 if none
	Reused      bool // the finished model was there already
	Backend     backend.Info
	Details     Details
}

// Train trains one model and writes it to the folder dir/kind.
//
// A finished model of the same configuration, data, seed and backend is reused; an
// unfinished one is resumed. A folder that holds a model of anything else is an
// error. When ctx ends, the training state is saved and the context's error
// returned.
func Train(ctx context.Context, kind Kind, cfg Config, data *Data, dir string, opts Options) (Result, error) {
	result, err := train(ctx, kind, cfg, data, checkpoint.Join(dir, string(kind)), opts)
	if err != nil {
		return Result{}, fmt.Errorf("training: %s: %w", kind, err)
	}
	return result, nil
}

func train(ctx context.Context, kind Kind, cfg Config, data *Data, dir string, opts Options) (Result, error) {
	if err := data.validate(); err != nil {
		return Result{}, err
	}
	engine, info, err := backend.Open(opts.Backend)
	if err != nil {
		return Result{}, err
	}
	j, err := newJob(kind, cfg, data, opts)
	if err != nil {
		return Result{}, err
	}
	identity, err := j.identity(info.Kind)
	if err != nil {
		return Result{}, err
	}
	var first []checkpoint.Tensor
	if opts.Initial != "" {
		if _, identity.Initial, first, err = checkpoint.Open(checkpoint.Join(opts.Initial, string(kind))); err != nil {
			return Result{}, err
		}
		identity.WarmSteps = j.schedule.Steps
	}
	t := resumable.Training{
		Dir: dir, Identity: identity, Steps: j.schedule.Steps, SaveEvery: j.schedule.SaveEvery,
		Open:       openWhole,
		Difference: func(there checkpoint.Identity) string { return there.Difference(identity) },
		Words:      resumable.Words{Model: "model", Step: "step", Again: "run `diffstitch train` again"},
	}
	outcome, err := t.Run(ctx, func() (resumable.Loop, error) { return newLoop(engine, j, first) })
	if err != nil {
		return Result{}, err
	}
	details := j.details
	if outcome.Reused {
		if details, err = detailsOf(outcome.Model, dir); err != nil {
			return Result{}, err
		}
	}
	return Result{
		Kind: kind, Dir: dir, Hash: outcome.Hash, Steps: j.schedule.Steps,
		ResumedFrom: outcome.ResumedFrom, Reused: outcome.Reused, Backend: info, Details: details,
	}, nil
}

// openWhole checks a finished model's weights, too.
func openWhole(dir string) (checkpoint.Model, string, error) {
	m, hash, _, err := checkpoint.Open(dir)
	return m, hash, err
}

func detailsOf(m checkpoint.Model, dir string) (Details, error) {
	var details Details
	if err := json.Unmarshal(m.Details, &details); err != nil {
		return Details{}, fmt.Errorf("reading the details of %s: %w", dir, err)
	}
	return details, nil
}

// validate reports the first trajectory whose arrays do not fit.
func (d *Data) validate() error {
	if d.ObservationDim < 1 || d.ActionDim < 1 || len(d.Trajectories) == 0 {
		return fmt.Errorf("the data has %d episodes, %d observation and %d action dimensions; none may be 0", len(d.Trajectories), d.ObservationDim, d.ActionDim)
	}
	if ends := d.generations(); !slices.IsSorted(ends) || ends[0] < 1 {
		return fmt.Errorf("%d episodes, of which trainings before knew %v: each must have known more than the one before it", len(d.Trajectories), d.Learned)
	}
	for i, t := range d.Trajectories {
		steps := len(t.Rewards)
		fits := []int{steps * d.ObservationDim, (steps + 1) * d.ObservationDim}
		if steps == 0 || len(t.Actions) != steps*d.ActionDim || !slices.Contains(fits, len(t.States)) {
			return fmt.Errorf("episode %d has %d rewards, %d state and %d action values, which do not fit each other", i, steps, len(t.States), len(t.Actions))
		}
	}
	return nil
}
