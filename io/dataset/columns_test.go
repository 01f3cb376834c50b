package dataset

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"diffstitch/io/parquet"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/google/go-cmp/cmp"
)

// TestColumns holds what a manifest says against what a file has.
func TestColumns(t *testing.T) {
	config := WriterConfig{ObservationDim: 3, ActionDim: 2, OriginalIDs: true}
	path := filepath.Join(t.TempDir(), "part.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(f, config)
	if err != nil {
		t.Fatal(err)
	}
	e := trajectory.FromStates(0, make([]float32, 9), make([]float32, 4), make([]float32, 2))
	e.ObservationDim, e.ActionDim = 3, 2
	for _, do := range []func() error{func() error { return w.Write(e) }, w.Close, f.Close} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	var got []snapshot.Column
	for _, f := range fieldsOf(t, path) {
		got = append(got, snapshot.Column{Name: f.Name, Type: types[f.Kind], Width: f.List, Nullable: f.Nullable})
	}
	if diff := cmp.Diff(Columns(config), got); diff != "" {
		t.Errorf("columns (-manifest +file):\n%s", diff)
	}
	if want := (snapshot.Column{Name: "observations", Type: "float32", Width: 3}); got[2] != want {
		t.Errorf("got %+v, want %+v", got[2], want)
	}
}

func fieldsOf(t *testing.T, path string) []parquet.Field {
	t.Helper()
	handle, err := storage.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = handle.Close() }) // nothing was written
	f, err := parquet.Open(handle)
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := f.Leaves()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.CheckGroups(handle.Size(), maps.Values(leaves)); err != nil {
		t.Fatal(err)
	}
	fields, err := f.Fields()
	if err != nil {
		t.Fatal(err)
	}
	return fields
}
