package parquet_test

import (
	"fmt"
	"os"
	"path/filepath"

	"diffstitch/io/parquet"
	"diffstitch/io/storage"
)

// Two columns are written and one of them is read back, by its name.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "steps.parquet")
	out, err := storage.Create(path)
	if err != nil {
		panic(err)
	}
	w, err := parquet.NewWriter(out, []parquet.Field{{Name: "step", Kind: parquet.Int32}, {Name: "state", Kind: parquet.Float, List: 2}})
	if err != nil {
		panic(err)
	}
	if err := w.WriteGroup(parquet.Values([]int32{0, 1, 2}), parquet.Lists([]float32{1, 2, 3, 4, 5, 6})); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := out.Close(); err != nil {
		panic(err)
	}
	fmt.Println(readStates(path))
	// Output: [1 2 3 4 5 6] <nil>
}

// readStates reads the column state, of vectors whose width the file tells.
func readStates(path string) ([]float32, error) {
	handle, err := storage.Open(path)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	f, err := parquet.Open(handle)
	if err != nil {
		return nil, err
	}
	leaves, err := f.Leaves()
	if err != nil {
		return nil, err
	}
	state := leaves["state"]
	if err := f.CheckGroups(handle.Size(), func(yield func(parquet.Leaf) bool) { yield(state) }); err != nil {
		return nil, err
	}
	width, err := f.Width(state)
	if err != nil {
		return nil, err
	}
	type block struct{ states parquet.Vectors[float32] }
	table := parquet.NewTable[block](f, 0, width)
	defer table.Close()
	parquet.Add(table, state, width, parquet.Floats, func(b *block) *parquet.Vectors[float32] { return &b.states })
	var b block
	_, _, err = table.Next(&b, f.Rows())
	return b.states.Values, err
}
