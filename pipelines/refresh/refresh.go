// Package refresh makes D* anew where what it is made of has changed: it compares the
// inputs, the configuration and the models with those of the current snapshot, trains the
// models on where a policy says so, and holds what it makes to quality gates before it is
// published.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"diffstitch/io/snapshot"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
)

// Options configure a refresh.
type Options struct {
	Augment  augment.Options
	Training Training
	Gates    Gates
	// Full makes everything anew, also where nothing has changed.
	Full bool
}

// DefaultOptions is the configuration that flags change.
func DefaultOptions() Options {
	return Options{Augment: augment.DefaultOptions(), Training: DefaultTraining(), Gates: DefaultGates()}
}

// settle reports the first setting that cannot be, and makes paths absolute.
func (o *Options) settle() error {
	if err := errors.Join(o.Training.validate(), o.Gates.validate()); err != nil {
		return fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	return input.Absolute(&o.Augment.Data.Path, &o.Augment.Models, &o.Augment.Out)
}

// Result is what a refresh came to.
type Result struct {
	Plan
	// Snapshot is the one that is current now.
	Snapshot snapshot.Snapshot
}

// Run brings D* up to date. Where it is, nothing is done. It fails with
// snapshot.ErrLocked or snapshot.ErrOvertaken where another run is at work or was faster,
// and with failure.ErrRefused where a gate kept the current snapshot.
func Run(ctx context.Context, o Options, progress func(observe.Progress)) (Result, error) {
	if err := o.settle(); err != nil {
		return Result{}, err
	}
	plan, err := PlanOf(ctx, o)
	if err != nil {
		return Result{}, err
	}
	if plan.UpToDate {
		return Result{Plan: plan, Snapshot: plan.last}, nil
	}
	observe.Say(progress, strings.TrimSpace(plan.Text()))
	use := func() error { return nil }
	if plan.Retrain.Train {
		models, err := o.retrain(ctx, plan.Retrain, progress)
		if err != nil {
			return Result{}, err
		}
		defer models.release()
		o.Augment.Models, use = models.dir(), models.use
	}
	made, err := o.augment(ctx, plan, use, progress)
	return Result{Plan: plan, Snapshot: made}, err
}

// augment makes D*, and publishes it if the gates let it pass, after it has the models used
// that it was made with.
func (o Options) augment(ctx context.Context, plan Plan, use func() error, progress func(observe.Progress)) (snapshot.Snapshot, error) {
	last, err := plan.comparable()
	if err != nil {
		return snapshot.Snapshot{}, err
	}
	var found *float64 // by the simulator
	judge := o.Gates.judge(ctx, o.Augment.Seed, &found)
	o.Augment.Expect = &plan.Current
	o.Augment.Gate = func(m *snapshot.Manifest) error {
		m.Quality.Truth = found
		if err := o.Gates.check(m, last); err != nil {
			return err
		}
		return use()
	}
	return augment.Run(ctx, o.Augment, judge, progress)
}

// comparable is the manifest of the current snapshot, if what is to be made is of the same
// configuration.
func (p Plan) comparable() (*snapshot.Manifest, error) {
	if p.Current == "" {
		return nil, nil
	}
	before, err := optionsOf(p.last.Manifest.Configuration)
	if err != nil {
		return nil, err
	}
	now, err := optionsOf(p.Augment.Configuration)
	if err != nil {
		return nil, err
	}
	if d, err := difference(before, now, false); err != nil || d != "" {
		return nil, err
	}
	return &p.last.Manifest, nil
}
