package executables

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// most is how many bytes of executables are kept; those that were not used for longest go.
const most = 4 << 30

// suffix is that of a kept executable's file.
const suffix = ".pjrt"

// store is a folder of executables, a file each, which begins with the hash of the rest.
type store struct{ dir string }

// open makes the folder. What lies there is run as a program: it must be this user's, and
// nobody else may write to it.
func open(dir string) (store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return store{}, fmt.Errorf("executables: %w", err)
	}
	found, err := os.Lstat(dir)
	if err != nil {
		return store{}, fmt.Errorf("executables: %w", err)
	}
	if !found.IsDir() || found.Mode().Perm()&0o022 != 0 || !mine(found) {
		return store{}, fmt.Errorf("executables: others can write to %s: what is kept there would be run", dir)
	}
	return store{dir}, nil
}

// key is a name for what was compiled from these parts.
func key(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// processor tells processors apart by what they can do.
func processor() []byte {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return nil
	}
	first, _, _ := bytes.Cut(info, []byte("\n\n"))
	var lines [][]byte
	for line := range bytes.Lines(first) {
		if bytes.HasPrefix(line, []byte("model")) || bytes.HasPrefix(line, []byte("flags")) || bytes.HasPrefix(line, []byte("Features")) {
			lines = append(lines, line)
		}
	}
	return bytes.Join(lines, nil)
}

func (s store) path(key string) string { return filepath.Join(s.dir, key+suffix) }

// read gives what is kept under a key.
func (s store) read(key string) ([]byte, error) {
	whole, err := os.ReadFile(s.path(key))
	if err != nil {
		return nil, err
	}
	if len(whole) < sha256.Size {
		return nil, errors.New("executables: a file is cut short")
	}
	kept := whole[sha256.Size:]
	if sum := sha256.Sum256(kept); !bytes.Equal(sum[:], whole[:sha256.Size]) {
		return nil, errors.New("executables: a file is not what was written")
	}
	now := time.Now()
	_ = os.Chtimes(s.path(key), now, now) // for what goes first: no harm if it stays old
	return kept, nil
}

// write keeps something under a key, or doesn't where there is no room: it is compiled
// again then.
func (s store) write(key string, kept []byte) {
	f, err := os.CreateTemp(s.dir, "new-*")
	if err != nil {
		return
	}
	defer os.Remove(f.Name()) // where it is not renamed
	sum := sha256.Sum256(kept)
	_, err = f.Write(append(sum[:], kept...))
	if err = errors.Join(err, f.Close()); err != nil {
		return
	}
	if os.Rename(f.Name(), s.path(key)) == nil {
		s.trim(most)
	}
}

// trim removes what was not used for longest, until no more than so many bytes are left.
func (s store) trim(most int64) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), suffix) {
			files, total = append(files, info), total+info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	for _, f := range files {
		if total <= most {
			return
		}
		_ = os.Remove(filepath.Join(s.dir, f.Name())) // another process may have
		total -= f.Size()
	}
}
