package storage

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteFolder(t *testing.T) {
	full := errors.New("no space left on device")
	dir := t.TempDir()
	path := filepath.Join(dir, "above", "folder")
	hello := func(folder string) error {
		return CreateWhole(filepath.Join(folder, "deep", "file"), func(w io.Writer) error { _, err := io.WriteString(w, "hello"); return err })
	}
	if err := WriteFolder(path, func(folder string) error { return errors.Join(hello(folder), full) }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if left := names(t, filepath.Dir(path)); left != nil {
		t.Errorf("%v are left behind", left)
	}
	if err := os.Mkdir(path, 0o755); err != nil { // empty, so it may go
		t.Fatal(err)
	}
	if err := WriteFolder(path, hello); err != nil {
		t.Fatal(err)
	}
	if err := WriteFolder(path, hello); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	data, err := os.ReadFile(filepath.Join(path, "deep", "file"))
	if err != nil || string(data) != "hello" {
		t.Errorf("the file holds %q: %v", data, err)
	}
	if d := cmp.Diff([]string{"folder"}, names(t, filepath.Dir(path))); d != "" {
		t.Errorf("what is there (-want +got):\n%s", d)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v: others can't read it: %v", info.Mode(), err)
	}
}

func TestCreatedCounts(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := io.WriteString(f, "hello"); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil || f.Bytes() != 15 {
		t.Errorf("%d bytes: %v", f.Bytes(), err)
	}
}
