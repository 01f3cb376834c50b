package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFilesThatCannotBeModels: what is no regular file, or far too large, is refused by
// its name before it is read.
func TestFilesThatCannotBeModels(t *testing.T) {
	for name, test := range map[string]struct {
		make func(path string) error
		want string
	}{
		"a pipe":   {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "no regular file"},
		"a device": {func(path string) error { return os.Symlink("/dev/zero", path) }, "no regular file"},
		"too large": {func(path string) error {
			f, err := os.Create(path)
			if err == nil {
				err = f.Truncate(1 << 40) // takes no room
			}
			return err
		}, "more than the 16777216"},
	} {
		dir := t.TempDir()
		if err := test.make(filepath.Join(dir, ModelFile)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Describe(dir); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilesKeepTheUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := t.TempDir()
	if err := writeFile(dir, ModelFile, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, ModelFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
