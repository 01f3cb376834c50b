package storage

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"diffstitch/io/storage/bucket"
)

// Copy copies a file, of this machine or not, which is there whole or not at all.
func Copy(from, to string) error {
	f, err := Open(from)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	return WriteWhole(to, func(w io.Writer) error {
		_, err := io.Copy(w, f.Reader())
		return err
	})
}

// WriteWhole writes a file, which is there whole or not at all.
func WriteWhole(path string, write func(io.Writer) error) (err error) {
	if IsRemote(path) {
		_, err = writeRemote(path, bucket.Anything, write)
	} else {
		err = writeLocal(path, write)
	}
	if err != nil {
		return fmt.Errorf("storage: writing %q: %w", path, err)
	}
	return nil
}

// writeLocal writes a file under a temporary name and renames it.
func writeLocal(path string, write func(io.Writer) error) error {
	f, err := within("create", path, func() (*os.File, error) {
		return os.OpenFile(temporary(path), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	})
	if err != nil {
		return err
	}
	if err = write(&writer{handle: f, path: path}); err == nil {
		err = act("finish", path, func() error {
			if err := errors.Join(f.Sync(), f.Close()); err != nil {
				return err
			}
			return os.Rename(f.Name(), path)
		})
	}
	if err != nil {
		_ = act("discard", path, func() error { return errors.Join(f.Close(), os.Remove(f.Name())) }) // the first error counts
	}
	return err
}

// temporary is a name beside path that nobody else has. What is made under it has the
// modes that the user's umask gives.
func temporary(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"-"+rand.Text())
}

// WriteJSON writes a value as an indented file, whole or not at all.
func WriteJSON(path string, value any) error {
	return WriteWhole(path, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	})
}

// writer writes within the limit of time.
type writer struct {
	handle *os.File
	path   string
}

func (w *writer) Write(p []byte) (int, error) {
	p = slices.Clone(p) // a write that was given up still reads it
	return within("write", w.path, func() (int, error) { return w.handle.Write(p) })
}

func act(op, path string, do func() error) error {
	_, err := within(op, path, func() (struct{}, error) { return struct{}{}, do() })
	return err
}
