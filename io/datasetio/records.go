package datasetio

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"diffstitch/io/attempt"
	"diffstitch/io/dataset"
	"diffstitch/io/parquet"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
)

// The DoFns of this package are registered by reflection: the shims of package
// register cost the compiler seconds each, and these run once a file or batch.
func init() {
	registerRecords[Scanned]()
	registerRecords[trajectory.Outcome]()
	registerRecords[trajectory.PartInfo]()
	registerRecords[dataset.Reject]()
	registerRecords[FileInfo]()
	registerRecords[trajectory.Candidate]()
	registerShares[trajectory.PairBatch]()
	registerShares[trajectory.CandidateBlock]()
	registerShares[trajectory.SampleBatch]()
	beam.RegisterDoFn(&numbersFn{})
}

func registerRecords[T any]() { beam.RegisterDoFn(&writeRecordsFn[T]{}) }
func registerShares[T any]()  { beam.RegisterDoFn(&readShareFn[T]{}) }

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

// ProcessElement holds the records encoded, since they come once and may have to be
// written more than once.
func (fn *writeRecordsFn[T]) ProcessElement(ctx context.Context, _ int, next func(*T) bool) (path string, err error) {
	encoded, err := parquet.EncodeStructs(next)
	if err != nil {
		return "", fmt.Errorf("datasetio: encoding records for %q: %w", fn.Path, err)
	}
	return fn.Path, save(ctx, fn.Path, func(w io.Writer) error {
		for chunk := range slices.Chunk(encoded, writeChunk) {
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeChunk is how much of the encoded records is written at once, in bytes.
const writeChunk = 1 << 20

// SaveRecords writes records to a Parquet file, whole or not at all.
func SaveRecords[T any](ctx context.Context, path string, records []T) error {
	return save(ctx, path, func(w io.Writer) error { return parquet.WriteStructs(w, records) })
}

func save(ctx context.Context, path string, write func(io.Writer) error) error {
	_, err := attempt.Do(ctx, "records", storage.Base(path), func() (struct{}, error) {
		return struct{}{}, storage.WriteWhole(path, write)
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
	records, err := parquet.ReadStructs[T](f, f.Size())
	if err != nil {
		return nil, fmt.Errorf("datasetio: reading %q: %w", path, err)
	}
	return records, nil
}

// SaveShares leaves the records of each share for ReadShares, and says how many
// shares there are.
func SaveShares[T any](ctx context.Context, prefix string, shares iter.Seq[[]T]) (saved int64, err error) {
	for records := range shares {
		if err := SaveRecords(ctx, sharePath(prefix, saved), records); err != nil {
			return saved, err
		}
		saved++
	}
	return saved, nil
}

// LoadShare reads the records of a share.
func LoadShare[T any](prefix string, share int64) ([]T, error) {
	return LoadRecords[T](sharePath(prefix, share))
}

func sharePath(prefix string, share int64) string {
	return fmt.Sprintf("%s-%06d.parquet", prefix, share)
}

// ReadShares gives a PCollection<T> of the records in so many shares, in files whose
// path begins with prefix; those of a share in order. What the driver knows of all
// the data comes to the workers in this way, since none of them need hold it all.
func ReadShares[T any](s beam.Scope, prefix string, shares int64) beam.PCollection {
	s = s.Scope("datasetio.ReadShares")
	return beam.ParDo(s, &readShareFn[T]{Prefix: prefix}, numbers(s, shares))
}

type readShareFn[T any] struct {
	Prefix string `json:"prefix"`
}

func (fn *readShareFn[T]) ProcessElement(share int64, emit func(T)) error {
	records, err := LoadRecords[T](sharePath(fn.Prefix, share))
	for _, r := range records {
		emit(r)
	}
	return err
}

// numbers is a PCollection<int64> from 0 to count, reshuffled.
func numbers(s beam.Scope, count int64) beam.PCollection {
	return beam.Reshuffle(s, beam.ParDo(s, &numbersFn{Count: count}, beam.Impulse(s)))
}

type numbersFn struct {
	Count int64 `json:"count"`
}

func (fn *numbersFn) ProcessElement(_ []byte, emit func(int64)) {
	for i := range fn.Count {
		emit(i)
	}
}
