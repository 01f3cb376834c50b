package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// checksums gives the pages of a file their checksums as arrow's writer, which makes
// none, writes it. A header is held until its page comes, and grows by its checksum; so
// what follows lies farther on than arrow thinks, and the metadata at the file's end,
// which arrive when all pages are written, are told.
type checksums struct {
	w    io.Writer
	at   int64 // where arrow's writer is
	real int64 // where the file is

	header []byte // of the page that comes next; nil between pages
	pages  map[int64]movedPage
	// metadata are what came since the last page, from metadataAt on.
	metadata   []byte
	metadataAt int64
}

// movedPage is a page by where arrow thinks that it begins.
type movedPage struct {
	at    int64 // where it begins
	bytes int64 // as arrow has them, header included
	grown int64 // by how many more
}

func newChecksums(w io.Writer) *checksums { return &checksums{w: w, pages: map[int64]movedPage{}} }

// plain hides Close, which arrow's writer would call before its last piece.
func (c *checksums) plain() io.Writer { return struct{ io.Writer }{c} }

var compact = new(thrift.CompactProtocol)

// Write takes what arrow writes: a page in two pieces, and all else in whatever pieces.
func (c *checksums) Write(p []byte) (int, error) {
	var err error
	switch {
	case c.header != nil:
		err = c.page(p)
	case c.at == 0: // the magic word
		err = c.pass(p)
	case isPageHeader(p):
		c.header = bytes.Clone(p)
		c.metadata = c.metadata[:0] // a chunk's own, which nobody reads there
		c.metadataAt = 0
	default:
		if len(c.metadata) == 0 {
			c.metadataAt = c.at
		}
		c.metadata = append(c.metadata, p...)
	}
	if err != nil {
		return 0, err
	}
	c.at += int64(len(p))
	return len(p), nil
}

// isPageHeader tells the header of a page from the metadata of a column or a file: both
// begin with a number, and the header alone goes on with another.
func isPageHeader(p []byte) bool {
	const number = 1<<4 | thriftI32 // the next field
	if len(p) == 0 || p[0] != number {
		return false
	}
	_, n := binary.Uvarint(p[1:])
	return n > 0 && 1+n < len(p) && p[1+n] == number
}

func (c *checksums) pass(p []byte) error {
	n, err := c.w.Write(p)
	c.real += int64(n)
	return err
}

// page writes a page behind its header.
func (c *checksums) page(p []byte) error {
	var header format.PageHeader
	if err := thrift.Unmarshal(compact, c.header, &header); err != nil {
		return fmt.Errorf("reading a page's header: %w", err)
	}
	if int(header.CompressedPageSize) != len(p) {
		return fmt.Errorf("a page of %d bytes follows a header for %d", len(p), header.CompressedPageSize)
	}
	header.CRC = int32(crc32.ChecksumIEEE(p))
	encoded, err := thrift.Marshal(compact, &header)
	if err != nil {
		return fmt.Errorf("writing a page's header: %w", err)
	}
	before := int64(len(c.header))
	c.pages[c.at-before] = movedPage{at: c.real, bytes: before + int64(len(p)), grown: int64(len(encoded)) - before}
	c.header = nil
	return errors.Join(c.pass(encoded), c.pass(p))
}

// Close writes the metadata at the end of the file.
func (c *checksums) Close() error {
	const tail = 8 // the footer's length and the magic word
	end := len(c.metadata) - tail
	if end < 0 {
		return errors.New("the file has no footer")
	}
	begin := end - int(binary.LittleEndian.Uint32(c.metadata[end:]))
	if begin < 0 {
		return errors.New("the footer is longer than what was written")
	}
	var file format.FileMetaData
	if err := thrift.Unmarshal(compact, c.metadata[begin:end], &file); err != nil {
		return fmt.Errorf("reading the footer: %w", err)
	}
	if err := errors.Join(c.movePages(&file), c.moveIndices(&file)); err != nil {
		return err
	}
	footer, err := thrift.Marshal(compact, &file)
	if err != nil {
		return fmt.Errorf("writing the footer: %w", err)
	}
	footer = binary.LittleEndian.AppendUint32(footer, uint32(len(footer)))
	return c.pass(append(footer, magic...))
}

// movePages tells the columns where their pages are.
func (c *checksums) movePages(file *format.FileMetaData) error {
	for g := range file.RowGroups {
		group := &file.RowGroups[g]
		for i := range group.Columns {
			column := &group.Columns[i]
			m := &column.MetaData
			first := m.DataPageOffset
			if m.DictionaryPageOffset > 0 {
				first = min(first, m.DictionaryPageOffset)
			}
			grown := int64(0)
			for at := first; at < first+m.TotalCompressedSize; {
				page, ok := c.pages[at]
				if !ok {
					return fmt.Errorf("no page begins at %d", at)
				}
				grown += page.grown
				at += page.bytes
			}
			column.FileOffset = 0 // of the column's own metadata, which are left out
			m.DataPageOffset = c.pages[m.DataPageOffset].at
			if m.DictionaryPageOffset > 0 {
				m.DictionaryPageOffset = c.pages[m.DictionaryPageOffset].at
			}
			m.TotalCompressedSize += grown
			m.TotalUncompressedSize += grown
			group.TotalByteSize += grown
			group.TotalCompressedSize += grown
			if i == 0 {
				group.FileOffset = c.pages[first].at
			}
		}
	}
	return nil
}

// moveIndices writes the indices of pages, which tell the same.
func (c *checksums) moveIndices(file *format.FileMetaData) error {
	for g := range file.RowGroups {
		for i := range file.RowGroups[g].Columns {
			column := &file.RowGroups[g].Columns[i]
			if column.ColumnIndexLength == 0 {
				continue
			}
			index, err := c.piece(column.ColumnIndexOffset, column.ColumnIndexLength)
			if err != nil {
				return err
			}
			column.ColumnIndexOffset = c.real
			if err := c.pass(index); err != nil {
				return err
			}
		}
	}
	for g := range file.RowGroups {
		for i := range file.RowGroups[g].Columns {
			if err := c.moveOffsets(&file.RowGroups[g].Columns[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checksums) moveOffsets(column *format.ColumnChunk) error {
	if column.OffsetIndexLength == 0 {
		return nil
	}
	encoded, err := c.piece(column.OffsetIndexOffset, column.OffsetIndexLength)
	if err != nil {
		return err
	}
	var index format.OffsetIndex
	if err := thrift.Unmarshal(compact, encoded, &index); err != nil {
		return fmt.Errorf("reading an index of pages: %w", err)
	}
	for i := range index.PageLocations {
		location := &index.PageLocations[i]
		page, ok := c.pages[location.Offset]
		if !ok {
			return fmt.Errorf("no page begins at %d", location.Offset)
		}
		location.Offset = page.at
		location.CompressedPageSize += int32(page.grown)
	}
	if encoded, err = thrift.Marshal(compact, &index); err != nil {
		return fmt.Errorf("writing an index of pages: %w", err)
	}
	column.OffsetIndexOffset, column.OffsetIndexLength = c.real, int32(len(encoded))
	return c.pass(encoded)
}

// piece is a part of the metadata.
func (c *checksums) piece(at int64, length int32) ([]byte, error) {
	from := at - c.metadataAt
	if from < 0 || from+int64(length) > int64(len(c.metadata)) {
		return nil, fmt.Errorf("no metadata lie at %d", at)
	}
	return c.metadata[from : from+int64(length)], nil
}
