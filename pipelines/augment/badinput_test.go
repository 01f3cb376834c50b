package augment_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/failure"
	"diffstitch/testing/fixture"
)

// write writes episodes to a file of their own.
func write(t *testing.T, episodes ...*trajectory.Episode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.parquet")
	fixture.Write(t, path, episodes...)
	return path
}

// spoilt copies the world's data and changes the bytes.
func spoilt(t *testing.T, change func([]byte) []byte) string {
	t.Helper()
	whole, err := os.ReadFile(world.data)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "spoilt.parquet")
	if err := os.WriteFile(path, change(whole), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBadData(t *testing.T) {
	unrewarded := fixture.Maze(8, 1)
	for _, e := range unrewarded {
		clear(e.Rewards)
	}
	oneStep := fixture.Maze(8, 1)
	for i, e := range oneStep {
		oneStep[i] = &trajectory.Episode{
			ID: e.ID, ObservationDim: e.ObservationDim, ActionDim: e.ActionDim,
			Observations: e.Observations[:4], Actions: e.Actions[:2], Rewards: e.Rewards[:1],
		}
	}
	tests := []struct {
		name, path string
		says       string
	}{
		{"no such path", filepath.Join(t.TempDir(), "nowhere"), "nowhere"},
		{"empty file", spoilt(t, func([]byte) []byte { return nil }), "not a whole parquet file"},
		{"truncated", spoilt(t, func(b []byte) []byte { return b[:len(b)/2] }), "not a whole parquet file"},
		{"hostile footer length", spoilt(t, func(b []byte) []byte {
			copy(b[len(b)-8:], []byte{0xff, 0xff, 0xff, 0x7f})
			return b
		}), "not a whole parquet file"},
		{"other dimensions than the models'", write(t, fixture.RandomWalks(fixture.Shape{Episodes: 5, MaxSteps: 30, ObservationDim: 7, ActionDim: 3}, 1)...), "trained on 4 and 2"},
		{"no high episode", write(t, unrewarded...), "no high-return episode"},
		{"episodes of one step", write(t, oneStep...), "too short: 8"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := augmenting(t)
			o.Data.Path = test.path
			_, err := augment.Run(t.Context(), o, nil, nil)
			if !errors.Is(err, failure.ErrData) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

func TestMissingColumnsAreListed(t *testing.T) {
	o := augmenting(t)
	o.Data.Options.Columns = map[string]string{"observations": "obs"}
	_, err := augment.Run(t.Context(), o, nil, nil)
	if !errors.Is(err, failure.ErrData) || !strings.Contains(err.Error(), "obs") || !strings.Contains(err.Error(), "rewards") {
		t.Errorf("error %v", err)
	}
}

func TestRejectsAreCountedUpToTheShare(t *testing.T) {
	folder := t.TempDir()
	for i, source := range []string{world.data, spoilt(t, func(b []byte) []byte { return b[:len(b)-100] })} {
		raw, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, string(rune('a'+i))+".parquet"), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := augmenting(t)
	o.Data.Path = folder
	if _, err := augment.Run(t.Context(), o, nil, nil); !errors.Is(err, failure.ErrData) || !strings.Contains(err.Error(), "1 of 2 files") {
		t.Errorf("error %v", err)
	}
	o.Data.MaxRejectShare = 0.5
	published := run(t, o)
	rejects, err := os.ReadFile(filepath.Join(published.Dir, "rejects", "inputs.jsonl"))
	if err != nil || !strings.Contains(string(rejects), `"reason":"unreadable file"`) {
		t.Errorf("rejects: %v %s", err, rejects)
	}
	if read := published.Manifest.Stages[0]; read.Dropped["unreadable file"] != 1 {
		t.Errorf("the manifest counts %+v", read)
	}
}

func TestFilesThatShareIDsAreNumberedAnew(t *testing.T) {
	folder := t.TempDir()
	raw, err := os.ReadFile(world.data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.parquet", "b.parquet"} {
		if err := os.WriteFile(filepath.Join(folder, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := augmenting(t)
	o.Data.Path = folder
	run(t, o)
	checked, err := exchange.Inspect(t.Context(), o.Out, dataset.Options{}, true)
	if err != nil || checked.Err() != nil {
		t.Error(err, checked.Err(), checked.Violations)
	}
}

func TestModelsHalfWritten(t *testing.T) {
	models := t.TempDir()
	if err := os.CopyFS(models, os.DirFS(world.models)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(models, "denoiser", "model.json")); err != nil {
		t.Fatal(err)
	}
	o := augmenting(t)
	o.Models = models
	if _, err := augment.Run(t.Context(), o, nil, nil); err == nil || !strings.Contains(err.Error(), "denoiser") {
		t.Errorf("error %v", err)
	}
}

func TestOutputFolderOfSomebodyElse(t *testing.T) {
	o := augmenting(t)
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Out, "thesis.tex"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := augment.Run(t.Context(), o, nil, nil); err == nil || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("error %v", err)
	}
}

func TestOutputFolderThatCannotBeMade(t *testing.T) {
	o := augmenting(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	o.Out = filepath.Join(file, "out")
	if _, err := augment.Run(t.Context(), o, nil, nil); err == nil || !strings.Contains(err.Error(), "out") {
		t.Errorf("error %v", err)
	}
}
