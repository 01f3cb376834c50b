package parquet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// What a byte of a file may stand for: far more than any data that was measured in a
// simulator shrinks to, and little enough that a small file cannot keep a reader busy.
const (
	rowsPerByte   = 64
	valuesPerByte = 512
	// A file may hold so many rows and values whatever its size.
	fewRows, fewValues = 4096, 1 << 20
	// maxColumns is how many leaves a file may have.
	maxColumns = 20_000
	// maxDeltaBlock is how many values a block of DELTA_BINARY_PACKED may have. Its
	// decoder makes room for a block before it reads one.
	maxDeltaBlock = 1 << 16
	// maxText is how many bytes a text may have: it is an id or a word.
	maxText = 4096
)

// checkClaims refuses more rows and values than a file of so many bytes may hold.
func checkClaims(size, rows, values int64) error {
	if most := fewRows + rowsPerByte*size; rows > most {
		return fmt.Errorf("it claims %d rows in a file of %d bytes", rows, size)
	}
	if most := fewValues + valuesPerByte*size; values > most {
		return fmt.Errorf("it claims %d values in a file of %d bytes", values, size)
	}
	return nil
}

// pageCheck goes through the pages of a column, before a decoder does.
type pageCheck struct {
	longest int64 // of the dictionary's texts
	left    int64 // bytes of text that the column may still make
}

// page looks at the lengths of a dictionary's texts, or at the header of a data page's
// deltas, which begins where its levels end: the size of a block, and the count of
// values.
func (c *pageCheck) page(page file.Page, l Leaf) error {
	if words, ok := page.(*file.DictionaryPage); ok {
		return c.words(words, l)
	}
	if isIndices(parquet.Encoding(page.Encoding())) {
		return c.add(c.longest * int64(page.NumValues()))
	}
	if !isDelta(parquet.Encoding(page.Encoding())) {
		return nil
	}
	_, _, data, err := cutPage(page, int16(l.Depth), l.defined)
	if err != nil || len(data) == 0 {
		return err
	}
	block, n := binary.Uvarint(data)
	if n <= 0 || block == 0 || block > maxDeltaBlock {
		return fmt.Errorf("%w: a block of %d deltas", errPage, block)
	}
	if parquet.Encoding(page.Encoding()) != parquet.Encodings.DeltaByteArray {
		return nil
	}
	// Each text repeats so much of the one before, which its decoder makes anew.
	prefix, sum, err := (&deltas{data: data}).largest(int(page.NumValues()))
	if err == nil && prefix > maxText {
		err = fmt.Errorf("%w: text of more than %d bytes", errPage, maxText)
	}
	if err != nil {
		return err
	}
	return c.add(sum)
}

// What the texts of a column may come to, in bytes: some, and more in a large file.
const (
	textBytes   = 16 << 20
	textPerByte = 256
)

// add takes up bytes that are made of what a page repeats.
func (c *pageCheck) add(bytes int64) error {
	if c.left -= bytes; c.left < 0 {
		return fmt.Errorf("%w: its texts come to more than %d bytes, and %d for each of the file's", ErrColumns, textBytes, textPerByte)
	}
	return nil
}

func isIndices(e parquet.Encoding) bool {
	return e == parquet.Encodings.RLEDict || e == parquet.Encodings.PlainDict
}

// words refuses a dictionary of long texts, which arrow copies for each row.
func (c *pageCheck) words(page *file.DictionaryPage, l Leaf) error {
	if l.Kind != ByteArray {
		return nil
	}
	for data := page.Data(); len(data) >= 4; {
		length := int64(binary.LittleEndian.Uint32(data))
		if length > maxText {
			return fmt.Errorf("%w: text of more than %d bytes", ErrColumns, maxText)
		}
		c.longest = max(c.longest, length)
		data = data[min(4+length, int64(len(data))):]
	}
	return nil
}

// column reads a leaf of a row group by arrow's decoders.
func (g group) column(l Leaf) (file.ColumnChunkReader, error) {
	if err := g.check(l, g.file.checkDeltas); err != nil {
		return nil, err
	}
	return g.file.reader.RowGroup(g.index).Column(l.index)
}

// pages are those of a column, for decoders of this package, which know no deltas.
func (g group) pages(l Leaf) (file.PageReader, error) {
	if err := g.check(l, nil); err != nil {
		return nil, err
	}
	return g.file.reader.RowGroup(g.index).GetColumnPageReader(l.index)
}

