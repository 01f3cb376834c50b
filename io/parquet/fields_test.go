package parquet

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"diffstitch/io/storage"

	"github.com/google/go-cmp/cmp"
)

// TestFields: what a file is written with can be read off it.
func TestFields(t *testing.T) {
	want := []Field{
		{Name: "id", Kind: Int64}, {Name: "vector", Kind: Float, List: 3},
		{Name: "error", Kind: Float, Nullable: true}, {Name: "word", Kind: ByteArray, Nullable: true},
	}
	for name, rows := range map[string]int{"rows": 2, "none": 0} {
		t.Run(name, func(t *testing.T) {
			text := new(bytes.Buffer)
			w, err := NewWriter(text, want)
			if err != nil {
				t.Fatal(err)
			}
			if rows > 0 {
				err = w.WriteGroup(Values([]int64{1, 2}), Lists(make([]float32, 6)), Optional([]float32{1}, []int16{0, 1}), Optional([]Text{}, []int16{0, 0}))
			}
			if err != nil || w.Close() != nil {
				t.Fatal(err)
			}
			wanted := append([]Field{}, want...)
			if rows == 0 {
				wanted[1].List = 1 // a list, of a width that no row tells
			}
			if diff := cmp.Diff(wanted, fieldsOf(t, text.Bytes())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func fieldsOf(t *testing.T, text []byte) []Field {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.parquet")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	handle, err := storage.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close() // nothing was written
	f, err := Open(handle)
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
