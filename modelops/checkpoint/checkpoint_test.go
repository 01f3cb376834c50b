package checkpoint

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func someWeights() []Tensor {
	return []Tensor{
		{Name: "/model/layer_0/weights", Shape: []int{2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}},
		{Name: "/model/layer_0/biases", Shape: []int{3}, Data: []float32{-1, 0, 1}},
	}
}

func someModel() Model {
	return Model{
		Kind: "inverse", ObservationDim: 4, ActionDim: 2,
		Identity: Identity{Config: json.RawMessage(`{"hidden":8}`), DatasetFingerprint: "f00d", Seed: 7, Backend: "go"},
		Details:  json.RawMessage(`{"curve":[]}`),
	}
}

func TestSaveThenOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "inverse")
	hash, err := Save(dir, someModel(), someWeights())
	if err != nil {
		t.Fatal(err)
	}
	m, opened, weights, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if hash != opened {
		t.Errorf("saved as %s, opened as %s", hash, opened)
	}
	if d := m.Identity.Difference(someModel().Identity); d != "" {
		t.Errorf("identity changed: %s", d)
	}
	want := []Tensor{someWeights()[1], someWeights()[0]} // sorted by name
	if diff := cmp.Diff(want, weights); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
}

func TestEqualModelsHaveEqualHashes(t *testing.T) {
	save := func(m Model, weights []Tensor) string {
		hash, err := Save(filepath.Join(t.TempDir(), "m"), m, weights)
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	first := save(someModel(), someWeights())
	if again := save(someModel(), someWeights()); again != first {
		t.Error("the same model saved twice has two hashes")
	}
	weights := someWeights()
	weights[0].Data[0]++
	if other := save(someModel(), weights); other == first {
		t.Error("other weights have the same hash")
	}
}

func TestHalfWrittenFolders(t *testing.T) {
	finished := func(t *testing.T, dir string) {
		if _, err := Save(dir, someModel(), someWeights()); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string)
		want    []string
	}{
		{"no folder", func(*testing.T, string) {}, []string{"there is no folder", "run `diffstitch train`"}},
		{"empty folder", func(t *testing.T, dir string) { mkdir(t, dir) }, []string{"has no model.json"}},
		{"training state alone", func(t *testing.T, dir string) {
			if err := SaveState(dir, State{Step: 3}); err != nil {
				t.Fatal(err)
			}
		}, []string{"has a training state but no finished weights: run `diffstitch train` again to resume"}},
		{"weights alone", func(t *testing.T, dir string) {
			finished(t, dir)
			remove(t, dir, ModelFile)
		}, []string{"has weights but no model.json"}},
		{"no weights", func(t *testing.T, dir string) {
			finished(t, dir)
			remove(t, dir, WeightsFile)
		}, []string{"no weights.safetensors", "delete the folder"}},
		{"damaged weights", func(t *testing.T, dir string) {
			finished(t, dir)
			write(t, dir, WeightsFile, "cut short")
		}, []string{"is not the file that model.json was written with"}},
		{"damaged description", func(t *testing.T, dir string) {
			finished(t, dir)
			write(t, dir, ModelFile, `{"kind":`)
		}, []string{"reading", ModelFile}},
		{"newer format", func(t *testing.T, dir string) {
			finished(t, dir)
			write(t, dir, ModelFile, `{"format_version": 99}`)
		}, []string{"format version 99"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "denoiser")
			tc.prepare(t, dir)
			_, _, _, err := Open(dir)
			if err == nil {
				t.Fatal("opened")
			}
			for _, word := range tc.want {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q lacks %q", err, word)
				}
			}
		})
	}
}

func TestMissingModelsAreUnfinished(t *testing.T) {
	if _, _, err := Describe(t.TempDir()); !errors.Is(err, ErrUnfinished) {
		t.Errorf("got %v, want ErrUnfinished", err)
	}
}

func TestStateRoundTripAndRemoval(t *testing.T) {
	dir := t.TempDir()
	want := State{Identity: someModel().Identity, Step: 40, Progress: json.RawMessage(`[1]`), Variables: someWeights()[:1]}
	if err := SaveState(dir, want); err != nil {
		t.Fatal(err)
	}
	got, found, err := LoadState(dir)
	if err != nil || !found {
		t.Fatalf("found %v, error %v", found, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if _, err := Save(dir, someModel(), someWeights()); err != nil {
		t.Fatal(err)
	}
	if _, found, _ := LoadState(dir); found {
		t.Error("a finished model still has its training state")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("%d files left (%v), want the model and its weights", len(files), err)
	}
}

func TestDamagedStateSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, StateFile, "nonsense")
	if _, _, err := LoadState(dir); err == nil || !strings.Contains(err.Error(), "delete it to start over") {
		t.Errorf("got %v", err)
	}
}

func TestIdentityDifference(t *testing.T) {
	base := someModel().Identity
	tests := []struct {
		name   string
		change func(*Identity)
		want   string
	}{
		{"equal", func(*Identity) {}, ""},
		{"spacing", func(id *Identity) { id.Config = json.RawMessage(`{ "hidden": 8 }`) }, ""},
		{"seed", func(id *Identity) { id.Seed = 8 }, "seed 7 against 8"},
		{"data", func(id *Identity) { id.DatasetFingerprint = "beef" }, "dataset f00d against beef"},
		{"backend", func(id *Identity) { id.Backend = "xla" }, "backend go against xla"},
		{"config", func(id *Identity) { id.Config = json.RawMessage(`{"hidden":16}`) }, "hidden 8 against 16"},
		{"new field", func(id *Identity) { id.Config = json.RawMessage(`{"hidden":8,"x":1}`) }, "x <nil> against 1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			other := base
			tc.change(&other)
			if got := base.Difference(other); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	mkdir(t, dir)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
