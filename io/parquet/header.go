package parquet

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// header is what is read of a page's header, which is written in Thrift's compact
// protocol. The Parquet library reads it too, but keeps the checksum to itself.
type header struct {
	bytes      int64 // of the header itself
	compressed int64 // bytes of the page that follows
	crc        uint32
	hasCRC     bool
	encoding   int64 // of a data page's values
}

// The fields of parquet.thrift's PageHeader that are read, and of its headers of data
// pages, of either version, where their encoding is.
const (
	compressedField = 3
	crcField        = 4
	dataField       = 5
	dataV2Field     = 8

	encodingField   = 2
	encodingV2Field = 4
)

// Thrift's compact types.
const (
	thriftStop   = 0
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftStruct = 12
)

// maxDepth is how deep a header's structs and lists are followed.
const maxDepth = 8

func readHeader(r *bufio.Reader) (h header, err error) {
	t := &thriftReader{r: r, left: maxHeader}
	t.fields(0, func(id int64, kind byte) bool {
		switch {
		case kind == thriftI32 && id == compressedField:
			h.compressed = t.signed()
		case kind == thriftI32 && id == crcField:
			h.crc, h.hasCRC = uint32(t.signed()), true
		case kind == thriftStruct && id == dataField:
			t.fields(1, t.number(encodingField, &h.encoding))
		case kind == thriftStruct && id == dataV2Field:
			t.fields(1, t.number(encodingV2Field, &h.encoding))
		default:
			return false
		}
		return true
	})
	if t.err == nil && h.compressed < 0 {
		t.err = fmt.Errorf("%d bytes", h.compressed)
	}
	if t.err != nil {
		t.err = fmt.Errorf("%w: a page's header: %w", ErrNotParquet, t.err)
	}
	h.bytes = int64(maxHeader - t.left)
	return h, t.err
}

// thriftReader reads a struct, and stops at the first error.
type thriftReader struct {
	r    *bufio.Reader
	left int // bytes that may still be read
	err  error
}

// fields goes through a struct's fields; use reads those that it knows, and says so.
func (t *thriftReader) fields(depth int, use func(id int64, kind byte) bool) {
	id := int64(0)
	for t.err == nil {
		head := t.byte()
		kind := head & 0x0f
		if kind == thriftStop {
			return
		}
		if delta := int64(head >> 4); delta > 0 {
			id += delta
		} else {
			id = t.signed()
		}
		if !use(id, kind) {
			t.skip(kind, depth)
		}
	}
}

// number reads one number of a struct.
func (t *thriftReader) number(field int64, into *int64) func(id int64, kind byte) bool {
	return func(id int64, kind byte) bool {
		if id != field || kind != thriftI32 {
			return false
		}
		*into = t.signed()
		return true
	}
}

// skip passes over a value.
func (t *thriftReader) skip(kind byte, depth int) {
	if depth > maxDepth && t.err == nil {
		t.err = fmt.Errorf("nested more than %d deep", maxDepth)
	}
	if t.err != nil {
		return
	}
	switch kind {
	case thriftTrue, thriftFalse:
	case thriftByte:
		t.byte()
	case thriftI16, thriftI32, thriftI64:
		t.unsigned()
	case thriftDouble:
		t.discard(8)
	case thriftBinary:
		t.discard(t.unsigned())
	case thriftList, thriftSet:
		t.skipList(depth)
	case thriftStruct:
		t.fields(depth+1, func(int64, byte) bool { return false })
	default: // thriftMap, which no header has
		t.err = fmt.Errorf("a field of type %d", kind)
	}
}

func (t *thriftReader) skipList(depth int) {
	head := t.byte()
	count := uint64(head >> 4)
	if count == 15 {
		count = t.unsigned()
	}
	for ; count > 0 && t.err == nil; count-- {
		if element := head & 0x0f; element == thriftTrue || element == thriftFalse {
			t.byte() // of a list, unlike of a field, a flag is a byte
		} else {
			t.skip(element, depth+1)
		}
	}
}

func (t *thriftReader) byte() byte {
	if t.left--; t.left < 0 && t.err == nil {
		t.err = fmt.Errorf("it is longer than %d bytes", maxHeader)
	}
	if t.err != nil {
		return 0
	}
	b, err := t.r.ReadByte()
	if err != nil {
		t.err = unexpected(err)
	}
	return b
}

// ReadByte has varints be read by encoding/binary.
func (t *thriftReader) ReadByte() (byte, error) {
	b := t.byte()
	return b, t.err
}

func (t *thriftReader) unsigned() uint64 {
	v, err := binary.ReadUvarint(t)
	if err != nil && t.err == nil {
		t.err = unexpected(err)
	}
	return v
}

// signed is a number in zigzag.
func (t *thriftReader) signed() int64 {
	v, err := binary.ReadVarint(t)
	if err != nil && t.err == nil {
		t.err = unexpected(err)
	}
	return v
}

func (t *thriftReader) discard(n uint64) {
	if n > uint64(max(t.left, 0)) && t.err == nil {
		t.err = fmt.Errorf("it is longer than %d bytes", maxHeader)
	}
	if t.err != nil {
		return
	}
	t.left -= int(n)
	if _, err := t.r.Discard(int(n)); err != nil {
		t.err = unexpected(err)
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
