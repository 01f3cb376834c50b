package datasetio

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"sync"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
)

// What is shuffled is bytes to the runner: rows whose schema it knows would be
// decoded and encoded again by Flink's, which takes many times their memory and
// fails on some of those it has sorted. Workers find these functions by their
// names, so that each type has its own.
func init() {
	beam.RegisterCoder(reflect.TypeFor[trajectory.PairBatch](), encodePairBatch, decodePairBatch)
	beam.RegisterCoder(reflect.TypeFor[trajectory.CandidateBlock](), encodeCandidateBlock, decodeCandidateBlock)
	beam.RegisterCoder(reflect.TypeFor[trajectory.Candidate](), encodeCandidate, decodeCandidate)
	beam.RegisterCoder(reflect.TypeFor[trajectory.SampleBatch](), encodeSampleBatch, decodeSampleBatch)
	beam.RegisterCoder(reflect.TypeFor[trajectory.Outcome](), encodeOutcome, decodeOutcome)
	beam.RegisterCoder(reflect.TypeFor[trajectory.Failure](), encodeFailure, decodeFailure)
	beam.RegisterCoder(reflect.TypeFor[trajectory.PartInfo](), encodePartInfo, decodePartInfo)
	beam.RegisterCoder(reflect.TypeFor[dataset.Reject](), encodeReject, decodeReject)
	beam.RegisterCoder(reflect.TypeFor[Split](), encodeSplit, decodeSplit)
	beam.RegisterCoder(reflect.TypeFor[Scanned](), encodeScanned, decodeScanned)
	beam.RegisterCoder(reflect.TypeFor[Surveyed](), encodeSurveyed, decodeSurveyed)
	beam.RegisterCoder(reflect.TypeFor[FileInfo](), encodeFileInfo, decodeFileInfo)
	beam.RegisterCoder(reflect.TypeFor[Taken](), encodeTaken, decodeTaken)
	beam.RegisterCoder(reflect.TypeFor[Arrival](), encodeArrival, decodeArrival)
}

var (
	pairBatchRows      = buildRows[trajectory.PairBatch]()
	candidateBlockRows = buildRows[trajectory.CandidateBlock]()
	candidateRows      = buildRows[trajectory.Candidate]()
	sampleBatchRows    = buildRows[trajectory.SampleBatch]()
	outcomeRows        = buildRows[trajectory.Outcome]()
	failureRows        = buildRows[trajectory.Failure]()
	partInfoRows       = buildRows[trajectory.PartInfo]()
	rejectRows         = buildRows[dataset.Reject]()
	splitRows          = buildRows[Split]()
	scannedRows        = buildRows[Scanned]()
	surveyedRows       = buildRows[Surveyed]()
	fileInfoRows       = buildRows[FileInfo]()
	takenRows          = buildRows[Taken]()
	arrivalRows        = buildRows[Arrival]()
)

func encodePairBatch(v trajectory.PairBatch) ([]byte, error) { return pairBatchRows().encode(v) }
func decodePairBatch(b []byte) (trajectory.PairBatch, error) { return pairBatchRows().decode(b) }

func encodeCandidateBlock(v trajectory.CandidateBlock) ([]byte, error) {
	return candidateBlockRows().encode(v)
}
func decodeCandidateBlock(b []byte) (trajectory.CandidateBlock, error) {
	return candidateBlockRows().decode(b)
}

func encodeCandidate(v trajectory.Candidate) ([]byte, error) { return candidateRows().encode(v) }
func decodeCandidate(b []byte) (trajectory.Candidate, error) { return candidateRows().decode(b) }

func encodeSampleBatch(v trajectory.SampleBatch) ([]byte, error) { return sampleBatchRows().encode(v) }
func decodeSampleBatch(b []byte) (trajectory.SampleBatch, error) { return sampleBatchRows().decode(b) }

func encodeOutcome(v trajectory.Outcome) ([]byte, error) { return outcomeRows().encode(v) }
func decodeOutcome(b []byte) (trajectory.Outcome, error) { return outcomeRows().decode(b) }

func encodeFailure(v trajectory.Failure) ([]byte, error) { return failureRows().encode(v) }
func decodeFailure(b []byte) (trajectory.Failure, error) { return failureRows().decode(b) }

func encodePartInfo(v trajectory.PartInfo) ([]byte, error) { return partInfoRows().encode(v) }
func decodePartInfo(b []byte) (trajectory.PartInfo, error) { return partInfoRows().decode(b) }

func encodeReject(v dataset.Reject) ([]byte, error) { return rejectRows().encode(v) }
func decodeReject(b []byte) (dataset.Reject, error) { return rejectRows().decode(b) }

func encodeSplit(v Split) ([]byte, error) { return splitRows().encode(v) }
func decodeSplit(b []byte) (Split, error) { return splitRows().decode(b) }

func encodeScanned(v Scanned) ([]byte, error) { return scannedRows().encode(v) }
func decodeScanned(b []byte) (Scanned, error) { return scannedRows().decode(b) }

func encodeSurveyed(v Surveyed) ([]byte, error) { return surveyedRows().encode(v) }
func decodeSurveyed(b []byte) (Surveyed, error) { return surveyedRows().decode(b) }

func encodeArrival(v Arrival) ([]byte, error) { return arrivalRows().encode(v) }
func decodeArrival(b []byte) (Arrival, error) { return arrivalRows().decode(b) }

func encodeTaken(v Taken) ([]byte, error) { return takenRows().encode(v) }
func decodeTaken(b []byte) (Taken, error) { return takenRows().decode(b) }

func encodeFileInfo(v FileInfo) ([]byte, error) { return fileInfoRows().encode(v) }
func decodeFileInfo(b []byte) (FileInfo, error) { return fileInfoRows().decode(b) }

// rowCoder codes a T as a row of Beam's.
type rowCoder[T any] struct {
	write func(any, io.Writer) error
	read  func(io.Reader) (any, error)
	err   error // of building it
}

// buildRows looks at the type once, when it is first asked for.
func buildRows[T any]() func() rowCoder[T] {
	return sync.OnceValue(func() (c rowCoder[T]) {
		if c.write, c.err = coder.RowEncoderForStruct(reflect.TypeFor[T]()); c.err == nil {
			c.read, c.err = coder.RowDecoderForStruct(reflect.TypeFor[T]())
		}
		return c
	})
}

func (c rowCoder[T]) encode(v T) ([]byte, error) {
	if c.err != nil {
		return nil, fmt.Errorf("datasetio: encoding %T: %w", v, c.err)
	}
	var row bytes.Buffer
	if err := c.write(v, &row); err != nil {
		return nil, fmt.Errorf("datasetio: encoding %T: %w", v, err)
	}
	return row.Bytes(), nil
}

func (c rowCoder[T]) decode(row []byte) (v T, err error) {
	if c.err != nil {
		return v, fmt.Errorf("datasetio: decoding %T: %w", v, c.err)
	}
	decoded, err := c.read(bytes.NewReader(row))
	if err != nil {
		return v, fmt.Errorf("datasetio: decoding %T: %w", v, err)
	}
	return decoded.(T), nil
}
