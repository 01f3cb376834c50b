package minari

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/memory"
	flatbuffers "github.com/google/flatbuffers/go"
)

// checkArrow refuses a file whose metadata would have the Arrow library allocate
// or recurse without bound: it trusts the lengths of vectors, and goes as deep as
// fields are nested. Positions that lie outside make it panic, which is recovered.
func checkArrow(data []byte) error {
	const end = 4 + len("ARROW1")
	if len(data) < len(arrowMagic)+end || string(data[len(data)-6:]) != "ARROW1" {
		return fmt.Errorf("%w: it does not end with ARROW1; was it cut short?", ErrNotArrow)
	}
	tail := len(data) - end
	size := int(binary.LittleEndian.Uint32(data[tail:]))
	if size < 4 || size > tail-len(arrowMagic) {
		return fmt.Errorf("%w: its footer claims %d bytes of a file of %d", ErrNotArrow, size, len(data))
	}
	c := &arrowChecker{}
	footer := root(data[tail-size : tail])
	if schema, ok := footer.table(footerSchema); ok {
		c.metadata(schema, schemaMetadata)
		c.fields(schema, schemaFields, 0)
	}
	if _, dictionaries := c.vector(footer, footerDictionaries, blockBytes); dictionaries > 0 {
		c.refuse("dictionaries are not read")
	}
	blocks, count := c.vector(footer, footerRecords, blockBytes)
	for i := range count {
		at := int(blocks) + i*blockBytes
		c.record(data, binary.LittleEndian.Uint64(footer.Bytes[at:]), binary.LittleEndian.Uint32(footer.Bytes[at+8:]))
	}
	return c.err
}

// Places of what is checked in the tables of Arrow's flatbuffers, in the order of
// format/Schema.fbs, Message.fbs and File.fbs.
const (
	footerSchema       = 1
	footerDictionaries = 2
	footerRecords      = 3
	schemaFields       = 1
	schemaMetadata     = 2
	fieldType          = 2
	fieldChildren      = 5
	fieldMetadata      = 6
	messageMetadata    = 4
	blockBytes         = 24

	maxArrowFields = 1 << 12
	maxArrowDepth  = 16
	// maxArrowGrowth is how many bits of values a file may hold for each of its
	// bytes, which is more than one only where they are compressed.
	maxArrowGrowth = 512
)

// refusedArrowTypes are unions, those encoded by runs, and views, whose buffers
// are counted by the file.
var refusedArrowTypes = []byte{14, 22, 23, 24, 25, 26}

type arrowChecker struct {
	visited int
	err     error // the first
}

func (c *arrowChecker) refuse(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrNotArrow, fmt.Sprintf(format, args...))
	}
}

// flatTable is a table of a flatbuffer.
type flatTable struct{ flatbuffers.Table }

func root(data []byte) flatTable {
	return flatTable{flatbuffers.Table{Bytes: data, Pos: flatbuffers.GetUOffsetT(data)}}
}

// field is where a field lies, 0 where it is not there.
func (t flatTable) field(place int) flatbuffers.UOffsetT {
	return flatbuffers.UOffsetT(t.Offset(flatbuffers.VOffsetT(4 + 2*place)))
}

func (t flatTable) table(place int) (flatTable, bool) {
	at := t.field(place)
	if at == 0 {
		return t, false
	}
	return flatTable{flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at + t.Pos)}}, true
}

// vector is where a vector begins, and its length.
func (c *arrowChecker) vector(t flatTable, place, elementBytes int) (start flatbuffers.UOffsetT, length int) {
	at := t.field(place)
	if at == 0 {
		return 0, 0
	}
	start, length = t.Vector(at), t.VectorLen(at)
	if length > (len(t.Bytes)-int(start))/elementBytes {
		c.refuse("a list in its metadata claims %d entries", length)
		return 0, 0
	}
	return start, length
}

// metadata checks a list of keys and values.
func (c *arrowChecker) metadata(t flatTable, place int) {
	_, length := c.vector(t, place, flatbuffers.SizeUOffsetT)
	c.visit(length)
}

func (c *arrowChecker) visit(count int) {
	if c.visited += count; c.visited > maxArrowFields {
		c.refuse("it has more than %d fields", maxArrowFields)
	}
}

// fields checks a list of fields and their children. Offsets may lead to the same
// ones again and again, so visits are counted.
func (c *arrowChecker) fields(t flatTable, place, depth int) {
	start, length := c.vector(t, place, flatbuffers.SizeUOffsetT)
	if depth > maxArrowDepth && length > 0 {
		c.refuse("its fields are nested more than %d deep", maxArrowDepth)
	}
	c.visit(length)
	for i := range length {
		if c.err != nil {
			return
		}
		at := start + flatbuffers.UOffsetT(i*flatbuffers.SizeUOffsetT)
		field := flatTable{flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at)}}
		if at := field.field(fieldType); at != 0 && slices.Contains(refusedArrowTypes, field.GetByte(at+field.Pos)) {
			c.refuse("a field has a type that is not read")
		}
		c.metadata(field, fieldMetadata)
		c.fields(field, fieldChildren, depth+1)
	}
}

// record checks the message of a record batch.
func (c *arrowChecker) record(data []byte, offset uint64, length uint32) {
	if offset > uint64(len(data)) || uint64(length) > uint64(len(data))-offset || length < 16 {
		c.refuse("a record claims bytes %d+%d of a file of %d", offset, length, len(data))
		return
	}
	message := data[offset : offset+uint64(length)]
	prefix := 4
	if binary.LittleEndian.Uint32(message) == 0xffffffff {
		prefix = 8
	}
	c.metadata(root(message[prefix:]), messageMetadata)
}

// boundedAllocator panics where more is asked for than a file may hold.
type boundedAllocator struct {
	memory.Allocator
	left int
}

func newBoundedAllocator(fileBytes int) *boundedAllocator {
	return &boundedAllocator{Allocator: memory.NewGoAllocator(), left: maxArrowGrowth / 8 * fileBytes}
}

func (a *boundedAllocator) take(size int) {
	if a.left -= size; size < 0 || a.left < 0 {
		panic("it holds more than its size allows")
	}
}

func (a *boundedAllocator) Allocate(size int) []byte {
	a.take(size)
	return a.Allocator.Allocate(size)
}

func (a *boundedAllocator) Reallocate(size int, b []byte) []byte {
	a.take(size - len(b))
	return a.Allocator.Reallocate(size, b)
}
