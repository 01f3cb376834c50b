package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"diffstitch/io/storage/bucket"

	"golang.org/x/sync/errgroup"
)

// deletions is how many objects are removed at once.
const deletions = 16

// Stat describes a file or a folder.
func Stat(path string) (fs.FileInfo, error) {
	if IsRemote(path) {
		return statRemote(path)
	}
	return os.Stat(path)
}

// ReadDir lists a folder, in the order of the names.
func ReadDir(path string) ([]fs.DirEntry, error) {
	if !IsRemote(path) {
		return os.ReadDir(path)
	}
	entries, err := readDirRemote(path)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// Walk hands out the files at a path and below it, links aside, in the order of their
// paths. What goes in the meantime is passed over.
func Walk(path string, use func(path string, info fs.FileInfo) error) error {
	if IsRemote(path) {
		return walkRemote(path, use)
	}
	return filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		return use(path, info)
	})
}

// Glob gives the files and folders whose paths match a pattern, as filepath.Glob does.
func Glob(pattern string) ([]string, error) {
	if !IsRemote(pattern) {
		return filepath.Glob(pattern)
	}
	folder := pattern[:strings.IndexAny(pattern+"*", "*?[")]
	folder = folder[:strings.LastIndexByte(folder, '/')+1]
	if len(folder) <= len(gcsScheme) {
		return nil, fmt.Errorf("storage: %q: a pattern begins behind the bucket's name", pattern)
	}
	rest := strings.TrimSuffix(pattern[len(folder):], "/")
	depth := strings.Count(rest, "/") + 1
	var matches []string
	err := walkRemote(folder, func(file string, _ fs.FileInfo) error {
		names := strings.Split(file[len(folder):], "/")
		name := strings.Join(names[:min(depth, len(names))], "/")
		matched, err := path.Match(rest, name)
		if matched && err == nil && (len(matches) == 0 || matches[len(matches)-1] != folder+name) {
			matches = append(matches, folder+name)
		}
		return err
	})
	slices.Sort(matches)
	return slices.Compact(matches), err
}

// ReadFile reads a file whole, of at most so many bytes.
func ReadFile(path string, most int64) ([]byte, error) {
	data, _, err := Load(path, most)
	return data, err
}

// MkdirAll makes a folder and those above it, on this machine.
func MkdirAll(path string) error {
	if IsRemote(path) {
		return nil
	}
	return os.MkdirAll(path, 0o755)
}

// Remove removes a file. One of an object store may not be there.
func Remove(path string) error {
	if !IsRemote(path) {
		return os.Remove(path)
	}
	_, err := ask("remove", path, func(ctx context.Context, o object) (struct{}, error) {
		return struct{}{}, o.Delete(ctx, o.key)
	})
	return err
}

// RemoveAll removes a file or a folder with all below it, if it is there.
func RemoveAll(path string) error {
	if !IsRemote(path) {
		return os.RemoveAll(path)
	}
	var group errgroup.Group
	group.SetLimit(deletions)
	err := eachBelow(path, func(_ context.Context, o object, found bucket.Object) error {
		scheme, name, _, err := split(path)
		if err == nil {
			group.Go(func() error { return Remove(scheme + name + "/" + found.Key) })
		}
		return err
	})
	if err := errors.Join(err, group.Wait()); err != nil {
		return err
	}
	if _, _, key, err := split(path); err != nil || key == "" {
		return err
	}
	return Remove(path)
}
