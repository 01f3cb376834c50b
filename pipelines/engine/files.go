package engine

import (
	"errors"
	"fmt"
	"io"

	"diffstitch/io/storage"
	"diffstitch/modelops/checkpoint"
)

func init() { checkpoint.Use(modelFiles{}) } // in workers too

// modelFiles are those of models on object stores.
type modelFiles struct{}

func (modelFiles) ReadFile(path string, most int64) ([]byte, error) {
	if err := known(path); err != nil {
		return nil, err
	}
	return storage.ReadFile(path, most)
}

func (modelFiles) WriteFile(path string, data []byte) error {
	if err := known(path); err != nil {
		return err
	}
	return storage.WriteWhole(path, func(w io.Writer) error { _, err := w.Write(data); return err })
}

func (modelFiles) Remove(path string) error {
	if err := known(path); err != nil {
		return err
	}
	return storage.Remove(path)
}

func (modelFiles) Exists(path string) bool {
	if known(path) != nil {
		return false
	}
	_, err := storage.Stat(path)
	return err == nil
}

func known(path string) error {
	if !storage.IsRemote(path) {
		return fmt.Errorf("%q: %w", path, errScheme)
	}
	return nil
}

var errScheme = errors.New("it is of no storage that is known; a folder of this machine, gs:// and s3:// are")
