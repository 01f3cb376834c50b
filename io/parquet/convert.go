package parquet

import (
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
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

// Floats reads any column of numbers or flags. A float64 that float32
// cannot hold becomes infinite, and its episode is rejected for that.
func Floats(g group, l Leaf) (chunk[float32], error) {
	if l.Kind == parquet.Types.Float && plainPages(g, l) {
		return openPages(g, l)
	}
	source, err := g.column(l)
	if err != nil {
		return nil, err
	}
	switch s := source.(type) {
	case *file.Float32ColumnChunkReader:
		return direct(source, s), nil
	case *file.Float64ColumnChunkReader:
		return converted(source, s, func(v float64) float32 { return float32(v) }), nil
	case *file.Int32ColumnChunkReader:
		return converted(source, s, func(v int32) float32 { return float32(v) }), nil
	case *file.Int64ColumnChunkReader:
		return converted(source, s, func(v int64) float32 { return float32(v) }), nil
	case *file.BooleanColumnChunkReader:
		return converted(source, s, func(v bool) float32 {
			if v {
				return 1
			}
			return 0
		}), nil
	}
	return nil, fmt.Errorf("%w: it holds %v, want numbers", ErrColumns, source.Type())
}

// Bools reads a column of flags, or of numbers that are flags.
func Bools(g group, l Leaf) (chunk[bool], error) {
	source, err := g.column(l)
	if err != nil {
		return nil, err
	}
	switch s := source.(type) {
	case *file.BooleanColumnChunkReader:
		return direct(source, s), nil
	case *file.Float32ColumnChunkReader:
		return converted(source, s, func(v float32) bool { return v != 0 }), nil
	case *file.Float64ColumnChunkReader:
		return converted(source, s, func(v float64) bool { return v != 0 }), nil
	case *file.Int32ColumnChunkReader:
		return converted(source, s, func(v int32) bool { return v != 0 }), nil
	case *file.Int64ColumnChunkReader:
		return converted(source, s, func(v int64) bool { return v != 0 }), nil
	}
	return nil, fmt.Errorf("%w: it holds %v, want flags", ErrColumns, source.Type())
}

// Int64s reads ids and steps.
func Int64s(g group, l Leaf) (chunk[int64], error) {
	source, err := g.column(l)
	if err != nil {
		return nil, err
	}
	switch s := source.(type) {
	case *file.Int64ColumnChunkReader:
		return direct(source, s), nil
	case *file.Int32ColumnChunkReader:
		return converted(source, s, func(v int32) int64 { return int64(v) }), nil
	}
	return nil, fmt.Errorf("%w: it holds %v, want whole numbers", ErrColumns, source.Type())
}

// Strings reads a column of a few different words.
func Strings(g group, l Leaf) (chunk[string], error) {
	source, err := g.column(l)
	if err != nil {
		return nil, err
	}
	s, ok := source.(*file.ByteArrayColumnChunkReader)
	if !ok {
		return nil, fmt.Errorf("%w: it holds %v, want strings", ErrColumns, source.Type())
	}
	last := "" // most rows repeat the word of the row before
	return converted(source, s, func(v parquet.ByteArray) string {
		if string(v) != last {
			last = strings.Clone(string(v))
		}
		return last
	}), nil
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
