package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// writeFile writes dir/name so that a reader sees the old content or the new
// one, never a part: temporary name, flush, rename, flush of the folder.
func writeFile(dir, name string, data []byte) (err error) {
	path := filepath.Join(dir, name)
	f, err := os.CreateTemp(dir, "."+name+".*")
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
	if err = errors.Join(err, written, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir survive a crash of the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
