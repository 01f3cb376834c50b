package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"diffstitch/io/snapshot"
)

// A run stages its files and commits them. Until then readers see the snapshot before,
// here none.
func ExampleBegin() {
	out, err := os.MkdirTemp("", "published")
	if err != nil {
		fmt.Println(err)
	}
	defer os.RemoveAll(out)

	staging, err := snapshot.Begin(out, snapshot.Options{})
	if err != nil {
		fmt.Println(err)
	}
	defer staging.Abort() // nothing, once it is committed
	if err := os.WriteFile(filepath.Join(staging.DataDir(), "part-00000.parquet"), []byte("rows"), 0o644); err != nil {
		fmt.Println(err)
	}
	_, err = snapshot.Current(out)
	fmt.Println("before:", errors.Is(err, snapshot.ErrNoSnapshot))
	id, err := staging.Commit(snapshot.Manifest{Parts: []snapshot.Part{{File: "data/part-00000.parquet", Rows: 3}}})
	if err != nil {
		fmt.Println(err)
	}
	current, err := snapshot.Current(out)
	fmt.Println("after:", current.ID == id, current.Manifest.Rows(), "rows", err)
	// Output:
	// before: true
	// after: true 3 rows <nil>
}
