package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"diffstitch/io/storage"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// File is an open Parquet file. Its methods may be called concurrently.
type File struct {
	path   string
	handle *storage.File
	reader *file.Reader
	bound  binding
	schema Schema
	// starts is the first row of each row group, and one more for the end.
	starts []int64
	// filled is whether columns of D* have a value also where D* has none.
	filled bool

	whole *whole // of a file that holds one episode, else nil

	cache *Cache // of decoded row groups, where they have no page index

	mu   sync.Mutex
	idle []*table // left open where reading may go on, the latest last
}

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
	minPage = 16 << 20
	// maxWidth is the longest vector: beyond it, columns or files are mixed up.
	maxWidth = 1 << 16
	// maxEpisodeValues bounds what one column of one episode holds: 256 MiB.
	maxEpisodeValues = 1 << 26
)

// Open opens a Parquet file, or an Arrow file of Minari's, and recognises its
// layout.
func Open(path string, opts Options) (f *File, err error) {
	handle, err := storage.Open(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer func() {
		if err != nil {
			f, err = nil, errors.Join(err, handle.Close())
		}
	}()
	f = &File{path: path, handle: handle, cache: NewCache(maxCache)}
	if err := f.load(opts); err != nil {
		return nil, fmt.Errorf("dataset: opening %q: %w", path, err)
	}
	return f, nil
}

func (f *File) load(opts Options) (err error) {
	defer recovered(&err)
	asked, known := fileLayouts[opts.Layout]
	if opts.Layout != "" && !known {
		return fmt.Errorf("%w: layout %q is unknown; %s are read", ErrColumns, opts.Layout, Layouts())
	}
	if isArrow(f.handle) {
		return f.loadArrow(asked, opts)
	}
	size, err := checkFooter(f.handle)
	if err != nil {
		return err
	}
	f.reader, err = file.NewParquetReader(io.NewSectionReader(f.handle, 0, size), file.WithReadProps(readerProperties(size)))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotParquet, err)
	}
	leaves, err := topLeaves(f.reader.MetaData().Schema)
	if err != nil {
		return err
	}
	if asked == "" && isMinariEpisode(f.path, leaves) {
		asked = Minari
	}
	layout, err := f.bind(leaves, asked, opts)
	if err != nil {
		return err
	}
	if err := f.checkGroups(size); err != nil {
		return fmt.Errorf("%w: %w", ErrNotParquet, err)
	}
	if err := f.describe(layout); err != nil || layout != Minari {
		return err
	}
	return f.holdWhole(f.rowsOfTable())
}

