// Package modelset keeps sets of trained models in one folder, of which one is in use. A
// training that goes on from it is written beside it, and takes its place in one step, so
// that whoever opens the folder finds a whole set at any time.
//
//	MODELS/<kind>/             the first set, as `diffstitch train` leaves it
//	MODELS/sets/<id>/<kind>/   later ones
//	MODELS/CURRENT             the id of the one in use; the first, where it is not there
package modelset

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"

	"diffstitch/io/storage"
)

const (
	currentName = "CURRENT"
	setsName    = "sets"
)

// maxCurrent bounds what is read of CURRENT, in bytes.
const maxCurrent = 256

var idPattern = regexp.MustCompile(`^[0-9a-f]{16}$`)

// Set is the set of models that a folder has in use.
type Set struct {
	Dir string // of the models' folders
	ID  string // "" of the first

	root    string
	version storage.Version // of CURRENT
}

// Current is the set that a folder has in use. Whether it is whole is not looked at.
func Current(root string) (Set, error) {
	line, version, err := storage.Load(storage.Join(root, currentName), maxCurrent)
	if errors.Is(err, fs.ErrNotExist) {
		return Set{Dir: root, root: root, version: storage.Absent}, nil
	}
	if err != nil {
		return Set{}, fmt.Errorf("modelset: reading which set is in use: %w", err)
	}
	id := string(bytes.TrimSpace(line))
	if !idPattern.MatchString(id) {
		return Set{}, fmt.Errorf("modelset: %q names no set of models: %.40q", storage.Join(root, currentName), id)
	}
	return Set{Dir: storage.Join(root, setsName, id), ID: id, root: root, version: version}, nil
}

// Beside is the folder of the set that is to follow. An id is the hexadecimal digits, 16 of
// them, of what tells it from others: the same training, begun again, finds what it left.
func (s Set) Beside(id string) string { return storage.Join(s.root, setsName, id) }

// Replace has the folder use another set, whose models are all there. It fails with
// storage.ErrChanged where another took this one's place meanwhile. The one that was
// replaced stays, for those who have it open, until the next replacement.
func (s Set) Replace(id string) error {
	if _, err := storage.Replace(storage.Join(s.root, currentName), []byte(id+"\n"), s.version); err != nil {
		return fmt.Errorf("modelset: having %q use the set %s: %w", s.root, id, err)
	}
	dirs, err := Dirs(s.root)
	if err != nil {
		return err
	}
	for _, dir := range dirs[1:] {
		if name := storage.Base(dir); name == id || name == s.ID {
			continue
		}
		if err := storage.RemoveAll(dir); err != nil {
			return fmt.Errorf("modelset: removing an earlier set: %w", err)
		}
	}
	return nil
}

// Dirs are the folders of all sets, whole or not, the first one's too.
func Dirs(root string) ([]string, error) {
	dirs, folder := []string{root}, storage.Join(root, setsName)
	if info, err := os.Lstat(folder); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("modelset: %q is a link, which is not followed: what is removed there would be elsewhere", folder)
	}
	sets, err := storage.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("modelset: %w", err)
	}
	for _, set := range sets {
		if set.IsDir() && idPattern.MatchString(set.Name()) {
			dirs = append(dirs, storage.Join(folder, set.Name()))
		}
	}
	return dirs, nil
}
