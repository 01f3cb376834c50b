package layout

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
)

// ParquetFiles are the *.parquet in a folder and those below, links to folders
// included. A file that is found twice is listed once. A published folder among them is
// refused: old snapshots, and D* itself, would be read as data.
func ParquetFiles(data string) ([]string, error) {
	w := walker{seen: map[string]bool{}}
	if err := w.folder(data); err != nil {
		return nil, fmt.Errorf("dataset: listing %q: %w", data, err)
	}
	if len(w.files) == 0 {
		return nil, fmt.Errorf("dataset: folder %q: %w: it holds no *.parquet; give the folder that does, or a file", data, ErrNoFiles)
	}
	slices.SortFunc(w.files, ByName)
	return w.files, nil
}

// ByName orders paths as people count: numbers in them by their value, so that part-2
// comes before part-10.
func ByName(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		n, m := digits(x), digits(y)
		if n == 0 || m == 0 {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		p, q := strings.TrimLeft(x[:n], "0"), strings.TrimLeft(y[:m], "0")
		if order := cmp.Or(cmp.Compare(len(p), len(q)), cmp.Compare(p, q)); order != 0 {
			return order
		}
		x, y = x[n:], y[m:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

// digits is how many digits a text begins with.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// walker lists files.
type walker struct {
	files []string
	seen  map[string]bool // real paths of files and folders
}

func (w *walker) folder(dir string) error {
	real, err := storage.Real(dir)
	if err != nil {
		return err
	}
	if w.seen[real] {
		return nil // a link to what is listed already, or to a folder around it
	}
	w.seen[real] = true
	entries, err := storage.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == storage.Unfinished {
			return fmt.Errorf("%w: %q is being written, or whatever wrote it died: wait, or remove it and write it again", ErrUnfinished, dir)
		}
		if strings.ContainsRune("._", rune(entry.Name()[0])) {
			continue
		}
		if err := w.entry(storage.Join(dir, entry.Name()), storage.Join(real, entry.Name()), entry); err != nil {
			return err
		}
	}
	return nil
}

// entry lists what is in a folder under a name, whose path without links is real.
func (w *walker) entry(path, real string, entry fs.DirEntry) error {
	folder := entry.IsDir()
	if entry.Type()&fs.ModeSymlink != 0 {
		info, err := storage.Stat(path)
		if folder = err == nil && info.IsDir(); !folder {
			if target, err := storage.Real(path); err == nil {
				real = target
			}
		}
	}
	switch {
	case folder && snapshot.Published(path):
		return fmt.Errorf("%w: %q was published by diffstitch, and its snapshots would be read as data beside the rest; give it by itself, or move it out of the data", ErrPublished, path)
	case folder:
		return w.folder(path)
	case filepath.Ext(path) != ".parquet" || w.seen[real]:
		return nil
	}
	w.seen[real] = true
	w.files = append(w.files, path)
	return nil
}

// ErrUnfinished is returned for a folder of an object store that is not all there.
var ErrUnfinished = errors.New("an unfinished folder")

// ErrPublished is returned where snapshots would be taken for data.
var ErrPublished = errors.New("a published folder")
