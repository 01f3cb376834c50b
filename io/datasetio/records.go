package datasetio

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/parquet-go/parquet-go"

	"diffstitch/io/attempt"
	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
)

// The DoFns of this package are registered by reflection: the shims of package
// register cost the compiler seconds each, and these run once a file or batch.
func init() {
	registerRecords[trajectory.Meta]()
	registerRecords[trajectory.Outcome]()
	registerRecords[trajectory.PartInfo]()
	registerRecords[dataset.Reject]()
	registerRecords[FileInfo]()
	registerRecords[trajectory.Candidate]()
}

func registerRecords[T any]() {
	beam.RegisterDoFn(&writeRecordsFn[T]{})
	beam.RegisterDoFn(&readRecordsFn[T]{})
}

// WriteRecords writes a PCollection<T> of small records to one Parquet file, in
// no particular order, and gives a PCollection<string> of its path once it is
// there. An empty PCollection leaves no file.
func WriteRecords[T any](s beam.Scope, path string, records beam.PCollection) (written beam.PCollection) {
	s = s.Scope("datasetio.WriteRecords")
	return beam.ParDo(s, &writeRecordsFn[T]{Path: path}, beam.GroupByKey(s, beam.AddFixedKey(s, records)))
}

type writeRecordsFn[T any] struct {
	Path string `json:"path"`
}

func (fn *writeRecordsFn[T]) ProcessElement(ctx context.Context, _ int, next func(*T) bool) (path string, err error) {
	var records []T
	var r T
	for next(&r) {
		records = append(records, r)
	}
	return fn.Path, SaveRecords(ctx, fn.Path, records)
}

// SaveRecords writes records to a Parquet file, whole or not at all.
func SaveRecords[T any](ctx context.Context, path string, records []T) error {
	_, err := attempt.Do(ctx, "records", filepath.Base(path), func() (struct{}, error) {
		return struct{}{}, storage.WriteWhole(path, func(w io.Writer) error { return parquet.Write(w, records) })
	})
	return err
}

// LoadRecords reads what WriteRecords wrote.
func LoadRecords[T any](path string) ([]T, error) {
	f, err := storage.Open(path)
	if err != nil {
		return nil, fmt.Errorf("datasetio: %w", err)
	}
	defer f.Close() // nothing was written
	records, err := parquet.Read[T](f, f.Size())
	if err != nil {
		return nil, fmt.Errorf("datasetio: reading %q: %w", path, err)
	}
	return records, nil
}

// ReadRecords gives the records of a file as a PCollection<T>.
func ReadRecords[T any](s beam.Scope, path string) beam.PCollection {
	s = s.Scope("datasetio.ReadRecords")
	return beam.ParDo(s, &readRecordsFn[T]{Path: path}, beam.Impulse(s))
}

type readRecordsFn[T any] struct {
	Path string `json:"path"`
}

func (fn *readRecordsFn[T]) ProcessElement(_ []byte, emit func(T)) error {
	records, err := LoadRecords[T](fn.Path)
	if err != nil {
		return err
	}
	for _, r := range records {
		emit(r)
	}
	return nil
}
