// Package attempt runs the work that a DoFn does for an element, and runs it again when
// it fails.
//
// Storage and devices fail now and then and work the next time, so work gets a
// few tries. What fails after that is one of two things. The worker or its
// storage is in trouble: the bundle fails, and the runner may try it elsewhere.
// Or the batch itself cannot be worked on, here or anywhere: it becomes a dead
// letter, and the other batches go on.
package attempt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"diffstitch/io/fault"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() { register.Emitter1[trajectory.Failure]() }

var (
	repeated = beam.NewCounter("attempt", "tries_repeated")
	failed   = beam.NewCounter("attempt", "batches_failed")
)

// Work is tried so often, after waits that grow by a factor. A variable, so that
// tests need not wait.
const (
	tries      = 3
	waitGrowth = 5
)

var firstWait = 200 * time.Millisecond

// Batch works on a batch of the plan and emits what comes of it, once. A batch
// that cannot be worked on goes to dead; the error it returns is the worker's.
func Batch[T any](ctx context.Context, stage string, at trajectory.Span, work func() (T, error), emit func(T), dead func(trajectory.Failure)) error {
	result, err := Do(ctx, stage, strconv.FormatInt(at.Batch, 10), work)
	switch {
	case err == nil:
		emit(result)
	case OfTheWorker(err):
		return fmt.Errorf("%s: batch %d: %w", stage, at.Batch, err)
	default:
		failed.Inc(ctx, 1)
		slog.ErrorContext(ctx, "batch failed", "stage", stage, "batch", at.Batch, "error", err)
		dead(trajectory.Failure{Span: at, Stage: stage, Error: err.Error()})
	}
	return nil
}

// Do gives the result of work, which is tried again if it fails or panics.
// Work must not mind that an earlier try got half through.
func Do[T any](ctx context.Context, stage, element string, work func() (T, error)) (result T, err error) {
	wait := firstWait
	for try := 1; ; try++ {
		result, err = once(stage, element, work)
		if err == nil || try == tries || ctx.Err() != nil {
			return result, err
		}
		slog.WarnContext(ctx, "trying again", "stage", stage, "element", element, "try", try, "error", err)
		repeated.Inc(ctx, 1)
		select {
		case <-ctx.Done():
			return result, ctx.Err()
		case <-time.After(wait):
		}
		wait *= waitGrowth
	}
}

// once turns a panic of work into an error.
func once[T any](stage, element string, work func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic", "stage", stage, "element", element, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if err := fault.At(stage, element); err != nil {
		return result, err
	}
	if result, err = work(); err != nil {
		return result, err
	}
	return result, fault.At(stage+"-done", element)
}

// ErrWorker is wrapped by other errors of the worker, such as those of its device.
var ErrWorker = errors.New("the worker is in trouble")

// OfTheWorker is whether an error speaks of files, the disk, the device or an end
// that was ordered, rather than of what was worked on.
func OfTheWorker(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	var call *os.SyscallError
	return errors.Is(err, ErrWorker) || errors.As(err, &path) || errors.As(err, &link) || errors.As(err, &call) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
