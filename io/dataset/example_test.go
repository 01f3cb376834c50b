package dataset_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
)

// An episode is written, found again by its location, and a window of its states read.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "walk.parquet")
	out, err := storage.Create(path)
	if err != nil {
		panic(err)
	}
	w, err := dataset.NewWriter(out, dataset.WriterConfig{ObservationDim: 1, ActionDim: 1})
	if err != nil {
		panic(err)
	}
	walk := trajectory.FromStates(7, []float32{0, 1, 3, 6}, []float32{1, 2, 3}, []float32{0, 0, 1})
	if err := w.Write(walk); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := out.Close(); err != nil {
		panic(err)
	}
	f, err := dataset.Open(path, dataset.Options{})
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for item, err := range f.Episodes(context.Background()) {
		if err != nil {
			panic(err)
		}
		states, err := f.States(item.Location, 1, 3)
		fmt.Println("episode", item.Episode.ID, "returns", item.Episode.Return(), "by way of", states, err)
	}
	// Output: episode 7 returns 1 by way of [1 3] <nil>
}
