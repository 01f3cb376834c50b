package pipelines

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"math"

	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.DoFn2x2[context.Context, string, string, error](&trainFn{})
	register.DoFn2x0[int, func(*string) bool](&trainedFn{})
	register.Iter1[string]()
}

// TrainOptions configure the training of models.
type TrainOptions struct {
	Data   Data
	Models string // folder of the models
	// Methods are those whose models are trained; none means DiffStitch.
	Methods []training.Method
	Preset  string
	Steps   int // optimizer steps of each model in place of the preset's; 0 keeps them
	// Conditioning is how the denoiser is shown the known states, in place of the
	// preset's; "" keeps it.
	Conditioning string
	Seed         uint64
	Backend      string
	Runner       string
}

// Validate reports the first setting that cannot be.
func (o TrainOptions) Validate() error {
	if _, err := o.config(); err != nil {
		return err
	}
	for _, m := range o.Methods {
		if _, err := findMethod(m); err != nil {
			return err
		}
	}
	if o.Steps < 0 {
		return fmt.Errorf("pipelines: %d training steps asked for", o.Steps)
	}
	return nil
}

// config is the preset's, with what was asked for in its place.
func (o TrainOptions) config() (training.Config, error) {
	cfg, err := training.Preset(o.Preset)
	cfg = cfg.For(o.Methods...)
	if err == nil && o.Conditioning != "" {
		cfg.Denoiser.Diffusion.Conditioning = diffusion.Conditioning(o.Conditioning)
		err = cfg.Denoiser.Diffusion.Conditioning.Validate()
	}
	return cfg, err
}

// kinds are the models to train.
func (o TrainOptions) kinds() []training.Kind {
	if len(o.Methods) == 0 {
		return training.KindsOf(training.MethodDiffStitch)
	}
	return training.KindsOf(o.Methods...)
}

// Train trains the models: a Beam stage of an element a model, each of which reads
// the data itself. Finished models are kept, unfinished ones resumed.
func Train(ctx context.Context, o TrainOptions, progress func(Progress)) (models session.Info, err error) {
	if err := o.Validate(); err != nil {
		return models, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if err := errors.Join(makeAbsolute(&o.Data.Path, &o.Models), prepareRunner(ctx, o.Runner)); err != nil {
		return models, err
	}
	in, shape, err := o.Data.open()
	if err != nil {
		return models, err
	}
	engine, err := openEngine(o.Backend, o.Runner)
	if err != nil {
		return models, err
	}
	o.Backend = engine.Kind
	wanted, err := takeLease(o.Models)
	if err != nil {
		return models, err
	}
	defer wanted.end()
	_, err = execute(ctx, pipeline{
		runner: o.Runner, stage: "training", progress: progress, tasks: trainingTasks,
		build: func(s beam.Scope, job *observe.Job) {
			s = s.Scope("pipelines.Train")
			kinds := beam.Reshuffle(s, beam.CreateList(s, modelNames(o.kinds())))
			trained := beam.ParDo(s, &trainFn{Options: o, Input: in, Shape: shape, Job: job.Name, Lease: wanted}, kinds)
			beam.ParDo0(s, &trainedFn{}, beam.GroupByKey(s, beam.AddFixedKey(s, trained)))
		},
	})
	if err != nil {
		return models, err
	}
	return session.Describe(o.Models, o.kinds())
}

func modelNames(kinds []training.Kind) (names []string) {
	for _, kind := range kinds {
		names = append(names, string(kind))
	}
	return names
}

type trainFn struct {
	Options TrainOptions    `json:"options"`
	Input   datasetio.Input `json:"input"`
	Shape   datasetio.Shape `json:"shape"`
	Job     string          `json:"job"`
	Lease   lease           `json:"lease"`
}

func (fn *trainFn) ProcessElement(ctx context.Context, kind string) (string, error) {
	defer observe.Work(ctx, fn.Job)()
	ctx, release := fn.Lease.hold(ctx)
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

// trainedFn takes up the kinds that were trained. A bundle without an output
// would have prism wait for its end in a busy loop, which costs a core.
type trainedFn struct{}

func (*trainedFn) ProcessElement(int, func(*string) bool) {}

func (fn *trainFn) train(ctx context.Context, kind training.Kind) error {
	data, err := loadTraining(ctx, fn.Options.Data, fn.Input, fn.Shape)
	if err != nil {
		return err
	}
	cfg, err := fn.Options.config()
	if err != nil {
		return err
	}
	opts := training.Options{
		Backend: fn.Options.Backend, Seed: fn.Options.Seed, Steps: fn.Options.Steps, Progress: countSteps(ctx, kind),
	}
	_, err = training.Train(ctx, kind, cfg, data, fn.Options.Models, opts)
	return err
}

// countSteps counts the optimizer steps of a model, those before an
// interruption too.
func countSteps(ctx context.Context, kind training.Kind) func(training.Progress) {
	namespace := trainingNamespace(kind)
	steps, planned, loss := beam.NewCounter(namespace, stepsTaken), beam.NewGauge(namespace, stepsPlanned), beam.NewGauge(namespace, lossMillionths)
	counted := 0
	return func(p training.Progress) {
		steps.Inc(ctx, int64(p.Step-counted))
		planned.Set(ctx, int64(p.Steps))
		loss.Set(ctx, int64(math.Round(p.Loss*1e6)))
		counted = p.Step
	}
}

// loadTraining reads the whole dataset into memory, where training draws from
// it at random.
func loadTraining(ctx context.Context, d Data, in datasetio.Input, shape datasetio.Shape) (*training.Data, error) {
	data := &training.Data{ObservationDim: shape.ObservationDim, ActionDim: shape.ActionDim}
	fingerprint := sha256.New()
	metas, rejects, err := read(ctx, in, shape, func(e *trajectory.Episode) {
		t := training.Trajectory{States: e.Observations, Actions: e.Actions, Rewards: e.Rewards, Terminal: e.End == trajectory.Terminal}
		if final, known := e.NextObservation(e.Len() - 1); known {
			t.States = append(t.States[:len(t.States):len(t.States)], final...)
		}
		data.Trajectories = append(data.Trajectories, t)
		hashFloats(fingerprint, t.States, t.Actions, t.Rewards)
		fingerprint.Write([]byte{byte(e.End)})
	})
	if err != nil {
		return nil, err
	}
	if err := d.check(len(in.Files), metas, rejects); err != nil {
		return nil, err
	}
	data.Fingerprint = hex.EncodeToString(fingerprint.Sum(nil))
	return data, nil
}

func hashFloats(h hash.Hash, columns ...[]float32) {
	var buffer []byte
	for _, values := range columns {
		buffer = binary.LittleEndian.AppendUint64(buffer[:0], uint64(len(values)))
		buffer, _ = binary.Append(buffer, binary.LittleEndian, values) // float32 has a fixed size
		h.Write(buffer)
	}
}

// Interrupted says whether an error comes of the user's own stop.
func Interrupted(err error) bool { return errors.Is(err, context.Canceled) }
