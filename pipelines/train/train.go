// Package train trains the models that a method runs on a dataset, as a Beam
// pipeline of one element per model.
package train

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.DoFn2x2[context.Context, string, string, error](&modelFn{})
	register.DoFn2x0[int, func(*string) bool](&trainedFn{})
	register.Iter1[string]()
}

// Options configure the training of models.
type Options struct {
	Data   input.Data
	Models string // folder of the models
	// Methods are those whose models are trained; none means DiffStitch.
	Methods []training.Method
	Preset  string
	Steps   int // optimizer steps of each model in place of the preset's; 0 keeps them
	// Conditioning is how the denoiser is shown the known states, in place of the
	// preset's; "" keeps it.
	Conditioning string
	// Horizon is the states in a window of the denoiser, in place of the preset's; 0
	// keeps them.
	Horizon int
	// From is a folder of finished models, whose configurations and seed are taken in the
	// place of what is said here: all of them are trained on, in a folder of their own. Where
	// the data begins with what they learned from, the trainings are warm, and take Steps or
	// fewer than the configurations say; elsewhere they begin anew, since what was held out
	// could not be told from what was learned.
	From    string
	Seed    uint64
	Backend string
	Runner  string
}

// config is the preset's, with what was asked for in its place. It reports the
// first option that cannot be.
func (o Options) config() (training.Config, error) {
	cfg, err := training.Preset(o.Preset)
	cfg = cfg.For(o.Methods...)
	if err == nil && o.Conditioning != "" {
		cfg.Denoiser.Diffusion.Conditioning = diffusion.Conditioning(o.Conditioning)
		err = cfg.Denoiser.Diffusion.Conditioning.Validate()
	}
	if err != nil {
		return cfg, err
	}
	for _, m := range o.Methods {
		if err := m.Validate(); err != nil {
			return cfg, err
		}
	}
	if o.Steps < 0 {
		return cfg, fmt.Errorf("train: %d training steps asked for", o.Steps)
	}
	return o.withHorizon(cfg)
}

// kinds are the models to train.
func (o Options) kinds() []training.Kind {
	if len(o.Methods) == 0 {
		return training.KindsOf(training.MethodDiffStitch)
	}
	return training.KindsOf(o.Methods...)
}

// Run trains the models: a Beam stage of one element per model, each of which reads
// the data itself. Finished models are kept, unfinished ones resumed.
func Run(ctx context.Context, o Options, progress func(observe.Progress)) (models session.Info, err error) {
	cfg, kinds, err := o.chosen()
	if err != nil {
		return models, err
	}
	if err := errors.Join(input.Absolute(&o.Data.Path, &o.Models), engine.Prepare(ctx, o.Runner)); err != nil {
		return models, err
	}
	data, err := o.Data.Open()
	if err != nil {
		return models, err
	}
	observe.Say(progress, data.Notes...)
	backend, err := engine.Backend(o.Backend, o.Runner)
	if err != nil {
		return models, err
	}
	release, err := lock(o.Models)
	if err != nil {
		return models, err
	}
	defer release()
	if err := o.sameHorizon(cfg); err != nil {
		return models, err
	}
	wanted, err := engine.TakeLease(o.Models)
	if err != nil {
		return models, err
	}
	defer wanted.End()
	fn := modelFn{Dataset: data, Models: o.Models, From: o.From, Config: cfg, Horizon: o.Horizon, Steps: o.Steps, Seed: o.Seed, Backend: backend.Kind, Lease: wanted}
	_, err = engine.Pipeline{
		Runner: o.Runner, Stage: "training", Progress: progress, Tasks: tasks,
		Build: func(s beam.Scope, job *observe.Job) {
			fn.Job = job.Name
			build(s, fn, kinds)
		},
	}.Run(ctx)
	if err != nil {
		return models, err
	}
	return session.Describe(o.Models, kinds)
}

// lock keeps other trainings out of the folder of the models.
func lock(models string) (release func(), err error) {
	if err := storage.MkdirAll(models); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return snapshot.Lock(storage.Join(models, ".lock"), "train")
}

func build(s beam.Scope, fn modelFn, kinds []training.Kind) {
	s = s.Scope("train.Models")
	var names []string
	for _, kind := range kinds {
		names = append(names, string(kind))
	}
	trained := beam.ParDo(s, &fn, beam.Reshuffle(s, beam.CreateList(s, names)))
	beam.ParDo0(s, &trainedFn{}, beam.GroupByKey(s, beam.AddFixedKey(s, trained)))
}

// modelFn trains one kind of model.
type modelFn struct {
	Dataset input.Dataset   `json:"dataset"`
	Models  string          `json:"models"` // folder of all
	From    string          `json:"from,omitempty"`
	Config  training.Config `json:"config"`
	Horizon int             `json:"horizon"` // that was asked for; 0 where none was
	Steps   int             `json:"steps"`
	Seed    uint64          `json:"seed"`
	Backend string          `json:"backend"`
	Job     string          `json:"job"`
	Lease   engine.Lease    `json:"lease"`
}

func (fn *modelFn) ProcessElement(ctx context.Context, kind string) (string, error) {
	defer observe.Work(ctx, fn.Job)()
	ctx, release := fn.Lease.Hold(ctx)
	defer release()
	err := fn.train(ctx, training.Kind(kind))
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}
	if err == nil {
		slog.InfoContext(ctx, "trained", "stage", "training", "run", fn.Job, "model", kind)
	}
	return kind, err
}

func (fn *modelFn) train(ctx context.Context, kind training.Kind) error {
	opts := training.Options{Backend: fn.Backend, Seed: fn.Seed, Steps: fn.Steps, Progress: countSteps(ctx, kind)}
	before, err := fn.before(kind, &opts)
	if err != nil {
		return err
	}
	data, err := load(ctx, fn.Dataset, before)
	if err == nil && kind == training.Denoiser {
		err = fitsHorizon(data, fn.Horizon)
	}
	if err != nil {
		return err
	}
	if fn.From != "" && len(data.Learned) == 0 { // it begins anew, with all the steps that that takes
		opts.Initial, opts.Steps = "", 0
	}
	_, err = training.Train(ctx, kind, fn.Config, data, fn.Models, opts)
	return err
}

// trainedFn takes up the kinds that were trained. A bundle without an output
// would have prism wait for its end in a busy loop, which costs a core.
type trainedFn struct{}

func (*trainedFn) ProcessElement(int, func(*string) bool) {}
