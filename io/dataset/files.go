package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"diffstitch/io/layout"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
)

// Files lists the Parquet files that path stands for, sorted: a file, a glob, a
// folder (all its *.parquet, without names that begin with a dot or an
// underscore), a dataset of LeRobot or Minari, in its order, or what [snapshot.At] takes
// for a snapshot, of which they are the files that its manifest lists, in its order.
func Files(path string) ([]string, error) {
	s, err := snapshot.At(path)
	if err == nil {
		return s.Files(), nil
	}
	if !errors.Is(err, snapshot.ErrNoSnapshot) {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	files, err := list(path)
	if err != nil {
		return nil, err
	}
	return files, checkSnapshots(files)
}

func list(path string) ([]string, error) {
	info, err := storage.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return folderFiles(path)
	case err == nil:
		return []string{path}, nil
	case errors.Is(err, fs.ErrNotExist):
		return globFiles(path)
	default:
		return nil, fmt.Errorf("dataset: looking at %q: %w", path, err)
	}
}

// checkSnapshots refuses files of several snapshots of a published folder, which hold
// the same episodes over again, or of one beside other files.
func checkSnapshots(files []string) error {
	first := ""
	for i, file := range files {
		dir := snapshot.Containing(file)
		if i == 0 {
			first = dir
		}
		if dir == first {
			continue
		}
		if dir == "" {
			dir = first
		}
		root := storage.Dir(storage.Dir(dir))
		return fmt.Errorf("dataset: %w: %q is one of several snapshots, or lies beside other files, and would be read over again: give %q, of which the current snapshot is read", layout.ErrPublished, dir, root)
	}
	return nil
}

func globFiles(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, "*?[") {
		return nil, fmt.Errorf("dataset: %q: %w: no such file or folder; give a .parquet file, a folder of them, or a quoted glob", pattern, layout.ErrNoFiles)
	}
	matches, err := storage.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("dataset: glob %q: %w", pattern, err)
	}
	var files []string
	for _, match := range matches {
		info, err := storage.Stat(match)
		switch {
		case err != nil:
			return nil, fmt.Errorf("dataset: glob %q: %w", pattern, err)
		case info.IsDir():
			below, err := Files(match)
			if err != nil && !errors.Is(err, layout.ErrNoFiles) {
				return nil, err
			}
			files = append(files, below...)
		default:
			files = append(files, match)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("dataset: glob %q: %w: nothing matches; check it with ls, and quote it so that the shell leaves it alone", pattern, layout.ErrNoFiles)
	}
	slices.SortFunc(files, layout.ByName)
	return slices.Compact(files), nil
}

func folderFiles(dir string) ([]string, error) {
	for _, l := range layouts {
		if l.Folder == nil {
			continue
		}
		if files, found, err := l.Folder(dir); found || err != nil {
			return files, err
		}
	}
	return layout.ParquetFiles(dir)
}

// FolderLayout is the layout of a folder that another tool made, or "".
func FolderLayout(dir string) string {
	for _, l := range layouts {
		if l.FolderName == nil {
			continue
		}
		if name := l.FolderName(dir); name != "" {
			return name
		}
	}
	return ""
}
