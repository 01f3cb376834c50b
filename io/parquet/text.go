package parquet

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/google/uuid"
)

// Keys reads ids: whole numbers as they are, and of text a number that only equal
// texts share.
func Keys(g group, l Leaf) (chunk[int64], error) {
	if !l.Text() {
		return Int64s(g, l)
	}
	return texts(g, l, func(text string) int64 {
		hash := sha256.Sum256([]byte(text))
		return int64(binary.LittleEndian.Uint64(hash[:]) >> 1)
	})
}

// Strings reads a column of a few different words.
func Strings(g group, l Leaf) (chunk[string], error) {
	return texts(g, l, func(text string) string { return text })
}

// texts reads text, or the UUIDs that it stands for, and converts it once where rows
// repeat that of the row before.
func texts[V any](g group, l Leaf, convert func(string) V) (chunk[V], error) {
	r := &repeated[V]{convert: convert}
	c, err := r.open(g, l)
	if err != nil {
		return nil, err
	}
	return &textChunk[V]{c, r}, nil
}

// textChunk fails where a text is too long.
type textChunk[V any] struct {
	chunk[V]
	texts *repeated[V]
}

func (c *textChunk[V]) read(values []V, definition, repetition []int16) (levels, count int, err error) {
	levels, count, err = c.chunk.read(values, definition, repetition)
	if err == nil && c.texts.tooLong {
		err = fmt.Errorf("%w: text of more than %d bytes", ErrColumns, maxText)
	}
	return levels, count, err
}

// repeated converts the texts of a column.
type repeated[V any] struct {
	convert func(string) V

	last    string
	value   V
	known   bool
	tooLong bool
}

func (r *repeated[V]) of(text []byte) V {
	switch {
	case len(text) > maxText:
		r.tooLong = true
	case !r.known || string(text) != r.last:
		r.last, r.known = string(text), true
		if utf8.Valid(text) {
			r.value = r.convert(r.last)
		} else { // of bytes, which no other reader takes for text
			r.value = r.convert(hex.EncodeToString(text))
		}
	}
	return r.value
}

func (r *repeated[V]) open(g group, l Leaf) (chunk[V], error) {
	source, err := g.column(l)
	if err != nil {
		return nil, err
	}
	switch s := source.(type) {
	case *file.ByteArrayColumnChunkReader:
		return converted(source, s, func(v parquet.ByteArray) V { return r.of(v) }), nil
	case *file.FixedLenByteArrayColumnChunkReader:
		if _, ok := source.Descriptor().LogicalType().(schema.UUIDLogicalType); ok {
			return converted(source, s, func(v parquet.FixedLenByteArray) V { return r.of([]byte(uuid.UUID(v).String())) }), nil
		}
		if !half(source.Descriptor()) {
			return converted(source, s, func(v parquet.FixedLenByteArray) V { return r.of([]byte(hex.EncodeToString(v))) }), nil
		}
	}
	return nil, other(source, "text")
}
