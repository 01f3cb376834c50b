package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// Options configure a stream. As JSON, which the manifests record, they are what the
// stitches of a window depend on.
type Options struct {
	Data   input.Data `json:"data"`
	Models string     `json:"models"`
	Out    string     `json:"-"`

	// Window is how long a window is, in the time of the files' last changes.
	Window time.Duration `json:"window"`
	// Poll is how often the data is looked at.
	Poll time.Duration `json:"-"`
	// UntilIdle ends the stream once nothing has come for so long; 0 for never.
	UntilIdle time.Duration `json:"-"`

	// Attempts is how many stitches are attempted for each original episode.
	Attempts float64 `json:"attempts"`
	// Latest is how many of the latest episodes before a window its own are ranked with,
	// and Pool how many of the latest high ones among them stitches may enter.
	Latest int `json:"latest"`
	Pool   int `json:"pool"`
	Batch  int `json:"batch"` // stitches in a batch; 0 leaves it to the method

	method.Settings
	Mix mix.Config `json:"mix"`

	Seed    uint64 `json:"seed"`
	Backend string `json:"backend"`
	// Precision of matrix products and convolutions on XLA.
	Precision      backend.Precision `json:"precision,omitempty"`
	Runner         string            `json:"-"`
	GPUConcurrency int               `json:"-"`
	CacheMB        int               `json:"-"`

	// Published, where set, passes each snapshot on as soon as it is current. What it fails
	// at is told, and is tried again with the next one, which has all that this one has.
	Published func(context.Context, snapshot.Snapshot) error `json:"-"`
}

// DefaultOptions is the configuration that flags change.
func DefaultOptions() Options {
	return Options{
		Window: time.Minute, Poll: time.Second, Attempts: 1, Latest: 2048, Pool: 256,
		Settings: method.DefaultSettings(),
		Mix:      mix.Config{Emit: mix.EmitTrajectory, RowGroupRows: dataset.DefaultRowGroupRows, PartRows: datasetio.DefaultPartRows},
		Backend:  backend.Auto, Runner: engine.Runners[0], GPUConcurrency: 1, CacheMB: datasetio.DefaultCacheMB,
	}
}

// Runners are those that a stream can run on.
var Runners = []string{"prism", "flink"}

// settle reports the first setting that cannot be, and makes paths absolute.
func (o Options) settle() (Options, error) {
	m, err := method.Find(training.MethodDiffStitch)
	if err == nil {
		err = o.bounds()
	}
	if err == nil {
		if o.Batch == 0 {
			o.Batch = m.Batch()
		}
		err = errors.Join(m.Validate(o.Settings, o.Seed, o.Batch), o.Mix.Validate())
	}
	if err != nil {
		return o, fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	o.Settings = o.Settings.Of(training.MethodDiffStitch)
	o.Precision = o.Precision.Asked()
	if err := input.Absolute(&o.Data.Path, &o.Models, &o.Out); err != nil {
		return o, err
	}
	return o, input.Apart(o.Data.Path, o.Out)
}

// bounds reports a number that is out of its range.
func (o Options) bounds() error {
	switch {
	case o.Window < time.Millisecond || o.Window%time.Millisecond != 0:
		return fmt.Errorf("--window %v: windows are of milliseconds or more", o.Window)
	case o.Poll < 10*time.Millisecond:
		return fmt.Errorf("--poll %v: want 10ms or more", o.Poll)
	case o.UntilIdle < 0:
		return fmt.Errorf("--until-idle %v is less than no time", o.UntilIdle)
	case !(o.Attempts >= 0 && o.Attempts <= 1000):
		return fmt.Errorf("--attempts %g: want from 0 to 1000 stitches for an episode", o.Attempts)
	case o.Latest < 0 || o.Pool < 0:
		return fmt.Errorf("--latest %d, --pool %d: a negative number of episodes", o.Latest, o.Pool)
	case o.Batch < 0:
		return fmt.Errorf("--batch %d: a batch must have at least one attempt", o.Batch)
	case o.CacheMB < 1:
		return fmt.Errorf("--cache-mb %d is no room: want 1 or more", o.CacheMB)
	case o.GPUConcurrency < 1:
		return fmt.Errorf("--gpu-concurrency %d: at least one batch must run at a time", o.GPUConcurrency)
	}
	return o.Precision.Validate()
}
