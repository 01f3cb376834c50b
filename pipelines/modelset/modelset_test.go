package modelset_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/storage"
	"diffstitch/pipelines/modelset"
	"diffstitch/testing/stores"

	"github.com/google/go-cmp/cmp"
)

const a, b, c = "00000000000000aa", "00000000000000bb", "00000000000000cc"

// TestReplace goes from set to set, on folders of this machine and on an object store.
func TestReplace(t *testing.T) {
	local := func(t *testing.T) string { return t.TempDir() }
	for name, folder := range map[string]func(t *testing.T) string{
		"local": local,
		"gcs":   func(t *testing.T) string { return stores.Start(t, stores.GCS).Root + "/models" },
	} {
		t.Run(name, func(t *testing.T) {
			root := folder(t)
			first := current(t, root)
			if first.Dir != root || first.ID != "" {
				t.Errorf("the first set is %+v", first)
			}
			for _, id := range []string{a, b, c} {
				begin(t, first, id)
			}
			if err := first.Replace(a); err != nil {
				t.Fatal(err)
			}
			if err := first.Replace(b); !errors.Is(err, storage.ErrChanged) {
				t.Errorf("replaced twice: %v", err)
			}
			second := current(t, root)
			if second.ID != a || second.Dir != first.Beside(a) {
				t.Errorf("the second set is %+v", second)
			}
			// What nobody uses went; what was begun since is of nobody else.
			begin(t, second, b)
			if err := second.Replace(b); err != nil {
				t.Fatal(err)
			}
			dirs, err := modelset.Dirs(root)
			if d := cmp.Diff([]string{root, first.Beside(a), first.Beside(b)}, dirs); d != "" || err != nil {
				t.Error(err, d)
			}
		})
	}
}

// begin leaves something of a training.
func begin(t *testing.T, set modelset.Set, id string) {
	t.Helper()
	write := func(w io.Writer) error { _, err := io.WriteString(w, id); return err }
	if err := storage.CreateWhole(storage.Join(set.Beside(id), "denoiser", "model.json"), write); err != nil {
		t.Fatal(err)
	}
}

func current(t *testing.T, root string) modelset.Set {
	t.Helper()
	set, err := modelset.Current(root)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestLinkedSets: nothing is removed through a link.
func TestLinkedSets(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(root, "sets")); err != nil {
		t.Fatal(err)
	}
	if dirs, err := modelset.Dirs(root); err == nil || !strings.Contains(err.Error(), "is a link") {
		t.Errorf("%q: %v", dirs, err)
	}
}

func TestNoSet(t *testing.T) {
	root := t.TempDir()
	for _, line := range []string{"../../elsewhere", "", a + "\n" + b} {
		if err := os.WriteFile(filepath.Join(root, "CURRENT"), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := modelset.Current(root); err == nil || !strings.Contains(err.Error(), "names no set") {
			t.Errorf("%q: %v", line, err)
		}
	}
}
