// Package parquet reads and writes typed leaf columns of Parquet files: numbers,
// flags and words, single or in lists, a batch of rows at a time. It knows of row
// groups, pages and levels, and of nothing that the columns mean.
//
// What a file claims of itself is checked before anything is allocated for it: the
// footer's length, where columns lie, how large pages are. A list column of constant
// length is read as the flat column of values that it is: its levels are compared with
// the pattern that a constant length gives, and only where they differ is the row with
// the odd length looked for.
//
// It is the one package that imports a Parquet library.
package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"sort"

	"diffstitch/io/storage"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

var (
	// ErrNotParquet is returned for a file that is not Parquet, or only part of one.
	ErrNotParquet = errors.New("not a whole parquet file")
	// ErrColumns is returned where a column holds something else than what is asked for.
	ErrColumns = errors.New("columns do not fit")
	// ErrDone ends a sequence of rows. It is never wrapped, and no error of the Parquet
	// library, whose io.EOF means a damaged page.
	ErrDone = errors.New("no more")
)

const (
	tail  = 8 // the footer's length and the magic word
	magic = "PAR1"
	// hdf5Magic is how an HDF5 file begins.
	hdf5Magic = "\x89HDF\r\n\x1a\n"
	// streamBuffer holds a page's header; pages themselves pass it by.
	streamBuffer = 16 << 10
	// maxPage is the largest page, decompressed, that is taken from any file.
	maxPage = 256 << 20
	// minPage is the page size that is taken from the smallest file.
	minPage = 2 << 20
	// MaxWidth is the longest vector: beyond it, columns or files are mixed up.
	MaxWidth = 1 << 16
	// MaxEpisodeValues bounds what one column of one episode holds: 256 MiB.
	MaxEpisodeValues = 1 << 26
	// MaxCache bounds the decoded row groups that a file keeps, in bytes.
	MaxCache = 256 << 20
)

// File is an open Parquet file. Its methods may be called concurrently.
type File struct {
	handle *storage.File
	reader *file.Reader
	// starts is the first row of each row group, and one more for the end.
	starts []int64

	checked checked
}

// Open reads the footer of a file. The file stays the caller's to close.
func Open(handle *storage.File) (f *File, err error) {
	defer Recovered(&err)
	size, err := checkFooter(handle)
	if err != nil {
		return nil, err
	}
	reader, err := file.NewParquetReader(io.NewSectionReader(handle, 0, size), file.WithReadProps(readerProperties(size)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotParquet, err)
	}
	if columns := reader.MetaData().Schema.NumColumns(); columns > maxColumns {
		return nil, fmt.Errorf("%w: it has %d columns, more than %d", ErrNotParquet, columns, maxColumns)
	}
	return &File{handle: handle, reader: reader, checked: checked{columns: map[checkedColumn]*check{}}}, nil
}

// checkFooter refuses a file whose footer cannot be right before the Parquet
// library allocates what the footer asks for.
func checkFooter(handle *storage.File) (size int64, err error) {
	size = handle.Size()
	switch {
	case handle.Info().IsDir():
		return 0, fmt.Errorf("%w: it is a folder", ErrNotParquet)
	case size == 0:
		return 0, fmt.Errorf("%w: it is empty", ErrNotParquet)
	case size < int64(len(magic)+tail):
		return 0, fmt.Errorf("%w: it has only %d bytes", ErrNotParquet, size)
	}
	var head, end [tail]byte
	if _, err := handle.ReadAt(head[:], 0); err != nil {
		return 0, err
	}
	if _, err := handle.ReadAt(end[:], size-tail); err != nil {
		return 0, err
	}
	if string(head[:]) == hdf5Magic {
		return 0, fmt.Errorf("%w: it is HDF5, which tools/hdf5 makes Parquet of", ErrNotParquet)
	}
	if string(head[:len(magic)]) != magic {
		return 0, fmt.Errorf("%w: it does not begin with %s", ErrNotParquet, magic)
	}
	if string(end[len(magic):]) != magic {
		return 0, fmt.Errorf("%w: it does not end with %s; was it cut short?", ErrNotParquet, magic)
	}
	if footer := int64(binary.LittleEndian.Uint32(end[:])); footer > size-int64(len(magic)+tail) {
		return 0, fmt.Errorf("%w: its footer claims %d bytes of a file of %d", ErrNotParquet, footer, size)
	}
	return size, nil
}

// readerProperties bound the pages: columns of equal values shrink a
// hundredfold, but a small file has no reason to hold a huge page.
func readerProperties(size int64) *parquet.ReaderProperties {
	p := parquet.NewReaderProperties(memory.NewGoAllocator())
	p.BufferedStreamEnabled = true
	p.BufferSize = streamBuffer
	p.MaxCompressedPageSize = min(size, parquet.DefaultMaxCompressedPageSize)
	p.MaxUncompressedPageSize = min(max(64*size, minPage), maxPage)
	return p
}

// Leaves are the columns that hold one kind of value, by name.
func (f *File) Leaves() (map[string]Leaf, error) { return topLeaves(f.reader.MetaData().Schema) }

