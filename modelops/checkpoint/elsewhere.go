package checkpoint

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Files are those of models that do not lie on this machine. What is not there is
// fs.ErrNotExist.
type Files interface {
	// ReadFile reads a file of at most so many bytes.
	ReadFile(path string, most int64) ([]byte, error)
	// WriteFile writes a file, which is there whole or not at all.
	WriteFile(path string, data []byte) error
	// Remove removes a file, if it is there.
	Remove(path string) error
	// Exists is whether a file is there.
	Exists(path string) bool
}

var elsewhere Files

// Use has the models of folders that are URLs read and written as files says. It is called
// once, before any other function.
func Use(files Files) { elsewhere = files }

var errNowhere = errors.New("models at URLs are not read here; name a folder of this machine")

// isURL is whether a path is not one of this machine.
func isURL(path string) bool { return strings.Contains(path, "://") }

// at gives what reads and writes the files of a URL.
func at(path string) (Files, error) {
	if elsewhere == nil {
		return nil, fmt.Errorf("checkpoint: %q: %w", path, errNowhere)
	}
	return elsewhere, nil
}

// Join puts a name behind a folder's path or URL.
func Join(dir, name string) string {
	if isURL(dir) {
		return strings.TrimSuffix(dir, "/") + "/" + name
	}
	return filepath.Join(dir, name)
}

// Absolute is the path as it is from anywhere on this machine.
func Absolute(dir string) (string, error) {
	if isURL(dir) {
		return dir, nil
	}
	return filepath.Abs(dir)
}
