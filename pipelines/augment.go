package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/mix"
	"diffstitch/transforms/rank"
	tatu "diffstitch/transforms/rollout"
	"diffstitch/transforms/synthesize"
)

// AugmentOptions configure one augmentation of a dataset.
type AugmentOptions struct {
	Method training.Method `json:"method"`

	Data   Data   `json:"data"`
	Models string `json:"models"`
	Out    string `json:"-"`

	// Stitches is how many stitches are attempted; 0 leaves it to Transitions.
	Stitches int64 `json:"stitches,omitempty"`
	// Transitions is how many D_aug must hold; attempts go on in rounds until it
	// does.
	Transitions int64 `json:"transitions,omitempty"`
	Batch       int   `json:"batch"` // attempts a batch; 0 leaves it to the method
	// MaxFailedShare is the share of attempts that may be missing since their batch
	// failed.
	MaxFailedShare float64 `json:"max_failed_share"`

	StitchingOptions
	SynthER synthesize.Config `json:"synther,omitzero"`
	TATU    tatu.Config       `json:"tatu,omitzero"`

	Mix mix.Config `json:"mix"`

	Seed    uint64 `json:"seed"`
	Backend string `json:"backend"`
	Runner  string `json:"-"` // D* does not depend on it
	// GPUConcurrency is how many batches may run on a device at once, and CacheMB
	// how many MiB of what it fetched are kept, a worker process. D* does not
	// depend on them.
	GPUConcurrency int `json:"-"`
	CacheMB        int `json:"-"`
}

// StitchingOptions are the settings of DiffStitch alone.
type StitchingOptions struct {
	Scoring trajectory.Scoring `json:"scoring,omitzero"`
	Pools   rank.Config        `json:"pools,omitzero"`
	Pairing string             `json:"pairing,omitempty"`
	// Candidates is how many high-return states a batch chooses its entries from.
	Candidates int             `json:"candidates,omitempty"`
	Estimate   estimate.Config `json:"estimate,omitzero"`

	Sampler diffusion.Sampler `json:"sampler,omitzero"`
	Delta   Delta             `json:"delta,omitzero"`
	// MaxDisagreement, RejectTerminal and RequireGain are those of qualify.Config.
	MaxDisagreement float64 `json:"max_disagreement,omitempty"`
	RejectTerminal  bool    `json:"reject_terminal,omitempty"`
	RequireGain     bool    `json:"require_gain,omitempty"`
}

// forgetOthers drops the settings of other methods, so that the run's configuration
// says what mattered.
func (o *AugmentOptions) forgetOthers() {
	if o.Method != training.MethodDiffStitch {
		// Reading scores episodes all the same.
		o.StitchingOptions = StitchingOptions{Scoring: trajectory.Scoring{Kind: trajectory.ScoreReturn}}
	}
	if o.Method != training.MethodSynthER {
		o.SynthER = synthesize.Config{}
	}
	if o.Method != training.MethodTATU {
		o.TATU = tatu.Config{}
	}
}

// Validate reports the first setting that cannot be, or that contradicts
// another.
func (o AugmentOptions) Validate() error {
	m, err := findMethod(o.Method)
	if err != nil {
		return err
	}
	switch {
	case o.Batch < 0:
		return fmt.Errorf("--batch %d: a batch must have at least one attempt", o.Batch)
	case o.CacheMB < 1:
		return fmt.Errorf("--cache-mb %d is no room: want 1 or more", o.CacheMB)
	case o.MaxFailedShare < 0 || o.MaxFailedShare > 1:
		return fmt.Errorf("--max-failed-share %g is not in [0, 1]", o.MaxFailedShare)
	case o.GPUConcurrency < 1:
		return fmt.Errorf("--gpu-concurrency %d: at least one batch must run at a time", o.GPUConcurrency)
	}
	return errors.Join(o.amount(), m.validate(o), o.Mix.Validate())
}

// guidedReturn is what a denoiser guided by the return aims at, as a share of
// the data's best: near the top of the range the authors' code uses.
const guidedReturn = 0.9

