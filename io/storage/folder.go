package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFolder has a folder filled under a temporary name and renames it, so that
// it is there whole or not at all. What is there already must be empty.
func WriteFolder(path string, fill func(dir string) error) (err error) {
	if entries, err := os.ReadDir(path); len(entries) > 0 || (err != nil && !errors.Is(err, fs.ErrNotExist)) {
		return fmt.Errorf("storage: writing folder %q: there is something already; remove it, or name another folder: %w", path, errors.Join(err, fs.ErrExist))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("storage: writing folder %q: %w", path, err)
	}
	dir := temporary(path)
	if err := os.Mkdir(dir, 0o777); err != nil {
		return fmt.Errorf("storage: writing folder %q: %w", path, err)
	}
	if err = fill(dir); err == nil {
		err = act("finish", path, func() error {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return os.Rename(dir, path)
		})
	}
	if err != nil {
		_ = os.RemoveAll(dir) // the first error counts
		return fmt.Errorf("storage: writing folder %q: %w", path, err)
	}
	return nil
}

// Created is a file being written in a folder that is not there yet.
type Created struct {
	writer
	bytes int64
}

// Create makes a file, and the folders above it, for one that [WriteFolder]
// fills.
func Create(path string) (*Created, error) {
	f, err := within("create", path, func() (*os.File, error) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		return os.Create(path)
	})
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return &Created{writer: writer{handle: f, path: path}}, nil
}

// Write writes within the limit of time.
func (c *Created) Write(p []byte) (int, error) {
	n, err := c.writer.Write(p)
	c.bytes += int64(n)
	return n, err
}

// Bytes is how much was written.
func (c *Created) Bytes() int64 { return c.bytes }

// Close makes sure that what was written stays.
func (c *Created) Close() error {
	return act("finish", c.path, func() error { return errors.Join(c.handle.Sync(), c.handle.Close()) })
}

// CreateWhole makes a file of what write writes.
func CreateWhole(path string, write func(io.Writer) error) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
