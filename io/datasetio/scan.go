// Package datasetio is the Beam side of Parquet datasets: it scans episodes for
// what ranking needs, fetches the states that each batch of stitches needs by
// their location, and writes D*. Only ids and locations are shuffled; arrays
// are read and written in the stage that uses them.
package datasetio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&scanFn{})
	beam.RegisterDoFn(&hashFn{})
	register.Emitter1[trajectory.Meta]()
	register.Emitter1[dataset.Reject]()
}

// ReasonUnreadable is why a whole file is rejected.
const ReasonUnreadable dataset.Reason = "unreadable file"

var (
	episodesRead = beam.NewCounter("datasetio", "episodes_read")
	rejected     = beam.NewCounter("datasetio", "inputs_rejected")
)

// Scan reads every episode of the input once and keeps what ranking needs. It
// gives a PCollection<trajectory.Meta>, and a PCollection<dataset.Reject> of the
// files and episodes that cannot be used.
func Scan(s beam.Scope, in Input, shape Shape, scoring trajectory.Scoring) (metas, rejects beam.PCollection) {
	s = s.Scope("datasetio.Scan")
	return beam.ParDo2(s, &scanFn{Input: in, Shape: shape, Scoring: scoring}, fileIndices(s, in))
}

func fileIndices(s beam.Scope, in Input) beam.PCollection {
	indices := make([]int32, len(in.Files))
	for i := range indices {
		indices[i] = int32(i)
	}
	return beam.Reshuffle(s, beam.CreateList(s, indices))
}

type scanFn struct {
	Input   Input              `json:"input"`
	Shape   Shape              `json:"shape"`
	Scoring trajectory.Scoring `json:"scoring"`
}

func (fn *scanFn) ProcessElement(ctx context.Context, file int32, emit func(trajectory.Meta), reject func(dataset.Reject)) error {
	return ScanFile(ctx, fn.Input, file, fn.Shape,
		func(e *trajectory.Episode, m trajectory.Meta) {
			episodesRead.Inc(ctx, 1)
			m.Score = fn.Scoring.Of(e)
			emit(m)
		},
		func(r dataset.Reject) {
			rejected.Inc(ctx, 1)
			reject(r)
		})
}

// ScanFile hands out the usable episodes of one file in order, and rejects the
// others, or the whole file where it is broken or of another shape.
func ScanFile(ctx context.Context, in Input, file int32, shape Shape, use func(*trajectory.Episode, trajectory.Meta), reject func(dataset.Reject)) error {
	whole := func(err error) error {
		if ctx.Err() == nil {
			reject(dataset.Reject{File: in.Files[file], Reason: ReasonUnreadable, Detail: err.Error()})
		}
		return ctx.Err()
	}
	f, err := dataset.Open(in.Files[file], in.Options)
	if err != nil {
		return whole(err)
	}
	defer f.Close() // nothing was written
	if got := (Shape{f.Schema().ObservationDim, f.Schema().ActionDim}); got != shape {
		return whole(fmt.Errorf("observations of %d values and actions of %d, where the rest of the data has %d and %d",
			got.ObservationDim, got.ActionDim, shape.ObservationDim, shape.ActionDim))
	}
	for item, err := range f.Episodes(ctx) {
		if err != nil {
			return whole(err)
		}
		if item.Reject != nil {
			reject(*item.Reject)
			continue
		}
		use(item.Episode, meta(item, file))
	}
	return nil
}

func meta(item dataset.Item, file int32) trajectory.Meta {
	e := item.Episode
	_, hasFinal := e.NextObservation(e.Len() - 1)
	place := item.Location
	place.File = file
	return trajectory.Meta{
		ID:       e.ID,
		Location: place,
		Steps:    int32(e.Len()),
		Return:   e.Return(),
		End:      e.End,
		HasFinal: hasFinal,
	}
}

// FileInfo identifies an input file.
type FileInfo struct {
	Index  int32
	Path   string
	Bytes  int64
	SHA256 string
}

// Hashes gives a PCollection<FileInfo> of the input's files.
func Hashes(s beam.Scope, in Input) beam.PCollection {
	s = s.Scope("datasetio.Hashes")
	return beam.ParDo(s, &hashFn{Input: in}, fileIndices(s, in))
}

// hashChunk is how much of a file is read at once, in bytes.
const hashChunk = 1 << 20

type hashFn struct {
	Input Input `json:"input"`
}

func (fn *hashFn) ProcessElement(file int32) (FileInfo, error) {
	info := FileInfo{Index: file, Path: fn.Input.Files[file]}
	f, err := storage.Open(info.Path)
	if err != nil {
		return info, fmt.Errorf("datasetio: %w", err)
	}
	defer f.Close() // nothing was written
	hash := sha256.New()
	if info.Bytes, err = io.CopyBuffer(hash, f.Reader(), make([]byte, hashChunk)); err != nil {
		return info, fmt.Errorf("datasetio: reading %q: %w", info.Path, err)
	}
	info.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return info, nil
}
