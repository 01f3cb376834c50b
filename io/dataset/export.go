package dataset

import (
	"encoding/json"
	"fmt"
	"io"

	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// Exports are the layouts that [NewExport] writes.
var Exports = []string{LeRobotV21, LeRobotV30, MinariArrow, MinariParquet}

// ExportConfig is what a folder of another tool's layout is written with.
type ExportConfig struct {
	Layout         string // one of Exports
	ObservationDim int    // S
	ActionDim      int    // A
	// Provenance is whether it is written where an episode comes from.
	Provenance bool
	// Name is the dataset's own, which Minari asks for.
	Name string
	// Task and FPS, the steps a second, are what LeRobot asks for.
	Task string
	FPS  int
}

// Export writes episodes as a folder of another tool's layout. The folder is of
// use once Close has written what is known at the end.
type Export interface {
	Write(e *trajectory.Episode) error
	Close() error
}

// NewExport begins to fill a folder.
func NewExport(dir string, c ExportConfig) (Export, error) {
	if err := (WriterConfig{ObservationDim: c.ObservationDim, ActionDim: c.ActionDim}).validate(); err != nil {
		return nil, err
	}
	switch c.Layout {
	case LeRobotV21, LeRobotV30:
		return newLeRobot(dir, c)
	case MinariArrow, MinariParquet:
		return newMinari(dir, c), nil
	default:
		return nil, fmt.Errorf("dataset: layout %q cannot be written; %v can", c.Layout, Exports)
	}
}

// check refuses an episode that does not fit.
func (c ExportConfig) check(e *trajectory.Episode) error {
	if e.ObservationDim != c.ObservationDim || e.ActionDim != c.ActionDim {
		return fmt.Errorf("dataset: exporting episode %d: it has %d observation and %d action values, those before %d and %d",
			e.ID, e.ObservationDim, e.ActionDim, c.ObservationDim, c.ActionDim)
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("dataset: exporting: %w", err)
	}
	return nil
}

// exportColumn is a column of some rows: numbers, flags or words.
type exportColumn struct {
	name   string
	width  int // of a row; 1 for a column of single values
	list   bool
	values any // []float32, []float64, []int64, []bool or []string, [rows, width]
}

// vector is a column of vectors, of which those of one value are lists too.
func vector(name string, width int, values []float32) exportColumn {
	return exportColumn{name: name, width: width, list: true, values: values}
}

func single[V any](name string, values []V) exportColumn {
	return exportColumn{name: name, width: 1, values: values}
}

func (c exportColumn) kind() arrow.DataType {
	var kind arrow.DataType
	switch c.values.(type) {
	case []float32:
		kind = arrow.PrimitiveTypes.Float32
	case []float64:
		kind = arrow.PrimitiveTypes.Float64
	case []int64:
		kind = arrow.PrimitiveTypes.Int64
	case []bool:
		kind = arrow.FixedWidthTypes.Boolean
	case []string:
		kind = arrow.BinaryTypes.String
	}
	if c.list {
		return arrow.FixedSizeListOf(int32(c.width), kind)
	}
	return kind
}

func (c exportColumn) field() arrow.Field {
	return arrow.Field{Name: c.name, Type: c.kind(), Nullable: true}
}

// appendTo adds the column's rows to a builder of its kind.
func (c exportColumn) appendTo(builder array.Builder) {
	if lists, ok := builder.(*array.FixedSizeListBuilder); ok {
		values := c.values.([]float32)
		for range len(values) / c.width {
			lists.Append(true)
		}
		builder = lists.ValueBuilder()
	}
	switch values := c.values.(type) {
	case []float32:
		builder.(*array.Float32Builder).AppendValues(values, nil)
	case []float64:
		builder.(*array.Float64Builder).AppendValues(values, nil)
	case []int64:
		builder.(*array.Int64Builder).AppendValues(values, nil)
	case []bool:
		builder.(*array.BooleanBuilder).AppendValues(values, nil)
	case []string:
		builder.(*array.StringBuilder).AppendValues(values, nil)
	}
}

// every is a value for each of so many rows.
func every[V any](rows int, value V) []V {
	values := make([]V, rows)
	for i := range values {
		values[i] = value
	}
	return values
}

// lastOnly is a flag on the last of so many rows.
func lastOnly(rows int, flag bool) []bool {
	flags := make([]bool, rows)
	if rows > 0 {
		flags[rows-1] = flag
	}
	return flags
}

// bridge spells out which of an episode's rows were generated, and the error of
// those that have one; other stands for the error of the rest.
func bridge(e *trajectory.Episode, rows int, other float32) (generated []bool, errors []float32) {
	generated, errors = make([]bool, rows), every(rows, other)
	if p := e.Provenance; p != nil {
		copy(errors[p.BridgeStart:], p.Errors)
		from, to := p.Generated(e.Len())
		copy(generated[from:to], every(to-from, true))
	}
	return generated, errors
}

// rollingParquet writes records to a Parquet file a row group, and begins
// another file where one has grown to a size. Its files are numbered in chunks,
// as LeRobot does.
type rollingParquet struct {
	path    func(chunk, file int) string
	schema  *arrow.Schema
	builder *array.RecordBuilder
	rows    int // of a row group
	bytes   int64
	chunk   int
	file    int

	out     *storage.Created
	parquet *pqarrow.FileWriter
}

func newRolling(schema *arrow.Schema, rows int, bytes int64, path func(chunk, file int) string) *rollingParquet {
	return &rollingParquet{path: path, schema: schema, builder: array.NewRecordBuilder(memory.DefaultAllocator, schema), rows: rows, bytes: bytes}
}

// added is called after rows were added to the builder.
func (r *rollingParquet) added() error {
	if r.builder.Field(0).Len() < r.rows {
		return nil
	}
	return r.flush()
}

func (r *rollingParquet) flush() (err error) {
	if r.out == nil {
		if r.out, err = storage.Create(r.path(r.chunk, r.file)); err != nil {
			return err
		}
		if r.parquet, err = newParquet(r.out, r.schema); err != nil {
			return err
		}
	}
	if err := r.parquet.Write(r.builder.NewRecordBatch()); err != nil {
		return fmt.Errorf("dataset: writing %q: %w", r.path(r.chunk, r.file), err)
	}
	if r.out.Bytes() < r.bytes {
		return nil
	}
	return r.next()
}

// next ends the file.
func (r *rollingParquet) next() error {
	if err := r.parquet.Close(); err != nil {
		return fmt.Errorf("dataset: ending %q: %w", r.path(r.chunk, r.file), err)
	}
	err := r.out.Close()
	r.out = nil
	if r.file++; r.file == leRobotChunk {
		r.chunk, r.file = r.chunk+1, 0
	}
	return err
}

func (r *rollingParquet) close() error {
	if r.builder.Field(0).Len() > 0 || (r.out == nil && r.file == 0 && r.chunk == 0) {
		if err := r.flush(); err != nil {
			return err
		}
	}
	if r.out == nil {
		return nil
	}
	return r.next()
}

// newParquet begins a file as the tools whose layouts these are read it: with
// the schema of Arrow, and with the index by which parts of it are fetched.
func newParquet(w io.Writer, schema *arrow.Schema) (*pqarrow.FileWriter, error) {
	properties := parquet.NewWriterProperties(
		parquet.WithCreatedBy(createdBy),
		parquet.WithCompression(compress.Codecs.Snappy),
		parquet.WithDataPageSize(pageBytes),
		parquet.WithDictionaryDefault(false),
		parquet.WithDictionaryFor("source", true),
		parquet.WithPageIndexEnabled(true),
		parquet.WithMaxRowGroupLength(1<<40),
	)
	out, err := pqarrow.NewFileWriter(schema, plainWriter{w}, properties, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, fmt.Errorf("dataset: beginning a file: %w", err)
	}
	return out, nil
}

// writeJSON makes a file of a value.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return fmt.Errorf("dataset: writing %q: %w", path, err)
	}
	return storage.CreateWhole(path, func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}