// Fields are the columns in the order of the file, as a Writer is told of them: of lists
// the width is that of the first row group, on the average, or 1 where the file has no
// rows. Statistics and dictionaries are not looked for. It comes after CheckGroups.
func (f *File) Fields() ([]Field, error) {
	s, leaves := f.reader.MetaData().Schema, map[int]Leaf{}
	named, err := f.Leaves()
	if err != nil {
		return nil, err
	}
	for _, l := range named {
		leaves[l.index] = l
	}
	fields := make([]Field, s.NumColumns())
	for i := range fields {
		l, plain := leaves[i]
		if !plain {
			return nil, fmt.Errorf("%w: there are several columns %q", ErrColumns, columnName(s.Column(i)))
		}
		width, err := f.width(l)
		if err != nil {
			return nil, err
		}
		fields[i] = Field{Name: l.Name, Kind: l.Kind, List: width, Nullable: int(l.defined) > l.Depth}
	}
	return fields, nil
}

// width is how many values of a list a row of the first row group has; 0 of what is no
// list.
func (f *File) width(l Leaf) (int, error) {
	if l.Depth == 0 || f.Groups() == 0 || f.Start(1) == 0 {
		return l.Depth, nil
	}
	chunk, err := f.group(0).chunk(l)
	if err != nil {
		return 0, fmt.Errorf("column %q: %w", l.Name, err)
	}
	return int(chunk.NumValues() / f.Start(1)), nil
}

// CheckGroups checks that the row groups' columns lie inside a file of so many bytes.
// It comes before all that follows.
func (f *File) CheckGroups(size int64, leaves iter.Seq[Leaf]) error {
	meta, values := f.reader.MetaData(), map[int]int64{}
	f.starts = make([]int64, 1, f.reader.NumRowGroups()+1)
	for g := range f.reader.NumRowGroups() {
		group := meta.RowGroup(g)
		rows := group.NumRows()
		if rows < 0 || rows > 1<<48 {
			return fmt.Errorf("row group %d claims %d rows", g, rows)
		}
		f.starts = append(f.starts, f.starts[g]+rows)
		for l := range leaves {
			c, err := group.ColumnChunk(l.index)
			if err != nil {
				return fmt.Errorf("row group %d, column %q: %w", g, l.Name, err)
			}
			if c.NumValues() < rows { // a row is a level at least
				return fmt.Errorf("row group %d, column %q claims %d values in %d rows", g, l.Name, c.NumValues(), rows)
			}
			begin, length := extent(c)
			if begin < 0 || length < 0 || begin > size || length > size-begin {
				return fmt.Errorf("row group %d, column %q claims bytes %d+%d of a file of %d", g, l.Name, begin, length, size)
			}
			if c.NumValues() > math.MaxInt64-values[l.index] {
				return fmt.Errorf("row group %d, column %q claims %d values", g, l.Name, c.NumValues())
			}
			values[l.index] += c.NumValues()
			if err := checkClaims(size, f.starts[g+1], values[l.index]); err != nil {
				return err
			}
		}
	}
	return nil
}

// extent is where a column lies in the file: its pages, with that of a dictionary.
func extent(c *metadata.ColumnChunkMetaData) (begin, length int64) {
	begin, length = c.DataPageOffset(), c.TotalCompressedSize()
	if c.HasDictionaryPage() && c.DictionaryPageOffset() > 0 {
		begin = min(begin, c.DictionaryPageOffset())
	}
	return begin, length
}

// group is a row group of a file.
type group struct {
	file  *File
	index int
}

func (f *File) group(index int) group { return group{f, index} }

func (g group) chunk(l Leaf) (*metadata.ColumnChunkMetaData, error) {
	return g.file.reader.MetaData().RowGroup(g.index).ColumnChunk(l.index)
}

// Groups is the number of row groups.
func (f *File) Groups() int { return len(f.starts) - 1 }

// Start is the first row of a row group; that of the one after the last is the number
// of rows.
func (f *File) Start(group int) int64 { return f.starts[group] }

// Rows is the number of rows.
func (f *File) Rows() int64 { return f.starts[len(f.starts)-1] }

// GroupOf is the row group that row lies in.
func (f *File) GroupOf(row int64) int {
	return sort.Search(f.Groups(), func(g int) bool { return f.starts[g+1] > row })
}

// pageStart is the first row, in its row group, of the page that holds row; 0
// where the file has no page index.
func (f *File) pageStart(g int, l Leaf, row int64) int64 {
	group, err := f.reader.GetPageIndexReader().RowGroup(g)
	if err != nil || group == nil {
		return 0
	}
	index, err := group.GetOffsetIndex(l.index)
	if err != nil || index == nil {
		return 0
	}
	pages := index.GetPageLocations()
	at := sort.Search(len(pages), func(i int) bool { return pages[i].FirstRowIndex > row }) - 1
	if at < 0 {
		return 0
	}
	return pages[at].FirstRowIndex
}

// Indexed is whether each of the columns can be entered at a page of the row group.
func (f *File) Indexed(g int, leaves iter.Seq[Leaf]) bool {
	group, err := f.reader.GetPageIndexReader().RowGroup(g)
	if err != nil || group == nil {
		return false
	}
	for l := range leaves {
		if index, err := group.GetOffsetIndex(l.index); err != nil || index == nil || len(index.GetPageLocations()) == 0 {
			return false
		}
	}
	return true
}

// GroupBytes is what a row group's columns take in memory, about.
func (f *File) GroupBytes(g int, leaves iter.Seq[Leaf]) int64 {
	total := int64(0)
	for l := range leaves {
		if c, err := f.reader.MetaData().RowGroup(g).ColumnChunk(l.index); err == nil {
			total += 4 * min(c.NumValues(), MaxCache) // a claim may be any number
		}
	}
	return total
}

// Recovered turns a panic of the Parquet library, which a damaged file can
// bring about, into an error.
func Recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrNotParquet, p)
	}
}
