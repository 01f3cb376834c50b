package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Leftover is a temporary file of a writer that died.
type Leftover struct {
	Path  string
	Bytes int64
}

// RemoveLeftovers removes the temporary files that dead writers left in a
// model's folder. Files that are being written are locked, and stay.
func RemoveLeftovers(dir string) ([]Leftover, error) {
	if isURL(dir) {
		return nil, nil // where a file appears whole
	}
	var removed []Leftover
	for _, name := range []string{ModelFile, WeightsFile, StateFile} {
		paths, err := filepath.Glob(filepath.Join(dir, "."+name+".*"))
		if err != nil {
			return removed, fmt.Errorf("checkpoint: listing %q: %w", dir, err)
		}
		for _, path := range paths {
			gone, err := removeDead(path)
			if err != nil {
				return removed, fmt.Errorf("checkpoint: removing %q: %w", path, err)
			}
			if gone != nil {
				removed = append(removed, *gone)
			}
		}
	}
	return removed, nil
}

// removeDead removes a temporary file unless its writer is alive, whose lock
// would end with it.
func removeDead(path string) (*Leftover, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // it was renamed a moment ago
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	if err := lock(f); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &Leftover{Path: path, Bytes: info.Size()}, os.Remove(path)
}

// lock takes the kernel's lock on a file, which ends when the file is closed or
// the process dies.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
