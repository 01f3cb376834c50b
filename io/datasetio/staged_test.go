package datasetio

import (
	"os"
	"testing"
)

func TestCountStaged(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{
		stagedFile(dir, 0), stagedFile(dir, 3), stagedFile(dir, 12), stagedFile(dir, 4) + ".tmp", dir + "/outcomes-0001.parquet",
	} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for first, want := range map[int64]int64{0: 3, 3: 2, 13: 0} {
		if got, err := CountStaged(dir, first); err != nil || got != want {
			t.Errorf("%d batches from %d on, want %d: %v", got, first, want, err)
		}
	}
}
