package checkpoint

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// How large a model's files may be, in bytes.
const (
	maxModel   = 16 << 20 // model.json
	maxWeights = 16 << 30 // weights and training states
)

// readFile reads a file of at most so many bytes. A pipe or a device, which may never
// end, is refused.
func readFile(path string, most int64) (data []byte, err error) {
	if isURL(path) {
		files, err := at(path)
		if err != nil {
			return nil, err
		}
		return files.ReadFile(path, most)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // which does not wait at a pipe
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%q is no regular file", path)
	case info.Size() > most:
		return nil, fmt.Errorf("%q has %d bytes, more than the %d that one may have", path, info.Size(), most)
	}
	data = make([]byte, info.Size())
	_, err = io.ReadFull(f, data)
	return data, err
}

// writeFile writes dir/name so that a reader sees the old content or the new
// one, never a part: temporary name, flush, rename, flush of the folder.
func writeFile(dir, name string, data []byte) (err error) {
	path := Join(dir, name)
	if isURL(dir) {
		files, err := at(dir)
		if err != nil {
			return err
		}
		return files.WriteFile(path, data)
	}
	// Who may read it is for the umask to say.
	f, err := os.OpenFile(filepath.Join(dir, "."+name+"."+rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("checkpoint: writing %q: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("checkpoint: writing %q: %w", path, err)
		}
	}()
	// Locked while it is written: RemoveLeftovers leaves it alone.
	err = lock(f)
	_, written := f.Write(data)
	if err = errors.Join(err, written, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// removeFile removes a file, if it is there.
func removeFile(path string) error {
	if isURL(path) {
		files, err := at(path)
		if err != nil {
			return err
		}
		return files.Remove(path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// exists is whether there is a file or a folder. At a URL a folder is whatever is in it.
func exists(path string) bool {
	if isURL(path) {
		files, err := at(path)
		return err == nil && (strings.HasSuffix(path, "/") || files.Exists(path))
	}
	_, err := os.Stat(path)
	return err == nil
}

// makeFolder makes a folder of this machine.
func makeFolder(dir string) error {
	if isURL(dir) {
		return nil
	}
	return os.MkdirAll(dir, 0o755)
}

// syncDir makes a rename in dir survive a crash of the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
