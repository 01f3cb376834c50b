package augment

import (
	"errors"
	"fmt"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/transforms/mix"
)

// Options configure one augmentation of a dataset. As JSON, which the manifest
// records, they are what D* depends on.
type Options struct {
	Method training.Method `json:"method"`

	Data   input.Data `json:"data"`
	Models string     `json:"models"`
	Out    string     `json:"-"`

	// Stitches is how many stitches are attempted; 0 leaves it to Transitions.
	Stitches int64 `json:"stitches,omitempty"`
	// Transitions is how many D_aug must hold; attempts go on in rounds until it
	// does.
	Transitions int64 `json:"transitions,omitempty"`
	Batch       int   `json:"batch"` // attempts in a batch; 0 leaves it to the method
	// MaxFailedShare is the share of attempts that may be missing since their batch
	// failed.
	MaxFailedShare float64 `json:"max_failed_share"`

	method.Settings

	Mix mix.Config `json:"mix"`

	Seed    uint64 `json:"seed"`
	Backend string `json:"backend"`
	// Precision of matrix products and convolutions on XLA.
	Precision backend.Precision `json:"precision,omitempty"`
	Runner    string            `json:"-"` // D* does not depend on it
	// GPUConcurrency is how many batches may run on a device at once, and CacheMB
	// how many MiB of what it fetched are kept, in a worker process. D* does not
	// depend on them.
	GPUConcurrency int `json:"-"`
	CacheMB        int `json:"-"`

	// Expect is the id of the snapshot that must be current when the run begins, "" of
	// none; where another is, the run fails with snapshot.ErrOvertaken. nil takes any.
	Expect *string `json:"-"`
	// Gate, where there is one, looks at the manifest before the snapshot is published,
	// and may add to it. Its error keeps CURRENT as it is; where that is
	// failure.ErrRefused, the report is left where the error says.
	Gate func(*snapshot.Manifest) error `json:"-"`
}

// DefaultOptions is the configuration that flags change.
func DefaultOptions() Options {
	return Options{
		Method:   training.MethodDiffStitch,
		Data:     input.Data{MaxRejectShare: 0.01},
		Settings: method.DefaultSettings(),
		Mix:      mix.Config{Emit: mix.EmitTrajectory, RowGroupRows: dataset.DefaultRowGroupRows, PartRows: datasetio.DefaultPartRows},
		Backend:  backend.Auto,
		Runner:   engine.Runners[0],

		GPUConcurrency: 1,
		CacheMB:        datasetio.DefaultCacheMB,
	}
}

// settle reports the first setting that cannot be or that contradicts another, fills
// in what was left to the method, and makes paths absolute. Nothing looks at the
// options for that again.
func (o Options) settle() (Options, method.Method, error) {
	m, err := method.Find(o.Method)
	if err == nil {
		err = o.bounds()
	}
	if err == nil {
		if o.Batch == 0 {
			o.Batch = m.Batch()
		}
		err = errors.Join(o.amount(), o.Precision.Validate(), m.Validate(o.Settings, o.Seed, o.Batch), o.Mix.Validate())
	}
	if err != nil {
		return o, nil, fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	o.Settings = o.Settings.Of(o.Method)
	o.Precision = o.Precision.Asked()
	if err := input.Absolute(&o.Data.Path, &o.Models, &o.Out); err != nil {
		return o, nil, err
	}
	return o, m, input.Apart(o.Data.Path, o.Out)
}

// bounds reports a number that is out of its range.
func (o Options) bounds() error {
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
	return nil
}

// amount reports an amount that says nothing, or too much.
func (o Options) amount() error {
	switch {
	case o.Stitches < 0 || o.Transitions < 0:
		return errors.New("a negative amount of stitches or transitions is asked for")
	case o.Stitches > 0 && o.Transitions > 0:
		return errors.New("--stitches says how many to attempt and --transitions how many to obtain: give one of them")
	case o.Stitches > 0 && o.Method != training.MethodDiffStitch:
		return fmt.Errorf("--stitches is for --method %s: with %s say by --transitions how many to make, or by a --mix ratio", training.MethodDiffStitch, o.Method)
	case o.Stitches == 0 && o.Transitions == 0 && (o.Mix.Ratio.Original == 0 || o.Mix.Ratio.Augmented == 0):
		return errors.New("give --stitches, or --transitions, or a --mix ratio that says how many transitions to make")
	}
	return nil
}
