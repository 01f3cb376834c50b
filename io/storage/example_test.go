package storage_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"diffstitch/io/storage"
)

// A file whose writer fails is not there at all.
func ExampleWriteWhole() {
	dir, err := os.MkdirTemp("", "storage")
	if err != nil {
		fmt.Println(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "file")
	_ = storage.WriteWhole(path, func(w io.Writer) error {
		_, err := io.WriteString(w, "half of it")
		return errors.Join(err, errors.New("the disk is full"))
	})
	_, err = os.Stat(path)
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output: true
}
