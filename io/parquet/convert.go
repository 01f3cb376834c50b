package parquet

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// chunk reads one column of one row group.
type chunk[V any] interface {
	// read reads the next levels, as many as there is room for, and the values
	// among them; 0 levels at the end.
	read(values []V, definition, repetition []int16) (levels, count int, err error)
	// seek goes to a page, named by its first row in the row group.
	seek(pageRow int64) error
	close() error
}

// Opener opens a Leaf of a row group as a column of V.
type Opener[V any] func(g group, l Leaf) (chunk[V], error)

// arrowChunk reads by arrow's own column reader.
type arrowChunk[V any] struct {
	source file.ColumnChunkReader
	batch  func(values []V, definition, repetition []int16) (int64, int, error)
}

func (c *arrowChunk[V]) read(values []V, definition, repetition []int16) (levels, count int, err error) {
	n, count, err := c.batch(values, definition, repetition)
	if err == nil && n == 0 {
		err = c.source.Err()
	}
	return int(n), count, err
}

func (c *arrowChunk[V]) seek(pageRow int64) error { return c.source.SeekToRow(pageRow) }
func (c *arrowChunk[V]) close() error             { return c.source.Close() }

// batchReader is what arrow's typed column readers have in common.
type batchReader[T any] interface {
	ReadBatch(size int64, values []T, definition, repetition []int16) (levels int64, count int, err error)
}

// direct reads V as it is stored.
func direct[V any](source file.ColumnChunkReader, reader batchReader[V]) chunk[V] {
	return &arrowChunk[V]{source: source, batch: func(values []V, definition, repetition []int16) (int64, int, error) {
		return reader.ReadBatch(int64(len(values)), values, definition, repetition)
	}}
}

// converted reads T and hands out V.
func converted[T, V any](source file.ColumnChunkReader, reader batchReader[T], convert func(T) V) chunk[V] {
	var scratch []T
	return &arrowChunk[V]{source: source, batch: func(values []V, definition, repetition []int16) (int64, int, error) {
		if len(scratch) < len(values) {
			scratch = make([]T, len(values))
		}
		levels, count, err := reader.ReadBatch(int64(len(values)), scratch, definition, repetition)
		for i, v := range scratch[:count] {
			values[i] = convert(v)
		}
		return levels, count, err
	}}
}

// Floats reads any column of numbers or flags. A number that float32 cannot hold
// becomes infinite, and its episode is rejected for that.
func Floats(g group, l Leaf) (chunk[float32], error) {
	if l.Kind == parquet.Types.Float && plainPages(g, l) {
		return openPages(g, l)
	}
	source, err := g.column(l)
	if err != nil {
		return nil, err
	}
	if c := number(source, func(v float64) float32 { return float32(v) }); c != nil {
		return c, nil
	}
	switch s := source.(type) {
	case *file.Float32ColumnChunkReader:
		return direct(source, s), nil
	case *file.BooleanColumnChunkReader:
		return converted(source, s, func(v bool) float32 {
			if v {
				return 1
			}
			return 0
		}), nil
	}
	return nil, other(source, "numbers")
}

// Bools reads a column of flags, or of numbers that are flags.
func Bools(g group, l Leaf) (chunk[bool], error) {
	source, err := g.column(l)
	if err != nil {
		return nil, err
	}
	if c := number(source, func(v float64) bool { return v != 0 }); c != nil {
		return c, nil
	}
	switch s := source.(type) {
	case *file.Float32ColumnChunkReader:
		return converted(source, s, func(v float32) bool { return v != 0 }), nil
	case *file.BooleanColumnChunkReader:
		return direct(source, s), nil
	}
	return nil, other(source, "flags")
}

// number reads numbers that are not stored as V; nil where the column holds none.
func number[V any](source file.ColumnChunkReader, convert func(float64) V) chunk[V] {
	logical := source.Descriptor().LogicalType()
	switch s := source.(type) {
	case *file.Float64ColumnChunkReader:
		return converted(source, s, convert)
	case *file.Int32ColumnChunkReader:
		switch {
		case scaled(logical):
			return nil
		case unsigned(logical):
			return converted(source, s, func(v int32) V { return convert(float64(uint32(v))) })
		}
		return converted(source, s, func(v int32) V { return convert(float64(v)) })
	case *file.Int64ColumnChunkReader:
		switch {
		case scaled(logical):
			return nil
		case unsigned(logical):
			return converted(source, s, func(v int64) V { return convert(float64(uint64(v))) })
		}
		return converted(source, s, func(v int64) V { return convert(float64(v)) })
	case *file.FixedLenByteArrayColumnChunkReader:
		if !half(source.Descriptor()) {
			return nil
		}
		return converted(source, s, func(v parquet.FixedLenByteArray) V { return convert(float64(FromHalf(float16.FromLEBytes(v)))) })
	}
	return nil
}

// FromHalf is a float16 as float32, which holds each of them. Arrow's own conversion
// takes subnormal ones for another number.
func FromHalf(v float16.Num) float32 {
	const exponent, fraction = 0x7c00, 0x3ff
	if bits := v.Uint16(); bits&exponent == 0 {
		return float32(math.Copysign(float64(bits&fraction)*0x1p-24, float64(v.Float32())))
	}
	return v.Float32()
}

// half is whether a column holds float16.
func half(c *schema.Column) bool {
	_, ok := c.LogicalType().(schema.Float16LogicalType)
	return ok && c.TypeLength() == 2
}

// unsigned is whether whole numbers are never negative.
func unsigned(t schema.LogicalType) bool {
	whole, ok := t.(schema.IntLogicalType)
	return ok && !whole.IsSigned()
}

// scaled is whether whole numbers stand for something else: others that they are a
// multiple of, or times.
func scaled(t schema.LogicalType) bool {
	switch t.(type) {
	case schema.DecimalLogicalType, schema.TimestampLogicalType, schema.TimeLogicalType, schema.DateLogicalType:
		return true
	}
	return false
}

// other says that a column holds something else than what is wanted.
func other(source file.ColumnChunkReader, want string) error {
	held := source.Type().String()
	if t := source.Descriptor().LogicalType(); t != nil && t.IsValid() && !t.IsNone() {
		held += " (" + t.String() + ")"
	}
	return fmt.Errorf("%w: it holds %s, want %s; cast it, or name another with --column", ErrColumns, held, want)
}

// Int64s reads ids and steps.
func Int64s(g group, l Leaf) (chunk[int64], error) {
	source, err := g.column(l)
	if err != nil {
		return nil, err
	}
	logical := source.Descriptor().LogicalType()
	switch s := source.(type) {
	case *file.Int64ColumnChunkReader:
		if !scaled(logical) {
			return direct(source, s), nil
		}
	case *file.Int32ColumnChunkReader:
		if unsigned(logical) {
			return converted(source, s, func(v int32) int64 { return int64(uint32(v)) }), nil
		}
		if !scaled(logical) {
			return converted(source, s, func(v int32) int64 { return int64(v) }), nil
		}
	}
	return nil, other(source, "whole numbers")
}

// NotFinite is the index of the first NaN or Inf, or -1.
func NotFinite(values []float32) int {
	const exponent = 0x7f800000
	for i, v := range values {
		if math.Float32bits(v)&exponent == exponent {
			return i
		}
	}
	return -1
}
