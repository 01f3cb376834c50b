package lerobot

import (
	"fmt"

	"diffstitch/io/parquet"
	"diffstitch/io/storage"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// rolling writes records to a Parquet file a row group, and begins
// another file where one has grown to a size. Its files are numbered in chunks,
// as LeRobot does.
type rolling struct {
	path    func(chunk, file int) string
	schema  *arrow.Schema
	builder *array.RecordBuilder
	rows    int // of a row group
	bytes   int64
	chunk   int
	file    int

	out     *storage.Created
	records *parquet.RecordWriter
}

func newRolling(schema *arrow.Schema, rows int, bytes int64, path func(chunk, file int) string) *rolling {
	return &rolling{path: path, schema: schema, builder: array.NewRecordBuilder(memory.DefaultAllocator, schema), rows: rows, bytes: bytes}
}

// added is called after rows were added to the builder.
func (r *rolling) added() error {
	if r.builder.Field(0).Len() < r.rows {
		return nil
	}
	return r.flush()
}

func (r *rolling) flush() (err error) {
	if r.out == nil {
		if r.out, err = storage.Create(r.path(r.chunk, r.file)); err != nil {
			return err
		}
		if r.records, err = parquet.NewRecordWriter(r.out, r.schema, "source"); err != nil {
			return fmt.Errorf("dataset: %w", err)
		}
	}
	if err := r.records.Write(r.builder.NewRecordBatch()); err != nil {
		return fmt.Errorf("dataset: writing %q: %w", r.path(r.chunk, r.file), err)
	}
	if r.out.Bytes() < r.bytes {
		return nil
	}
	return r.next()
}

// next ends the file.
func (r *rolling) next() error {
	if err := r.records.Close(); err != nil {
		return fmt.Errorf("dataset: ending %q: %w", r.path(r.chunk, r.file), err)
	}
	err := r.out.Close()
	r.out = nil
	if r.file++; r.file == chunkFiles {
		r.chunk, r.file = r.chunk+1, 0
	}
	return err
}

func (r *rolling) close() error {
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
