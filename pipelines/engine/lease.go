package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Lease is a file beside what workers write for a long time. They go on as long
// as it exists: engines do not always stop a job whose driver was interrupted,
// and cannot stop one whose driver was killed.
type Lease string

const leasePrefix = ".wanted-"

// leaseCheck is how often workers look.
const leaseCheck = time.Second

// TakeLease makes the folder's only lease: workers that a killed driver left
// behind give up.
func TakeLease(dir string) (Lease, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("engine: %w", err)
	}
	older, err := filepath.Glob(filepath.Join(dir, leasePrefix+"*"))
	if err != nil {
		return "", fmt.Errorf("engine: %w", err)
	}
	for _, path := range older {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("engine: %w", err)
		}
	}
	file, err := os.CreateTemp(dir, leasePrefix+"*")
	if err != nil {
		return "", fmt.Errorf("engine: %w", err)
	}
	return Lease(file.Name()), file.Close()
}

// End has the workers give up, those that still work.
func (l Lease) End() { _ = os.Remove(string(l)) }

// Hold gives a context that ends when the lease does, with the reason as its
// cause.
func (l Lease) Hold(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		ticker := time.NewTicker(leaseCheck)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if _, err := os.Stat(string(l)); errors.Is(err, fs.ErrNotExist) {
				cancel(fmt.Errorf("engine: given up: the driver ended, or another run writes into %q", filepath.Dir(string(l))))
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}