// session is what the workers run: the models that the run began with, and no
// others.
func (run *augmentation) session() session.Options {
	o := run.options
	return session.Options{
		Dir: o.Models, Kinds: run.models.Kinds, Hashes: run.models.Hashes(), Backend: o.Backend,
		Batch: o.Batch, Sampler: o.Sampler, Steps: o.SynthER.Steps, Return: guidedReturn, Concurrency: o.GPUConcurrency,
	}
}

// Judge looks at every attempted bridge before the report is written, so that a
// simulator can say how true it is.
type Judge func(outcomes []trajectory.Outcome, bridge BridgeOf) (*Verdict, error)

// BridgeOf fetches the generated transitions of an attempted stitch.
type BridgeOf func(trajectory.Outcome) (*trajectory.Episode, error)

// Augment makes D* of a dataset and publishes it as a new snapshot.
func Augment(ctx context.Context, o AugmentOptions, judge Judge, progress func(Progress)) (snapshot.Snapshot, error) {
	run, err := begin(ctx, o, progress)
	if err != nil {
		return snapshot.Snapshot{}, err
	}
	defer run.close()
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"read", run.read},
		{run.method.words().step, run.attempt},
		{"mix", run.mix},
	}
	var notRun error
	for _, step := range steps {
		start := time.Now()
		switch err := step.do(ctx); {
		case errors.Is(err, ErrNotRun):
			notRun = err // the next one's job is built all the same
		case err != nil:
			return snapshot.Snapshot{}, err
		}
		run.took(step.name, time.Since(start).Seconds())
	}
	if notRun != nil {
		return snapshot.Snapshot{}, notRun
	}
	return run.publish(judge)
}

// augmentation is a run in progress.
type augmentation struct {
	method   method
	options  AugmentOptions
	input    datasetio.Input
	shape    datasetio.Shape
	engine   backend.Info
	models   session.Info
	staging  *snapshot.Staging
	progress func(Progress)

	configuration json.RawMessage // the options, δ settled

	files    []datasetio.FileInfo
	metas    []trajectory.Meta
	rejects  []dataset.Reject
	pools    rank.Pools
	outcomes []trajectory.Outcome
	failures []trajectory.Failure
	parts    []trajectory.PartInfo

	durations []snapshot.Duration
	metrics   map[string]observe.Metrics // by pipeline, summed over rounds
}

// begin checks what was asked for and locks the output folder.
func begin(ctx context.Context, o AugmentOptions, progress func(Progress)) (*augmentation, error) {
	run, err := checked(o)
	if err != nil {
		return nil, err
	}
	if err := prepareRunner(ctx, o.Runner); err != nil {
		return nil, err
	}
	run.progress = progress
	if run.configuration, err = json.Marshal(run.options); err != nil {
		return nil, fmt.Errorf("pipelines: %w", err)
	}
	run.staging, err = snapshot.Begin(run.options.Out, snapshot.Options{Configuration: run.configuration})
	return run, err
}

// checked opens the data and the models, writing nothing.
func checked(o AugmentOptions) (*augmentation, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if err := makeAbsolute(&o.Data.Path, &o.Models, &o.Out); err != nil {
		return nil, err
	}
	m, err := findMethod(o.Method)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	o.forgetOthers()
	if o.Batch == 0 {
		o.Batch = m.batch()
	}
	run := &augmentation{method: m, options: o}
	if run.input, run.shape, err = o.Data.open(); err != nil {
		return nil, err
	}
	run.input.CacheMB = o.CacheMB
	return run, run.openModels()
}

// openModels checks that the models fit the data and the settings.
func (run *augmentation) openModels() (err error) {
	o := &run.options
	if run.models, err = session.Describe(o.Models, training.KindsOf(o.Method)); err != nil {
		return err
	}
	if run.engine, err = openEngine(o.Backend, o.Runner); err != nil {
		return err
	}
	o.Backend = run.engine.Kind
	if m := run.models; m.ObservationDim != run.shape.ObservationDim || m.ActionDim != run.shape.ActionDim {
		return fmt.Errorf("%w: %q has observations of %d values and actions of %d, the models in %q were trained on %d and %d",
			ErrData, o.Data.Path, run.shape.ObservationDim, run.shape.ActionDim, o.Models, m.ObservationDim, m.ActionDim)
	}
	if err := run.method.settle(run); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return nil
}
