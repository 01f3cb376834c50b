// Package environment opens the environments and simulators that a dataset is
// evaluated in, and checks that the two fit each other.
package environment

import (
	"context"
	"errors"
	"fmt"

	"diffstitch/io/datasetio"
	"diffstitch/modelops/env"
	"diffstitch/modelops/env/catalog"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// Open opens copies of an environment, in which every episode must end. Python is
// the interpreter that runs Gymnasium, "" for the usual one.
func Open(ctx context.Context, python, name string, options env.Options, copies int) (env.Vector, error) {
	v, err := catalog.Open(ctx, python, name, options, copies)
	if err != nil {
		return nil, usage(err)
	}
	if s := v.Spec(); s.MaxSteps == 0 {
		err := fmt.Errorf("%w: episodes of %s have no time limit, so they may never end", failure.ErrUsage, s.Name)
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// OpenSimulator opens an environment that goes on from any state.
func OpenSimulator(ctx context.Context, python, name string, options env.Options) (env.Simulator, error) {
	s, err := catalog.OpenSimulator(ctx, python, name, options)
	return s, usage(err)
}

// usage marks that there is no such environment as an error of usage.
func usage(err error) error {
	if errors.Is(err, env.ErrUnknown) {
		return fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	return err
}

// Fits checks that what has a shape can be of an environment.
func Fits(whatHas string, shape datasetio.Shape, s env.Spec) error {
	if s.ObservationDim != shape.ObservationDim || s.ActionDim != shape.ActionDim {
		return fmt.Errorf("%w: %s observations of %d values and actions of %d, %s has %d and %d: is it another environment's?",
			failure.ErrUsage, whatHas, shape.ObservationDim, shape.ActionDim, s.Name, s.ObservationDim, s.ActionDim)
	}
	return nil
}

// Check fails where there is no such environment, or where policies that learn from
// the data cannot be rolled out in it.
func Check(ctx context.Context, data input.Data, python, name string) error {
	opened, err := data.Open()
	if err != nil {
		return err
	}
	v, err := Open(ctx, python, name, nil, 1)
	if err != nil {
		return err
	}
	return errors.Join(Fits("the data has", opened.Shape, v.Spec()), v.Close())
}
