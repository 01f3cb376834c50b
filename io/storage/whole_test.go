package storage

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWriteWhole(t *testing.T) {
	full := errors.New("no space left on device")
	hello := func(w io.Writer) error { _, err := io.WriteString(w, "hello"); return err }
	half := func(w io.Writer) error { return errors.Join(hello(w), full) }
	dir := t.TempDir()
	path := filepath.Join(dir, "file")

	if err := WriteWhole(path, half); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if left := names(t, dir); left != nil {
		t.Errorf("%v are left behind", left)
	}
	if err := WriteWhole(path, hello); err != nil {
		t.Fatal(err)
	}
	if err := WriteWhole(path, half); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if err := WriteWhole(filepath.Join(dir, "absent", "file"), hello); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteWhole(filepath.Join(dir, "folder"), hello); err == nil {
		t.Error("a folder was replaced")
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "hello" {
		t.Errorf("the file holds %q: %v", data, err)
	}
	if d := cmp.Diff([]string{"file", "folder"}, names(t, dir)); d != "" {
		t.Errorf("what is there (-want +got):\n%s", d)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v: others can't read it: %v", info.Mode(), err)
	}
}

// TestUmaskIsKept writes for the user alone.
func TestUmaskIsKept(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := filepath.Join(t.TempDir(), "folder")
	text := func(w io.Writer) error { _, err := io.WriteString(w, "text"); return err }
	if err := WriteFolder(dir, func(dir string) error { return CreateWhole(filepath.Join(dir, "created"), text) }); err != nil {
		t.Fatal(err)
	}
	if err := WriteWhole(filepath.Join(dir, "whole"), text); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", "created", "whole"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: others can read it: %v", name, info.Mode(), err)
		}
	}
}
