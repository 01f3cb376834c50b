package parquet

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

const (
	// PageBytes keeps pages small, so that fetching a few rows decodes little else.
	PageBytes = 64 << 10
	createdBy = "diffstitch"
)

// Field is a column that a Writer writes: single values, or vectors of one width.
type Field struct {
	Name string
	Kind Kind // ByteArray is text
	// List is the width of vectors; 0 where a row has a single value.
	List     int
	Nullable bool // single values alone
	// Stats and Dictionary are kept where a query may use them and where values
	// repeat.
	Stats, Dictionary bool
}

// Text is a value of a column of text.
type Text = parquet.ByteArray

// Writer writes row groups of typed columns. The same values give the same bytes.
type Writer struct {
	file   *file.Writer
	sums   *checksums
	fields []Field
	levels map[int]*levelPattern // of lists, by their width
}

// NewWriter begins a file of such columns, with the schema by which pyarrow gives lists
// as fixed-size lists, and with a page index, by which a reader enters it. The caller
// closes w after the Writer.
func NewWriter(w io.Writer, fields []Field) (*Writer, error) {
	encoded, err := arrowSchema(fields)
	if err != nil {
		return nil, fmt.Errorf("encoding the schema: %w", err)
	}
	meta := metadata.NewKeyValueMetadata()
	if err := meta.Append("ARROW:schema", encoded); err != nil {
		return nil, fmt.Errorf("encoding the schema: %w", err)
	}
	sums := newChecksums(w)
	out, err := file.NewParquetWriterWithError(sums.plain(), schemaOf(fields), file.WithWriterProps(writerProperties(fields)), file.WithWriteMetadata(meta))
	if err != nil {
		return nil, fmt.Errorf("beginning a file: %w", err)
	}
	return &Writer{file: out, sums: sums, fields: fields, levels: map[int]*levelPattern{}}, nil
}

// Cells are the values of a row group in one column.
type Cells struct {
	write func(w *Writer, group file.SerialRowGroupWriter, list int) error
}

// Values are one on every row.
func Values[T any](values []T) Cells { return Optional(values, nil) }

// Optional are values on the rows whose definition level is 1, and null on those where
// it is 0.
func Optional[T any](values []T, defined []int16) Cells {
	return Cells{func(_ *Writer, group file.SerialRowGroupWriter, _ int) error {
		return writeColumn(group, values, defined, nil)
	}}
}

// Lists are the vectors of rows, one after the other. Their levels follow one pattern,
// so the values go down as a flat column's do.
func Lists(values []float32) Cells {
	return Cells{func(w *Writer, group file.SerialRowGroupWriter, list int) error {
		pattern := w.levels[list]
		if pattern == nil {
			pattern = &levelPattern{}
			w.levels[list] = pattern
		}
		pattern.extend(len(values), list, 1, 1)
		return writeColumn(group, values, pattern.definition[:len(values)], pattern.repetition[:len(values)])
	}}
}

// WriteGroup writes a row group of the columns, in the order of the fields.
func (w *Writer) WriteGroup(columns ...Cells) error {
	group, err := w.file.AppendRowGroupChecked()
	if err != nil {
		return fmt.Errorf("beginning a row group: %w", err)
	}
	write := func() error {
		for i, c := range columns {
			if err := c.write(w, group, w.fields[i].List); err != nil {
				return fmt.Errorf("column %q: %w", w.fields[i].Name, err)
			}
		}
		return nil
	}
	if err := errors.Join(write(), group.Close()); err != nil {
		return fmt.Errorf("writing a row group: %w", err)
	}
	return nil
}

// Close writes the footer. It does not close the underlying writer.
func (w *Writer) Close() error {
	err := w.file.Close()
	if err == nil {
		err = w.sums.Close()
	}
	if err != nil {
		return fmt.Errorf("ending the file: %w", err)
	}
	return nil
}

