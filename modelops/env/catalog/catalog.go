// Package catalog opens environments by their name: the built-in maze, and any of
// Gymnasium's where Python has it.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"diffstitch/modelops/env"
	"diffstitch/modelops/env/gymnasium"
	"diffstitch/modelops/env/pointmaze"
)

// Open makes n copies of an environment. They may end with ctx. python is the
// interpreter that runs those of Gymnasium, "" for the usual one; the built-in maze takes
// no options.
func Open(ctx context.Context, python, name string, options env.Options, n int) (env.Vector, error) {
	switch {
	case name == "":
		return nil, noName()
	case name == pointmaze.Name:
		if err := noOptions(options); err != nil {
			return nil, err
		}
		return pointmaze.NewVector(n), nil
	}
	v, err := gymnasium.Open(ctx, python, name, options, n)
	if err != nil {
		return nil, builtIn(err) // not a Vector that is nil
	}
	return v, nil
}

// OpenSimulator opens an environment whose state can be set from an observation.
func OpenSimulator(ctx context.Context, python, name string, options env.Options) (env.Simulator, error) {
	switch {
	case name == "":
		return nil, noName()
	case name == pointmaze.Name:
		if err := noOptions(options); err != nil {
			return nil, err
		}
		return pointmaze.NewSimulator(), nil
	}
	s, err := gymnasium.OpenSimulator(ctx, python, name, options)
	if err != nil {
		return nil, builtIn(err) // not a Simulator that is nil
	}
	return s, nil
}

// builtIn adds what there is without Gymnasium to an error that may come of a
// misspelt name.
func builtIn(err error) error {
	if errors.Is(err, env.ErrUnknown) || errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w (%s is built in)", err, pointmaze.Name)
	}
	return err
}

// noOptions fails where the built-in maze is given any.
func noOptions(options env.Options) error {
	for name := range options {
		return fmt.Errorf("catalog: %w: %[3]s takes no options, and %[2]s is given", env.ErrUnknown, name, pointmaze.Name)
	}
	return nil
}

func noName() error {
	return fmt.Errorf("catalog: %w: no name; it is %s, or one of Gymnasium's, such as Hopper-v5", env.ErrUnknown, pointmaze.Name)
}
