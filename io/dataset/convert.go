package dataset

import (
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// batchReader is what arrow's typed column readers have in common.
type batchReader[T any] interface {
	ReadBatch(size int64, values []T, definition, repetition []int16) (levels int64, count int, err error)
}

// converted reads T and hands out V.
func converted[T, V any](source batchReader[T], convert func(T) V) chunk[V] {
	var scratch []T
	return func(values []V, definition, repetition []int16) (int64, int, error) {
		if len(scratch) < len(values) {
			scratch = make([]T, len(values))
		}
		levels, count, err := source.ReadBatch(int64(len(values)), scratch, definition, repetition)
		for i, v := range scratch[:count] {
			values[i] = convert(v)
		}
		return levels, count, err
	}
}

// toFloat32 reads any column of numbers or flags. A float64 that float32 cannot
// hold becomes infinite, and its episode is rejected for that.
func toFloat32(_ leaf, source file.ColumnChunkReader) (chunk[float32], error) {
	switch s := source.(type) {
	case *file.Float32ColumnChunkReader:
		return func(values []float32, definition, repetition []int16) (int64, int, error) {
			return s.ReadBatch(int64(len(values)), values, definition, repetition)
		}, nil
	case *file.Float64ColumnChunkReader:
		return converted(s, func(v float64) float32 { return float32(v) }), nil
	case *file.Int32ColumnChunkReader:
		return converted(s, func(v int32) float32 { return float32(v) }), nil
	case *file.Int64ColumnChunkReader:
		return converted(s, func(v int64) float32 { return float32(v) }), nil
	case *file.BooleanColumnChunkReader:
		return converted(s, func(v bool) float32 {
			if v {
				return 1
			}
			return 0
		}), nil
	}
	return nil, fmt.Errorf("%w: holds %v, want numbers", ErrColumns, source.Type())
}

// toBool reads a column of flags, or of numbers that are flags.
func toBool(l leaf, source file.ColumnChunkReader) (chunk[bool], error) {
	if s, ok := source.(*file.BooleanColumnChunkReader); ok {
		return func(values []bool, definition, repetition []int16) (int64, int, error) {
			return s.ReadBatch(int64(len(values)), values, definition, repetition)
		}, nil
	}
	numbers, err := toFloat32(l, source)
	if err != nil {
		return nil, fmt.Errorf("%w: holds %v, want flags", ErrColumns, source.Type())
	}
	var scratch []float32
	return func(values []bool, definition, repetition []int16) (int64, int, error) {
		if len(scratch) < len(values) {
			scratch = make([]float32, len(values))
		}
		levels, count, err := numbers(scratch[:len(values)], definition, repetition)
		for i, v := range scratch[:count] {
			values[i] = v != 0
		}
		return levels, count, err
	}, nil
}

// toInt64 reads ids and steps.
func toInt64(_ leaf, source file.ColumnChunkReader) (chunk[int64], error) {
	switch s := source.(type) {
	case *file.Int64ColumnChunkReader:
		return func(values []int64, definition, repetition []int16) (int64, int, error) {
			return s.ReadBatch(int64(len(values)), values, definition, repetition)
		}, nil
	case *file.Int32ColumnChunkReader:
		return converted(s, func(v int32) int64 { return int64(v) }), nil
	}
	return nil, fmt.Errorf("%w: holds %v, want whole numbers", ErrColumns, source.Type())
}

// toString reads a column of a few different words.
func toString(_ leaf, source file.ColumnChunkReader) (chunk[string], error) {
	s, ok := source.(*file.ByteArrayColumnChunkReader)
	if !ok {
		return nil, fmt.Errorf("%w: holds %v, want strings", ErrColumns, source.Type())
	}
	last := "" // most rows repeat the word of the row before
	return converted(s, func(v parquet.ByteArray) string {
		if string(v) != last {
			last = strings.Clone(string(v))
		}
		return last
	}), nil
}

// notFinite is the index of the first NaN or Inf, or -1.
func notFinite(values []float32) int {
	const exponent = 0x7f800000
	for i, v := range values {
		if math.Float32bits(v)&exponent == exponent {
			return i
		}
	}
	return -1
}
