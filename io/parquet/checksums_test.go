package parquet

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// rowsBytes is a file of several row groups, with a dictionary, nulls, and lists of many
// pages.
func rowsBytes(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, []Field{
		{Name: "id", Kind: Int64, Stats: true}, {Name: "word", Kind: ByteArray, Dictionary: true, Stats: true},
		{Name: "vector", Kind: Float, List: 3}, {Name: "error", Kind: Float, Nullable: true, Stats: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	const rows = 20_000
	for group := range 3 {
		ids, words, vectors := make([]int64, rows), make([]Text, rows), make([]float32, 3*rows)
		var errs []float32
		defined := make([]int16, rows)
		for i := range rows {
			ids[i], words[i] = int64(group*rows+i), Text([]string{"original", "stitched"}[i%2])
			for d := range 3 {
				vectors[3*i+d] = float32(i*7919%1009) / float32(d+group+1)
			}
			if i%3 == 0 {
				errs, defined[i] = append(errs, float32(i)), 1
			}
		}
		if err := w.WriteGroup(Values(ids), Values(words), Lists(vectors), Optional(errs, defined)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// recordsBytes is a file of Arrow's batches.
func recordsBytes(t *testing.T) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "source", Type: arrow.BinaryTypes.String},
		{Name: "vector", Type: arrow.FixedSizeListOf(3, arrow.PrimitiveTypes.Float32)},
	}, nil)
	var out bytes.Buffer
	w, err := NewRecordWriter(&out, schema, "source")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i := range 10_000 {
			builder.Field(0).(*array.Int64Builder).Append(int64(i))
			builder.Field(1).(*array.StringBuilder).Append("original")
			list := builder.Field(2).(*array.FixedSizeListBuilder)
			list.Append(true)
			for d := range 3 {
				list.ValueBuilder().(*array.Float32Builder).Append(float32(i * d))
			}
		}
		if err := w.Write(builder.NewRecordBatch()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// withFile opens bytes as a file.
func withFile(t *testing.T, data []byte, use func(*File, map[string]Leaf)) {
	t.Helper()
	f, err := Open(written(t, data))
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := f.Leaves()
	if err != nil {
		t.Fatal(err)
	}
	all := func(yield func(Leaf) bool) {
		for _, l := range leaves {
			if !yield(l) {
				return
			}
		}
	}
	if err := f.CheckGroups(int64(len(data)), all); err != nil {
		t.Fatal(err)
	}
	use(f, leaves)
}

// pageEnds are where the pages of all columns end, each of which must have a checksum,
// and the index must know.
func pageEnds(t *testing.T, f *File, data []byte, leaves map[string]Leaf) (ends []int64) {
	t.Helper()
	for g := range f.Groups() {
		for name, l := range leaves {
			c, err := f.group(g).chunk(l)
			if err != nil {
				t.Fatal(err)
			}
			index, err := f.reader.GetPageIndexReader().RowGroup(g)
			if err != nil {
				t.Fatal(err)
			}
			offsets, err := index.GetOffsetIndex(l.index)
			if err != nil {
				t.Fatal(err)
			}
			known := map[int64]int32{}
			for _, at := range offsets.GetPageLocations() {
				known[at.Offset] = at.CompressedPageSize
			}
			begin, length := extent(c)
			at := begin
			for at < begin+length {
				h, err := readHeader(bufio.NewReader(io.NewSectionReader(bytes.NewReader(data), at, begin+length-at)))
				if err != nil || !h.hasCRC {
					t.Fatalf("group %d, column %s, page at %d: %+v, %v", g, name, at, h, err)
				}
				bytes := h.bytes + h.compressed
				if size, ok := known[at]; ok && int64(size) != bytes {
					t.Errorf("the index gives the page at %d %d bytes, it has %d", at, size, bytes)
				}
				delete(known, at)
				at += bytes
				ends = append(ends, at)
			}
			if at != begin+length || len(known) > 0 {
				t.Errorf("group %d, column %s: pages end at %d of %d+%d, the index has %d more", g, name, at, begin, length, len(known))
			}
		}
	}
	return ends
}

// TestPagesHaveChecksums: every page that is written has its checksum, the metadata know
// where it lies, and a bit that turned is found.
func TestPagesHaveChecksums(t *testing.T) {
	for name, data := range map[string][]byte{"rows": rowsBytes(t), "records": recordsBytes(t)} {
		t.Run(name, func(t *testing.T) {
			var ends []int64
			withFile(t, data, func(f *File, leaves map[string]Leaf) { ends = pageEnds(t, f, data, leaves) })
			if len(ends) < 10 {
				t.Fatalf("only %d pages", len(ends))
			}
			for _, end := range ends {
				turned := bytes.Clone(data)
				turned[end-1] ^= 4
				withFile(t, turned, func(f *File, leaves map[string]Leaf) {
					var err error
					for g := range f.Groups() {
						for _, l := range leaves {
							err = errors.Join(err, f.group(g).check(l, nil))
						}
					}
					if !errors.Is(err, ErrNotParquet) || !strings.Contains(err.Error(), "checksum") {
						t.Errorf("a bit before %d: %v", end, err)
					}
				})
			}
		})
	}
}