// checked are the columns of row groups whose pages were checked, or are just now: who
// reads one waits for its check, and for no other's.
type checked struct {
	mu      sync.Mutex
	columns map[checkedColumn]*check
}

// check is that of one column: locked while it is made, and not made again once it is
// done.
type check struct {
	sync.Mutex
	done bool
}

// of is the check of a column.
func (c *checked) of(key checkedColumn) *check {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.columns[key] == nil {
		c.columns[key] = &check{}
	}
	return c.columns[key]
}

type checkedColumn struct {
	group, leaf int
	deltas      bool
}

// check compares the pages of a column in a row group with their checksums, where the
// file has them, and has deltas looked at where there are some, the first time that the
// column is read.
func (g group) check(l Leaf, deltas func(group, Leaf) error) error {
	made := g.file.checked.of(checkedColumn{g.index, l.index, deltas != nil})
	made.Lock()
	defer made.Unlock()
	if made.done {
		return nil
	}
	c, err := g.chunk(l)
	if err != nil {
		return err
	}
	begin, length := extent(c)
	found, err := scanPages(io.NewSectionReader(g.file.handle, begin, length), deltas != nil)
	if err == nil && (found || l.Text()) && deltas != nil {
		err = deltas(g, l)
	}
	if err != nil {
		return fmt.Errorf("row group %d: %w", g.index, err)
	}
	made.done = true
	return nil
}

// checkDeltas looks at all pages of a column that holds deltas or text, before a decoder
// sees them.
func (f *File) checkDeltas(g group, l Leaf) (err error) {
	pages, err := f.reader.RowGroup(g.index).GetColumnPageReader(l.index)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pages.Close()) }()
	made := pageCheck{left: textBytes + textPerByte*f.handle.Size()}
	for pages.Next() {
		if err := made.page(pages.Page(), l); err != nil {
			return err
		}
	}
	return pages.Err()
}

func isDelta(e parquet.Encoding) bool {
	return e == parquet.Encodings.DeltaBinaryPacked || e == parquet.Encodings.DeltaLengthByteArray || e == parquet.Encodings.DeltaByteArray
}

// maxHeader is as large as a page's header gets: statistics are in it.
const maxHeader = 1 << 20

// scanPages goes through the headers of a column's pages, compares pages with their
// checksums, and says whether any holds deltas. Where there are no checksums and nobody
// asks for deltas the first header is enough: a writer makes checksums for all pages.
func scanPages(chunk *io.SectionReader, all bool) (deltas bool, err error) {
	r := pageReaders.Get().(*bufio.Reader)
	defer pageReaders.Put(r)
	r.Reset(chunk)
	for page, at := 0, int64(0); at < chunk.Size(); page++ {
		h, err := readHeader(r)
		if err != nil {
			return false, fmt.Errorf("page %d: %w", page, err)
		}
		at += h.bytes
		if h.compressed > chunk.Size()-at {
			return false, fmt.Errorf("page %d: %w: it claims %d bytes, of %d that are left", page, ErrNotParquet, h.compressed, chunk.Size()-at)
		}
		switch at += h.compressed; {
		case h.hasCRC:
			err = h.compare(r)
		case !all:
			return false, nil
		default:
			r.Reset(io.NewSectionReader(chunk, at, chunk.Size()-at)) // without reading the page
		}
		if err != nil {
			return false, fmt.Errorf("page %d: %w", page, err)
		}
		deltas = deltas || isDelta(parquet.Encoding(h.encoding))
	}
	return deltas, nil
}

// pageReaders are kept, since each has room for a piece of a page.
var pageReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 32<<10) }}

// compare holds the page that follows against its checksum.
func (h header) compare(page *bufio.Reader) error {
	sum := crc32.NewIEEE()
	for left := h.compressed; left > 0; {
		piece, err := page.Peek(int(min(left, int64(max(page.Buffered(), 1)))))
		if err != nil {
			return err
		}
		sum.Write(piece) // never fails
		if _, err := page.Discard(len(piece)); err != nil {
			return err
		}
		left -= int64(len(piece))
	}
	if got := sum.Sum32(); got != h.crc {
		return fmt.Errorf("%w: its checksum is %08x, its header says %08x", ErrNotParquet, got, h.crc)
	}
	return nil
}
