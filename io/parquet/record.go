package parquet

import (
	"bytes"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	parquetgo "github.com/parquet-go/parquet-go"
)

// RecordWriter writes Arrow's record batches, a row group each.
type RecordWriter struct {
	file *pqarrow.FileWriter
	sums *checksums
}

// NewRecordWriter begins a file as other tools read it: with the schema of Arrow, and
// with the index by which parts of it are fetched. Text in a column called dictionary
// is stored as one.
func NewRecordWriter(w io.Writer, schema *arrow.Schema, dictionary string) (*RecordWriter, error) {
	properties := parquet.NewWriterProperties(
		parquet.WithCreatedBy(createdBy),
		parquet.WithCompression(compress.Codecs.Snappy),
		parquet.WithDataPageSize(PageBytes),
		parquet.WithDictionaryDefault(false),
		parquet.WithDictionaryFor(dictionary, true),
		parquet.WithPageIndexEnabled(true),
		parquet.WithMaxRowGroupLength(1<<40),
	)
	sums := newChecksums(w)
	out, err := pqarrow.NewFileWriter(schema, sums.plain(), properties, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, fmt.Errorf("beginning a file: %w", err)
	}
	return &RecordWriter{out, sums}, nil
}

// Write writes a row group.
func (w *RecordWriter) Write(batch arrow.RecordBatch) error { return w.file.Write(batch) }

// Close writes the footer. It does not close the underlying writer.
func (w *RecordWriter) Close() error {
	if err := w.file.Close(); err != nil {
		return err
	}
	return w.sums.Close()
}

// groupStructs is how many structs are encoded at a time.
const groupStructs = 8192

// EncodeStructs makes a file of Go structs, a row each, as long as next fills one in.
func EncodeStructs[T any](next func(*T) bool) ([]byte, error) {
	var encoded bytes.Buffer
	out := parquetgo.NewGenericWriter[T](&encoded, parquetgo.MaxRowsPerRowGroup(groupStructs))
	record := make([]T, 1)
	for next(&record[0]) {
		if _, err := out.Write(record); err != nil {
			return nil, err
		}
	}
	err := out.Close()
	return encoded.Bytes(), err
}

// WriteStructs writes Go structs, a row each.
func WriteStructs[T any](w io.Writer, records []T) error { return parquetgo.Write(w, records) }

// ReadStructs reads what was written as structs by this program: it trusts the file.
func ReadStructs[T any](r io.ReaderAt, size int64) ([]T, error) { return parquetgo.Read[T](r, size) }
