// Package refresh makes D* anew where what it is made of has changed: it compares the
// inputs, the configuration and the models with those of the current snapshot, and holds
// what it makes to quality gates before it is published.
package refresh

import (
	"context"
	"fmt"

	"diffstitch/io/snapshot"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/observe"
)

// Options configure a refresh.
type Options struct {
	Augment augment.Options
	Gates   Gates
	// Full makes everything anew, also where nothing has changed.
	Full bool
}

// DefaultOptions is the configuration that flags change.
func DefaultOptions() Options {
	return Options{Augment: augment.DefaultOptions(), Gates: DefaultGates()}
}

func (o Options) validate() error {
	if err := o.Gates.validate(); err != nil {
		return fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	return nil
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
	plan, err := PlanOf(ctx, o)
	if err != nil {
		return Result{}, err
	}
	if plan.UpToDate {
		return Result{Plan: plan, Snapshot: plan.last}, nil
	}
	made, err := o.augment(ctx, plan, progress)
	if err != nil {
		return Result{}, err
	}
	return Result{Plan: plan, Snapshot: made}, nil
}

// augment makes D*, and publishes it if the gates let it pass.
func (o Options) augment(ctx context.Context, plan Plan, progress func(observe.Progress)) (snapshot.Snapshot, error) {
	last, err := plan.comparable()
	if err != nil {
		return snapshot.Snapshot{}, err
	}
	var found *float64 // by the simulator
	judge := o.Gates.judge(ctx, o.Augment.Seed, &found)
	o.Augment.Expect = &plan.Current
	o.Augment.Gate = func(m *snapshot.Manifest) error {
		m.Quality.Truth = found
		return o.Gates.check(m, last)
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
	if d, err := difference(before, now); err != nil || d != "" {
		return nil, err
	}
	return &p.last.Manifest, nil
}
