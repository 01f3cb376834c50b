package parquet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
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

// checkedPages hands out pages of which no decoder makes more than they hold.
type checkedPages struct {
	file.PageReader
	leaf Leaf
	err  error
}

func (p *checkedPages) Next() bool {
	if p.err != nil || !p.PageReader.Next() {
		return false
	}
	p.err = checkPage(p.PageReader.Page(), p.leaf)
	return p.err == nil
}

func (p *checkedPages) Err() error { return errors.Join(p.err, p.PageReader.Err()) }

func (p *checkedPages) SeekToPageWithRow(row int64) error {
	if err := p.PageReader.SeekToPageWithRow(row); err != nil {
		return err
	}
	if page := p.PageReader.Page(); page != nil {
		return checkPage(page, p.leaf)
	}
	return nil
}

// checkPage looks at the header of a page's deltas, which begins where its levels end:
// the size of a block, and the count of values.
func checkPage(page file.Page, l Leaf) error {
	switch parquet.Encoding(page.Encoding()) {
	case parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.DeltaLengthByteArray, parquet.Encodings.DeltaByteArray:
	default:
		return nil
	}
	data, err := valuesOf(page, l)
	if err != nil || len(data) == 0 {
		return err
	}
	block, n := binary.Uvarint(data)
	if n <= 0 || block == 0 || block > maxDeltaBlock {
		return fmt.Errorf("%w: a block of %d deltas", errPage, block)
	}
	return nil
}

// valuesOf is what follows the levels of a data page.
func valuesOf(page file.Page, l Leaf) ([]byte, error) {
	data := page.Data()
	switch p := page.(type) {
	case *file.DataPageV2:
		levels := int64(p.RepetitionLevelByteLen()) + int64(p.DefinitionLevelByteLen())
		if levels < 0 || levels > int64(len(data)) {
			return nil, errPage
		}
		return data[levels:], nil
	case *file.DataPageV1:
		for _, highest := range []int{l.Depth, int(l.defined)} {
			if highest == 0 {
				continue
			}
			if len(data) < 4 || int64(binary.LittleEndian.Uint32(data)) > int64(len(data)-4) {
				return nil, errPage
			}
			data = data[4+binary.LittleEndian.Uint32(data):]
		}
		return data, nil
	}
	return nil, nil
}

// column reads a leaf of a row group by arrow's decoders, its pages checked.
func (g group) column(l Leaf) (file.ColumnChunkReader, error) {
	pages, err := g.pages(l)
	if err != nil {
		return nil, err
	}
	return file.NewColumnReader(g.file.reader.MetaData().Schema.Column(l.index), pages, memory.NewGoAllocator(), g.file.reader.BufferPool()), nil
}

// checksums are the columns of row groups whose checksums were compared.
type checksums struct {
	mu   sync.Mutex
	done map[[2]int]bool // row group, leaf
}

// verify compares the checksums of a column's pages in a row group, where the file has
// them, the first time it is read.
func (g group) verify(l Leaf) error {
	g.file.checksums.mu.Lock()
	defer g.file.checksums.mu.Unlock()
	key := [2]int{g.index, l.index}
	if g.file.checksums.done[key] {
		return nil
	}
	c, err := g.chunk(l)
	if err != nil {
		return err
	}
	begin, length := extent(c)
	if err := verifyPages(io.NewSectionReader(g.file.handle, begin, length)); err != nil {
		return fmt.Errorf("row group %d: %w", g.index, err)
	}
	g.file.checksums.done[key] = true
	return nil
}

// maxHeader is as large as a page's header gets: statistics are in it.
const maxHeader = 1 << 20

// verifyPages compares each page with its checksum, until one has none: a writer makes
// them for all of its pages.
func verifyPages(chunk io.Reader) error {
	r := bufio.NewReaderSize(chunk, streamBuffer)
	for page := 0; ; page++ {
		if _, err := r.Peek(1); err == io.EOF {
			return nil
		}
		h, err := readHeader(r)
		if err != nil {
			return fmt.Errorf("page %d: %w", page, err)
		}
		if !h.hasCRC {
			return nil
		}
		sum := crc32.NewIEEE()
		if _, err := io.CopyN(sum, r, h.compressed); err != nil {
			return fmt.Errorf("page %d: %w: it is cut short", page, ErrNotParquet)
		}
		if got := sum.Sum32(); got != h.crc {
			return fmt.Errorf("page %d: %w: its checksum is %08x, its header says %08x", page, ErrNotParquet, got, h.crc)
		}
	}
}