// batchWriter is what arrow's typed column writers have in common.
type batchWriter[T any] interface {
	file.ColumnChunkWriter
	WriteBatch(values []T, definition, repetition []int16) (int64, error)
}

func writeColumn[T any](group file.SerialRowGroupWriter, values []T, definition, repetition []int16) error {
	column, err := group.NextColumn()
	if err != nil {
		return err
	}
	writer, ok := column.(batchWriter[T])
	if !ok {
		return errors.Join(fmt.Errorf("a column of %v is given %T", column.Type(), values), column.Close())
	}
	_, err = writer.WriteBatch(values, definition, repetition)
	return errors.Join(err, column.Close())
}

// schemaOf are the columns as Parquet has them. What is never null is required, which
// leaves a list with one level to store.
func schemaOf(fields []Field) *schema.GroupNode {
	var nodes schema.FieldList
	for _, f := range fields {
		nodes = append(nodes, f.node())
	}
	return schema.MustGroup(schema.NewGroupNode("schema", parquet.Repetitions.Required, nodes, -1))
}

func (f Field) node() schema.Node {
	repetition := parquet.Repetitions.Required
	if f.Nullable {
		repetition = parquet.Repetitions.Optional
	}
	switch {
	case f.List > 0:
		element := schema.MustPrimitive(schema.NewPrimitiveNode("element", parquet.Repetitions.Required, f.Kind, -1, -1))
		return schema.MustGroup(schema.ListOfWithName(f.Name, element, parquet.Repetitions.Required, -1))
	case f.Kind == ByteArray:
		return schema.MustPrimitive(schema.NewPrimitiveNodeLogical(f.Name, repetition, schema.StringLogicalType{}, f.Kind, -1, -1))
	default:
		return schema.MustPrimitive(schema.NewPrimitiveNode(f.Name, repetition, f.Kind, -1, -1))
	}
}

// arrowTypes are the kinds as Arrow has them.
var arrowTypes = map[Kind]arrow.DataType{
	Boolean: arrow.FixedWidthTypes.Boolean, Int32: arrow.PrimitiveTypes.Int32, Int64: arrow.PrimitiveTypes.Int64,
	Float: arrow.PrimitiveTypes.Float32, Double: arrow.PrimitiveTypes.Float64, ByteArray: arrow.BinaryTypes.String,
}

// arrowSchema is the ARROW:schema metadata. Text is text there whether or not its pages
// have a dictionary: Arrow's own type of dictionaries is none that table formats have.
func arrowSchema(fields []Field) (string, error) {
	columns := make([]arrow.Field, len(fields))
	for i, f := range fields {
		t := arrowTypes[f.Kind]
		if f.List > 0 {
			t = arrow.FixedSizeListOfField(int32(f.List), arrow.Field{Name: "element", Type: t})
		}
		columns[i] = arrow.Field{Name: f.Name, Type: t, Nullable: f.Nullable}
	}
	var buffer bytes.Buffer
	if err := ipc.NewWriter(&buffer, ipc.WithSchema(arrow.NewSchema(columns, nil))).Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(buffer.Bytes()), nil
}

// writerProperties: Snappy, since the pure-Go zstd costs reading and writing a third of
// their speed for files that are a tenth smaller at best; dictionaries only where values
// repeat, statistics only where a query may use them, and a page index.
func writerProperties(fields []Field) *parquet.WriterProperties {
	options := []parquet.WriterProperty{
		parquet.WithCreatedBy(createdBy),
		parquet.WithCompression(compress.Codecs.Snappy),
		parquet.WithDataPageSize(PageBytes),
		parquet.WithDictionaryDefault(false),
		parquet.WithStats(false),
		parquet.WithPageIndexEnabled(true),
	}
	for _, f := range fields {
		if f.Stats {
			options = append(options, parquet.WithStatsFor(f.Name, true))
		}
		if f.Dictionary {
			options = append(options, parquet.WithDictionaryFor(f.Name, true))
		}
	}
	return parquet.NewWriterProperties(options...)
}
