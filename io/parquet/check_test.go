package parquet

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/storage"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	parquetgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"pgregory.net/rapid"
)

func TestClaims(t *testing.T) {
	for _, test := range []struct {
		size, rows, values int64
		says               string
	}{
		{100, 4000, 1 << 20, ""},
		{1 << 20, 1 << 25, 1 << 28, ""},
		{441, 1_000_000_000, 0, "it claims 1000000000 rows in a file of 441 bytes"},
		{12_000, 2_000_000_000_000, 0, "rows in a file of 12000 bytes"},
		{500, 10, 1 << 40, "values in a file of 500 bytes"},
	} {
		err := checkClaims(test.size, test.rows, test.values)
		if (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: error %v", test, err)
		}
	}
}

// TestBlocksOfDeltas has pages of which a block would take more than memory holds.
func TestBlocksOfDeltas(t *testing.T) {
	for _, test := range []struct {
		name   string
		levels []byte
		leaf   Leaf
		block  uint64
		fine   bool
	}{
		{"as writers make them", nil, Leaf{}, 128, true},
		{"the largest", nil, Leaf{}, maxDeltaBlock, true},
		{"larger", nil, Leaf{}, maxDeltaBlock + 128, false},
		{"8 GiB", nil, Leaf{}, 1 << 31, false},
		{"none", nil, Leaf{}, 0, false},
		{"8 GiB behind levels", []byte{1, 0, 0, 0, 2}, Leaf{defined: 1}, 1 << 31, false},
		{"levels longer than the page", []byte{255, 255, 255, 127}, Leaf{defined: 1}, 128, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := append(binary.AppendUvarint(bytes.Clone(test.levels), test.block), 4, 0, 0)
			page := file.NewDataPageV1(memory.NewBufferBytes(data), 10, parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.RLE, parquet.Encodings.RLE, int32(len(data)))
			if err := (&pageCheck{left: 1 << 30}).page(page, test.leaf); (err == nil) != test.fine || err != nil && !errors.Is(err, errPage) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestHeader reads a page's header that has all kinds of fields.
func TestHeader(t *testing.T) {
	whole := []byte{
		0x15, 0x00, // 1: type, i32
		0x15, 0x50, // 2: uncompressed size 40
		0x15, 0x28, // 3: compressed size 20
		0x15, 0x09, // 4: crc −5
		0x1c, 0x15, 0x08, 0x15, 0x0a, 0x18, 0x02, 'a', 'b', 0x19, 0x25, 0x02, 0x04, 0x11, 0x00, // 5: a struct with a count, the encoding 5, bytes, a list and a flag
		0x00,
	}
	h, err := readHeader(bufio.NewReader(bytes.NewReader(whole)))
	if minus := int32(-5); err != nil || h != (header{bytes: int64(len(whole)), compressed: 20, crc: uint32(minus), hasCRC: true, encoding: 5}) {
		t.Errorf("%+v, %v", h, err)
	}
	for n := range whole {
		if _, err := readHeader(bufio.NewReader(bytes.NewReader(whole[:n]))); !errors.Is(err, ErrNotParquet) {
			t.Errorf("cut at %d: error %v", n, err)
		}
	}
	endless := bytes.Repeat([]byte{0x1c}, 1<<20) // structs in structs
	if _, err := readHeader(bufio.NewReader(bytes.NewReader(endless))); err == nil {
		t.Error("endless structs are read")
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{0x15, 0x00, 0x15, 0x50, 0x15, 0x28, 0x15, 0x09, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = scanPages(io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), true)
	})
}

// TestChecksums changes a byte of a page in a file whose writer made checksums.
func TestChecksums(t *testing.T) {
	type row struct{ Value float32 }
	var rows []row
	for i := range 1000 {
		rows = append(rows, row{float32(i) * 0.37})
	}
	var written bytes.Buffer
	if err := parquetgo.Write(&written, rows); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func([]byte){"as written": func([]byte) {}, "another value": func(data []byte) { data[len(data)/2] ^= 1 }} {
		t.Run(name, func(t *testing.T) {
			data := bytes.Clone(written.Bytes())
			spoil(data)
			values, err := readValues(t, data)
			if name == "as written" {
				if err != nil || len(values) != 1000 || values[999] != rows[999].Value {
					t.Errorf("%d values: %v", len(values), err)
				}
			} else if !errors.Is(err, ErrNotParquet) || !strings.Contains(err.Error(), "page 0") || !strings.Contains(err.Error(), "checksum") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// written is a file of some bytes, open as long as the test lasts.
func written(t *testing.T, data []byte) *storage.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.parquet")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	handle, err := storage.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { handle.Close() }) // nothing was written
	return handle
}

// readValues reads the column Value of a file.
func readValues(t *testing.T, data []byte) (all []float32, err error) {
	t.Helper()
	handle := written(t, data)
	f, err := Open(handle)
	if err != nil {
		return nil, err
	}
	leaves, err := f.Leaves()
	if err != nil {
		return nil, err
	}
	if err := f.CheckGroups(handle.Size(), func(yield func(Leaf) bool) { yield(leaves["Value"]) }); err != nil {
		return nil, err
	}
	type block struct{ values Vectors[float32] }
	table := NewTable[block](f, 0, 1)
	defer table.Close()
	Add(table, leaves["Value"], 1, Floats, func(b *block) *Vectors[float32] { return &b.values })
	for {
		var b block
		if _, _, err := table.Next(&b, 300); err == ErrDone {
			return all, nil
		} else if err != nil {
			return all, err
		}
		all = append(all, b.values.Values...)
	}
}

// TestDeltas: the largest of what parquet-go's encoder makes is found, and what is cut or
// claims more than there is fails.
func TestDeltas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int32Range(0, 1<<30), 1, 400).Draw(t, "values")
		encoded, err := new(delta.BinaryPackedEncoding).EncodeInt32(nil, values)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := (&deltas{data: encoded}).largest(len(values))
		if err != nil || got != int64(slices.Max(values)) {
			t.Fatalf("%d, %v: want %d", got, err, slices.Max(values))
		}
		if _, _, err := (&deltas{data: encoded}).largest(len(values) - 1); !errors.Is(err, errPage) {
			t.Errorf("more values than there are: %v", err)
		}
		damaged := append(encoded[:rapid.IntRange(0, len(encoded)-1).Draw(t, "cut")], rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "noise")...)
		_, _, _ = (&deltas{data: damaged}).largest(len(values)) // it ends, and takes no more than there is
	})
}

// TestLongTexts: texts that rows repeat are refused before rows of them are made.
func TestLongTexts(t *testing.T) {
	long := strings.Repeat("x", 40_000)
	type row struct {
		Dictionary string `parquet:"dictionary,dict"`
		Delta      string `parquet:"delta,delta"`
		Plain      string `parquet:"plain"`
		Short      string `parquet:"short,dict"`
	}
	var out bytes.Buffer
	if err := parquetgo.Write(&out, slices.Repeat([]row{{long, long, long[:maxText+1], long[:maxText]}}, 40)); err != nil {
		t.Fatal(err)
	}
	withFile(t, out.Bytes(), func(f *File, leaves map[string]Leaf) {
		for name, fine := range map[string]bool{"dictionary": false, "delta": false, "plain": false, "short": true} {
			c := NewColumn(leaves[name], Strings, 1)
			err := c.Open(f, 0)
			if err == nil {
				_, err = c.next(40)
			}
			if (err == nil) != fine || err != nil && !strings.Contains(err.Error(), "text of more than 4096 bytes") {
				t.Errorf("%s: %v", name, err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
