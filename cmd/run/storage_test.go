package main

import (
	"path/filepath"
	"testing"

	"diffstitch/pipelines/exchange"
	"diffstitch/testing/stores"
)

// TestStoragePage runs docs/storage.md on a store of this machine.
func TestStoragePage(t *testing.T) {
	dir := t.TempDir()
	s := stores.Start(t, stores.GCS)
	if _, err := exchange.GeneratePointMaze(t.Context(), exchange.GenerateOptions{Out: filepath.Join(dir, "maze.parquet"), Episodes: 40, Seed: 5}); err != nil {
		t.Fatal(err)
	}
	copyFolder(t, dir, s.Root+"/episodes")
	page{
		name: "storage.md",
		printed: map[string][]string{
			"augment": {`^published gs://bucket/augmented/snapshots/\S+/data$`},
			"inspect": {`^verified: \d+ transitions of \d+ episodes`},
		},
	}.run(t, dir)
}