// bind finds the columns, and how the rows are laid out.
func (f *File) bind(leaves map[string]leaf, asked string, opts Options) (layout string, err error) {
	if f.bound, err = bind(leaves, asked, opts); err != nil {
		return "", err
	}
	if layout, err = f.bound.layout(asked); err != nil {
		return "", err
	}
	_, f.filled = leaves["task_index"] // LeRobot has no nulls
	return layout, f.bound.keep(layout)
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

// checkGroups checks that the row groups lie inside the file, and fills starts.
func (f *File) checkGroups(size int64) error {
	meta := f.reader.MetaData()
	f.starts = make([]int64, 1, f.reader.NumRowGroups()+1)
	for g := range f.reader.NumRowGroups() {
		group := meta.RowGroup(g)
		rows := group.NumRows()
		if rows < 0 || rows > 1<<48 {
			return fmt.Errorf("row group %d claims %d rows", g, rows)
		}
		f.starts = append(f.starts, f.starts[g]+rows)
		for l := range f.bound.leaves() {
			c, err := group.ColumnChunk(l.index)
			if err != nil {
				return fmt.Errorf("row group %d, column %q: %w", g, l.name, err)
			}
			if c.NumValues() < rows { // a row is a level at least
				return fmt.Errorf("row group %d, column %q claims %d values in %d rows", g, l.name, c.NumValues(), rows)
			}
			begin, length := c.DataPageOffset(), c.TotalCompressedSize()
			if c.HasDictionaryPage() && c.DictionaryPageOffset() > 0 {
				begin = min(begin, c.DictionaryPageOffset())
			}
			if begin < 0 || length < 0 || begin > size || length > size-begin {
				return fmt.Errorf("row group %d, column %q claims bytes %d+%d of a file of %d", g, l.name, begin, length, size)
			}
		}
	}
	return nil
}

func (f *File) describe(layout string) error {
	s := Schema{
		Layout:      layout,
		Rows:        f.starts[len(f.starts)-1],
		ImplicitIDs: layout == Episodes || !f.bound.hasAny("episode_id"),
		Provenance:  f.bound.hasAll(provenanceColumns...),
		Columns:     f.bound.names(),
	}
	var err error
	if s.ObservationDim, err = f.vectorWidth("observations", layout); err != nil {
		return err
	}
	if s.ActionDim, err = f.vectorWidth("actions", layout); err != nil {
		return err
	}
	if f.bound["next_observations"].parts != nil {
		width, err := f.vectorWidth("next_observations", layout)
		if err != nil {
			return err
		}
		if width != s.ObservationDim {
			return fmt.Errorf("%w: next_observations has %d values, observations %d", ErrColumns, width, s.ObservationDim)
		}
	}
	f.schema = s
	return nil
}

// vectorWidth is the width of a vector, of all its parts together.
func (f *File) vectorWidth(name, layout string) (width int, err error) {
	l := f.bound[name]
	if l.parts == nil {
		return f.width(l, layout)
	}
	for i := range l.parts {
		part := &l.parts[i]
		if part.size, err = f.width(*part, layout); err != nil {
			return 0, err
		}
		width += part.size
	}
	if width > maxWidth {
		return 0, fmt.Errorf("%w: %s has vectors of more than %d values", ErrColumns, l.name, maxWidth)
	}
	return width, nil
}

// probeLevels is how many levels of a list column are read to see its width.
const probeLevels = 1 << 14

// width is the most frequent length of the column's first vectors.
func (f *File) width(l leaf, layout string) (int, error) {
	if l.depth == 0 || (layout == Episodes && l.depth == 1) {
		return 1, nil
	}
	g := slices.IndexFunc(f.starts, func(start int64) bool { return start > 0 }) - 1
	if g < 0 {
		return 0, nil // no rows
	}
	c := column[float32]{leaf: l, openChunk: openFloat32}
	if err := c.open(f.reader.RowGroup(g)); err != nil {
		return 0, err
	}
	if err := errors.Join(c.fill(probeLevels), c.close()); err != nil {
		return 0, err
	}
	width := commonLength(c.definition[:c.levels], c.repetition[:c.levels], l)
	switch {
	case width == 0:
		return 0, fmt.Errorf("%w: column %q begins without any values", ErrColumns, l.name)
	case width > maxWidth:
		return 0, fmt.Errorf("%w: column %q has vectors of more than %d values", ErrColumns, l.name, maxWidth)
	}
	return width, nil
}

// commonLength is the most frequent length among whole vectors, 0 where there
// is none.
func commonLength(definition, repetition []int16, l leaf) int {
	counts := map[int]int{}
	length, best := 0, 0
	for i := range definition {
		if i > 0 && int(repetition[i]) < l.depth {
			counts[length]++
			length = 0
		}
		if definition[i] == l.defined {
			length++
		}
	}
	if len(counts) == 0 || len(definition) < probeLevels { // the last one is whole
		counts[length]++
	}
	delete(counts, 0)
	for n, count := range counts {
		if count > counts[best] || (count == counts[best] && n > best) {
			best = n
		}
	}
	return best
}

// Schema is what the file holds.
func (f *File) Schema() Schema { return f.schema }

// Path is the name the file was opened by.
func (f *File) Path() string { return f.path }

// Share has the file keep decoded row groups in a cache with others.
func (f *File) Share(c *Cache) { f.cache = c }

// Rest gives up what is held to read on. The file stays open.
func (f *File) Rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.idle {
		t.close() // nothing was written
	}
	f.idle = nil
}

// Close closes the file.
func (f *File) Close() error {
	f.Rest()
	if err := f.handle.Close(); err != nil {
		return fmt.Errorf("dataset: closing %q: %w", f.path, err)
	}
	return nil
}

// recovered turns a panic of the Parquet library, which a damaged file can
// bring about, into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrNotParquet, p)
	}
}

// recoveredAs does so for another library.
func recoveredAs(kind error, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", kind, p)
	}
}
