package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"diffstitch/io/storage"
)

// maxText bounds what is read of CURRENT and of a manifest, in bytes.
const maxText = 64 << 20

// folder is a folder of which no link leads out.
type folder struct {
	path string
	root *os.Root // nil of an object store, which has no links
}

func openFolder(path string) (folder, error) {
	if storage.IsRemote(path) {
		return folder{path, nil}, nil
	}
	root, err := os.OpenRoot(path)
	return folder{path, root}, err
}

// Close lets go of the folder.
func (f folder) Close() error {
	if f.root == nil {
		return nil
	}
	return f.root.Close()
}

// inner is an open file of a folder.
type inner struct {
	io.Reader
	io.Closer
	size int64
}

// open opens a file for reading by its name, with slashes. It follows no link, and does not
// wait where it is a pipe.
func (f folder) open(name string) (inner, error) {
	if f.root == nil {
		file, err := storage.Open(storage.Join(f.path, name))
		if err != nil {
			return inner{}, err
		}
		return inner{file.Reader(), file, file.Size()}, nil
	}
	if err := f.checkLinks(name); err != nil {
		return inner{}, err
	}
	file, err := f.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return inner{}, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return inner{}, errors.Join(err, file.Close())
	}
	return inner{file, file, info.Size()}, nil
}

// checkLinks refuses a name of which a part is a symbolic link.
func (f folder) checkLinks(name string) error {
	for at := name; at != "."; at = path.Dir(at) {
		info, err := f.root.Lstat(filepath.FromSlash(at))
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%q is a symbolic link, which is not followed", at)
		}
	}
	return nil
}

// odd are the paths in a folder within that are neither files nor folders.
func (f folder) odd(dir string) (paths []string, err error) {
	if f.root == nil {
		return nil, nil // an object store has no others
	}
	err = fs.WalkDir(f.root.FS(), dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !entry.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	})
	return paths, err
}

// names are those in a folder within, in order; none where it is not there.
func (f folder) names(dir string) (names []string, err error) {
	var entries []fs.DirEntry
	if f.root == nil {
		entries, err = storage.ReadDir(storage.Join(f.path, dir))
	} else {
		entries, err = fs.ReadDir(f.root.FS(), dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// loadWithin reads a small file of a folder, out of which no link in its path may lead.
func loadWithin(dir, name string) (text []byte, version storage.Version, err error) {
	if storage.IsRemote(dir) {
		return storage.Load(storage.Join(dir, name), maxText)
	}
	inside, err := openFolder(dir)
	if err != nil {
		return nil, storage.Absent, err
	}
	defer inside.Close() // nothing was written
	f, err := inside.open(name)
	if err != nil {
		return nil, storage.Absent, err
	}
	defer f.Close() // nothing was written
	if f.size > maxText {
		return nil, storage.Absent, fmt.Errorf("%q has more than %d bytes", name, maxText)
	}
	text, err = io.ReadAll(f)
	return text, storage.Hashed(text), err
}
