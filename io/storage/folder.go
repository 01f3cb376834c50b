package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Unfinished is the name of a file that lies in a folder of an object store as long as
// WriteFolder fills it.
const Unfinished = ".unfinished"

// WriteFolder has a folder filled under a temporary name and renames it, so that
// it is there whole or not at all. One of an object store is filled where it is, with
// Unfinished in it until all is there. What is there already must be empty.
func WriteFolder(path string, fill func(dir string) error) (err error) {
	if IsRemote(path) {
		return fillRemote(path, fill)
	}
	if entries, err := os.ReadDir(path); len(entries) > 0 || (err != nil && !errors.Is(err, fs.ErrNotExist)) {
		return occupied(path, err)
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

func occupied(path string, err error) error {
	return fmt.Errorf("storage: writing folder %q: there is something already; remove it, or name another folder: %w", path, errors.Join(err, fs.ErrExist))
}

func fillRemote(path string, fill func(dir string) error) error {
	if _, err := ReadDir(path); !errors.Is(err, fs.ErrNotExist) {
		return occupied(path, err)
	}
	mark := Join(path, Unfinished)
	err := WriteWhole(mark, func(io.Writer) error { return nil })
	if err == nil {
		err = fill(path)
	}
	if err == nil {
		err = Remove(mark)
	}
	if err != nil {
		_ = RemoveAll(path) // the first error counts
		return fmt.Errorf("storage: writing folder %q: %w", path, err)
	}
	return nil
}

// Created is a file being written in a folder that is not there yet. An object appears
// when it is closed.
type Created struct {
	io.Writer
	finish func() error
	bytes  int64
}

// Create makes a file, and the folders above it, for one that [WriteFolder]
// fills.
func Create(path string) (*Created, error) {
	if IsRemote(path) {
		return createRemote(path), nil
	}
	f, err := within("create", path, func() (*os.File, error) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		return os.Create(path)
	})
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return &Created{Writer: &writer{handle: f, path: path}, finish: func() error {
		return act("finish", path, func() error { return errors.Join(f.Sync(), f.Close()) })
	}}, nil
}

// createRemote has an object made of what is written until it is closed. Where that never
// happens, there never is one.
func createRemote(path string) *Created {
	out, in := io.Pipe()
	made := make(chan error, 1)
	go func() {
		err := WriteWhole(path, func(w io.Writer) error { _, err := io.Copy(w, out); return err })
		_ = out.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // it never fails
		made <- err
	}()
	return &Created{Writer: in, finish: func() error { return errors.Join(in.Close(), <-made) }}
}

// Write writes within the limit of time.
func (c *Created) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.bytes += int64(n)
	return n, err
}

// Bytes is how much was written.
func (c *Created) Bytes() int64 { return c.bytes }

// Close makes sure that what was written stays.
func (c *Created) Close() error { return c.finish() }

// CreateWhole makes a file of what write writes, and the folders above it.
func CreateWhole(path string, write func(io.Writer) error) error {
	if IsRemote(path) {
		return WriteWhole(path, write)
	}
	f, err := Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
