package checkpoint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRemoveLeftovers(t *testing.T) {
	dir := t.TempDir()
	if err := writeFile(dir, ModelFile, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(dir, "."+WeightsFile+".1234")
	if err := os.WriteFile(dead, []byte("half of th"), 0o600); err != nil {
		t.Fatal(err)
	}
	alive, err := os.CreateTemp(dir, "."+StateFile+".*")
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	if err := lock(alive); err != nil {
		t.Fatal(err)
	}

	removed, err := RemoveLeftovers(dir)
	if d := cmp.Diff([]Leftover{{Path: dead, Bytes: 10}}, removed); d != "" || err != nil {
		t.Errorf("error %v, removed (-want +got):\n%s", err, d)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if d := cmp.Diff([]string{alive.Name(), filepath.Join(dir, ModelFile)}, left); d != "" || err != nil {
		t.Errorf("error %v, left (-want +got):\n%s", err, d)
	}
}
