package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"diffstitch/io/storage/bucket"
)

// Version tells contents of a file apart.
type Version string

// Absent is the version of a file that is not there.
const Absent Version = bucket.Nothing

// ErrChanged is returned where a file is not of the version that it is expected to be.
var ErrChanged = bucket.ErrChanged

// VersionOf is the version of a file of an object store, or "": files of this machine have
// one only when they are loaded.
func VersionOf(info fs.FileInfo) string {
	version, _ := info.Sys().(string)
	return version
}

// Load reads a small file and says which version of it was read. One that is not there is
// an error, of the version Absent.
func Load(path string, most int64) (data []byte, version Version, err error) {
	for range openings {
		if data, version, err = loadOnce(path, most); !errors.Is(err, ErrChanged) {
			break
		}
	}
	return data, version, err
}

func loadOnce(path string, most int64) ([]byte, Version, error) {
	f, err := Open(path)
	if err != nil {
		return nil, Absent, err
	}
	defer f.Close() // nothing was written
	switch {
	case f.Info().IsDir():
		return nil, Absent, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is a folder")}
	case f.Size() > most:
		return nil, Absent, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it has %d bytes, more than %d", f.Size(), most)}
	}
	data, err := io.ReadAll(f.Reader())
	if err != nil {
		return nil, Absent, err
	}
	if version := VersionOf(f.Info()); version != "" {
		return data, Version(version), nil
	}
	return data, Hashed(data), nil
}

// Replace writes a small file where it is of the version that is expected, or is not there
// and is expected to be Absent; else it fails with ErrChanged. Of several that expect the
// same, one succeeds. Contents should differ from those before: on this machine a version
// is what a file holds, and a write whose answer was lost is known by it.
func Replace(path string, data []byte, expected Version) (Version, error) {
	replace := replaceLocal
	if IsRemote(path) {
		replace = replaceRemote
	}
	version, err := replace(path, data, expected)
	if err != nil {
		return Absent, fmt.Errorf("storage: replacing %q: %w", path, err)
	}
	return version, nil
}

func replaceRemote(path string, data []byte, expected Version) (Version, error) {
	version, err := writeRemote(path, string(expected), func(w io.Writer) error { _, err := w.Write(data); return err })
	if !errors.Is(err, ErrChanged) {
		return Version(version), err
	}
	there, now, again := Load(path, int64(len(data)))
	if again == nil && bytes.Equal(there, data) { // the first answer was lost, and the write tried again
		return now, nil
	}
	return Absent, err
}

func replaceLocal(path string, data []byte, expected Version) (Version, error) {
	unlock, err := lockBeside(path)
	if err != nil {
		return Absent, err
	}
	defer unlock()
	there, err := os.ReadFile(path)
	is := Hashed(there)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		is = Absent
	case err != nil:
		return Absent, err
	}
	if is != expected {
		return Absent, ErrChanged
	}
	if err := writeLocal(path, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
		return Absent, err
	}
	return Hashed(data), syncFolder(filepath.Dir(path))
}

// Hashed is the version of a file of this machine that holds so much.
func Hashed(data []byte) Version {
	sum := sha256.Sum256(data)
	return Version(hex.EncodeToString(sum[:]))
}

// lockBeside takes the lock of a file, which the kernel gives back when the process ends.
// The file that is locked stays: were it removed, two could hold locks of that name.
func lockBeside(path string) (unlock func(), err error) {
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := act("lock", path, func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // which gives up the lock
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
