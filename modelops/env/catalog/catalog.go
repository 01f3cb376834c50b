// Package catalog opens environments by their name: the built-in maze, and any of
// Gymnasium's where Python has it.
package catalog

import (
	"context"
	"fmt"

	"diffstitch/modelops/env"
	"diffstitch/modelops/env/gymnasium"
	"diffstitch/modelops/env/pointmaze"
)

// Open makes n copies of an environment. They may end with ctx. python is the
// interpreter that runs those of Gymnasium, "" for the usual one.
func Open(ctx context.Context, python, name string, n int) (env.Vector, error) {
	switch {
	case name == "":
		return nil, noName()
	case name == pointmaze.Name:
		return pointmaze.NewVector(n), nil
	}
	v, err := gymnasium.Open(ctx, python, name, n)
	if err != nil {
		return nil, err // not a Vector that is nil
	}
	return v, nil
}

// OpenSimulator opens an environment whose state can be set from an observation.
func OpenSimulator(ctx context.Context, python, name string) (env.Simulator, error) {
	switch {
	case name == "":
		return nil, noName()
	case name == pointmaze.Name:
		return pointmaze.NewSimulator(), nil
	}
	s, err := gymnasium.OpenSimulator(ctx, python, name)
	if err != nil {
		return nil, err // not a Simulator that is nil
	}
	return s, nil
}

func noName() error {
	return fmt.Errorf("catalog: %w: no name; it is %s, or one of Gymnasium's, such as Hopper-v5", env.ErrUnknown, pointmaze.Name)
}
