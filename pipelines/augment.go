package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/session"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/mix"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/rank"
)

// AugmentOptions configure one augmentation of a dataset.
type AugmentOptions struct {
	Data   Data   `json:"data"`
	Models string `json:"models"`
	Out    string `json:"-"`

	// Stitches is how many stitches are attempted; 0 leaves it to Transitions.
	Stitches int64 `json:"stitches,omitempty"`
	// Transitions is how many D_aug must hold; attempts go on in rounds until it
	// does.
	Transitions int64 `json:"transitions,omitempty"`
	Batch       int   `json:"batch"` // attempted stitches a batch
	// MaxFailedShare is the share of attempted stitches that may be missing since
	// their batch failed.
	MaxFailedShare float64 `json:"max_failed_share"`

	Scoring trajectory.Scoring `json:"scoring"`
	Pools   rank.Config        `json:"pools"`
	Pairing string             `json:"pairing"`
	// Candidates is how many high-return states a batch chooses its entries from.
	Candidates int             `json:"candidates"`
	Estimate   estimate.Config `json:"estimate"`

	Sampler diffusion.Sampler `json:"sampler"`
	Delta   Delta             `json:"delta"`
	// MaxDisagreement, RejectTerminal and RequireGain are those of qualify.Config.
	MaxDisagreement float64    `json:"max_disagreement,omitempty"`
	RejectTerminal  bool       `json:"reject_terminal,omitempty"`
	RequireGain     bool       `json:"require_gain,omitempty"`
	Mix             mix.Config `json:"mix"`

	Seed    uint64 `json:"seed"`
	Backend string `json:"backend"`
	Runner  string `json:"-"` // D* does not depend on it
	// GPUConcurrency is how many batches may run on a device at once, and CacheMB
	// how many MiB of what it fetched are kept, a worker process. D* does not
	// depend on them.
	GPUConcurrency int `json:"-"`
	CacheMB        int `json:"-"`
}

// Validate reports the first setting that cannot be, or that contradicts
// another.
func (o AugmentOptions) Validate() error {
	switch {
	case o.Stitches < 0 || o.Transitions < 0:
		return errors.New("a negative amount of stitches or transitions is asked for")
	case o.Stitches > 0 && o.Transitions > 0:
		return errors.New("--stitches says how many to attempt and --transitions how many to obtain: give one of them")
	case o.CacheMB < 1:
		return fmt.Errorf("--cache-mb %d is no room: want 1 or more", o.CacheMB)
	case o.MaxFailedShare < 0 || o.MaxFailedShare > 1:
		return fmt.Errorf("--max-failed-share %g is not in [0, 1]", o.MaxFailedShare)
	case o.GPUConcurrency < 1:
		return fmt.Errorf("--gpu-concurrency %d: at least one batch must run at a time", o.GPUConcurrency)
	case o.Stitches == 0 && o.Transitions == 0 && (o.Mix.Ratio.Original == 0 || o.Mix.Ratio.Augmented == 0):
		return errors.New("give --stitches, or --transitions, or a --mix ratio that says how many transitions to make")
	}
	return errors.Join(o.Scoring.Validate(), o.Pools.Validate(), o.plan(0, 1).Validate(), o.Estimate.Validate(), o.Mix.Validate())
}

func (o AugmentOptions) plan(first, count int64) pair.Config {
	return pair.Config{
		Strategy: o.Pairing, Seed: o.Seed, First: first, Count: count, BatchSize: o.Batch, Candidates: o.Candidates,
	}
}

// guidedReturn is what a denoiser guided by the return aims at, as a share of
// the data's best: near the top of the range the authors' code uses.
const guidedReturn = 0.9

// session is what the workers run: the models that the run began with, and no
// others.
func (run *augmentation) session() session.Options {
	o := run.options
	return session.Options{
		Dir: o.Models, Hashes: run.models.Hashes(), Backend: o.Backend,
		Batch: o.Batch, Sampler: o.Sampler, Return: guidedReturn, Concurrency: o.GPUConcurrency,
	}
}

// Delta is the threshold of the qualification.
type Delta struct {
	Off bool `json:"off,omitempty"`
	// Quantile, if positive, sets δ to that quantile of the dynamics model's
	// error on held-out real transitions.
	Quantile float64 `json:"quantile,omitempty"`
	Value    float64 `json:"value,omitempty"` // in the units of the observations
}

// DefaultQuantile is what "auto" means.
const DefaultQuantile = 0.99

// ParseDelta reads "auto", "auto:0.99", "off" or a number.
func ParseDelta(s string) (Delta, error) {
	name, quantile, given := strings.Cut(s, ":")
	switch {
	case s == "off":
		return Delta{Off: true}, nil
	case s == "auto":
		return Delta{Quantile: DefaultQuantile}, nil
	case name == "auto" && given:
		q, err := strconv.ParseFloat(quantile, 64)
		if err != nil || !(q > 0 && q <= 1) {
			return Delta{}, fmt.Errorf("δ %q: the quantile must lie in (0, 1]", s)
		}
		return Delta{Quantile: q}, nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return Delta{}, fmt.Errorf("δ %q is none: want auto, auto:QUANTILE, off or a positive number", s)
	}
	return Delta{Value: v}, nil
}

func (d Delta) String() string {
	switch {
	case d.Off:
		return "off"
	case d.Quantile > 0:
		return fmt.Sprintf("%.4g (the %g quantile of the held-out dynamics error)", d.Value, d.Quantile)
	}
	return fmt.Sprintf("%g", d.Value)
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
		{"stitch", run.stitch},
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
	run := &augmentation{options: o}
	var err error
	if run.input, run.shape, err = o.Data.open(); err != nil {
		return nil, err
	}
	run.input.CacheMB = o.CacheMB
	return run, run.openModels()
}

// openModels checks that the models fit the data, and settles δ.
func (run *augmentation) openModels() (err error) {
	o := &run.options
	if run.models, err = session.Describe(o.Models); err != nil {
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
	if err := o.Sampler.Validate(run.models.DenoisingSteps); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if _, _, err := o.Estimate.Bounds(run.models.Horizon); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if o.Delta.Quantile > 0 {
		o.Delta.Value = run.models.DynamicsError.Quantile(o.Delta.Quantile)
	}
	if err := run.checkQualification(); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return nil
}

// checkQualification checks that the models can say what is asked of them.
func (run *augmentation) checkQualification() error {
	o := run.options
	switch {
	case o.MaxDisagreement > 0 && run.models.DynamicsNets < 2:
		return fmt.Errorf("--max-disagreement: the dynamics model in %q is one net, which has none to disagree with: train with --preset reference, or leave the flag out", o.Models)
	case o.RejectTerminal && !run.models.Terminals:
		return fmt.Errorf("--reject-terminal: the reward model in %q does not predict terminal states: train with --preset reference, or leave the flag out", o.Models)
	}
	return o.qualify().Validate()
}
