package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"diffstitch/io/storage"
)

// Lease is a file beside what workers write for a long time. They go on as long
// as it exists: engines do not always stop a job whose driver was interrupted,
// and cannot stop one whose driver was killed.
type Lease string

const leasePrefix = ".wanted-"

// How often workers look, on this machine and on an object store.
const (
	leaseCheck       = time.Second
	remoteLeaseCheck = 15 * time.Second
)

// TakeLease makes the folder's only lease: workers that a killed driver left
// behind give up.
func TakeLease(dir string) (Lease, error) {
	if err := storage.MkdirAll(dir); err != nil {
		return "", fmt.Errorf("engine: %w", err)
	}
	entries, err := storage.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("engine: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), leasePrefix) {
			continue
		}
		if err := storage.Remove(storage.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("engine: %w", err)
		}
	}
	path := storage.Join(dir, leasePrefix+rand.Text())
	return Lease(path), storage.WriteWhole(path, func(io.Writer) error { return nil })
}

// Leased is whether a folder has a lease.
func Leased(dir string) bool {
	entries, err := storage.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), leasePrefix) })
}

// End has the workers give up, those that still work.
func (l Lease) End() { _ = storage.Remove(string(l)) }

// Hold gives a context that ends when the lease does, with the reason as its
// cause.
func (l Lease) Hold(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	check := leaseCheck
	if storage.IsRemote(string(l)) {
		check = remoteLeaseCheck
	}
	go func() {
		ticker := time.NewTicker(check)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if _, err := storage.Stat(string(l)); errors.Is(err, fs.ErrNotExist) {
				cancel(fmt.Errorf("engine: given up: the driver ended, or another run writes into %q", storage.Dir(string(l))))
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}
