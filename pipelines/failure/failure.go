// Package failure tells apart the ways in which a pipeline fails, by which a
// command chooses its exit code: settings that cannot be, data that cannot be
// used, a snapshot that is not good enough, a job that was built and not run, and the
// user's own stop. Everything
// else is a failure of the work itself.
package failure

import (
	"context"
	"errors"
)

var (
	// ErrUsage is in the chain of every error that comes of settings that cannot
	// be, or that contradict each other.
	ErrUsage = errors.New("wrong usage")
	// ErrData is in the chain of every error that says the input data, or too much
	// of it, cannot be used.
	ErrData = errors.New("data rejected")
	// ErrRefused is in the chain where a snapshot was made and a quality gate kept it from
	// being published.
	ErrRefused = errors.New("refused by a quality gate")
	// ErrNotRun is returned where the runner was asked to build its jobs alone, as
	// Dataflow's --dry_run and --template_location do.
	ErrNotRun = errors.New("the jobs were built, and none was run")
)

// Interrupted says whether an error comes of the user's own stop.
func Interrupted(err error) bool { return errors.Is(err, context.Canceled) }
