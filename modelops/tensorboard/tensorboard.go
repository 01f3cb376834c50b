// Package tensorboard writes event files of scalars, which TensorBoard draws as curves.
// It writes no other kinds of summaries, and reads none.
//
// An event file is a TFRecord file of Event messages. Of these it writes the few
// fields that a scalar needs, by protobuf's own wire package: the schemas' Go package
// comes with all of TensorFlow's.
package tensorboard

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// FileName is the name of a run's event file, which TensorBoard knows by "tfevents".
// The run is named by its folder.
const FileName = "events.out.tfevents.1.diffstitch"

// Scalar is a point of a curve.
type Scalar struct {
	Tag   string
	Value float64
}

// Begin writes the head of an event file.
func Begin(w io.Writer) error {
	event := appendTime(nil)
	event = protowire.AppendTag(event, fieldFileVersion, protowire.BytesType)
	return writeRecord(w, protowire.AppendString(event, "brain.Event:2"))
}

// Write adds scalars of a step.
func Write(w io.Writer, step int, scalars ...Scalar) error {
	var summary []byte
	for _, scalar := range scalars {
		value := protowire.AppendTag(nil, fieldTag, protowire.BytesType)
		value = protowire.AppendString(value, scalar.Tag)
		value = protowire.AppendTag(value, fieldSimpleValue, protowire.Fixed32Type)
		value = protowire.AppendFixed32(value, math.Float32bits(float32(scalar.Value)))
		summary = protowire.AppendTag(summary, fieldValue, protowire.BytesType)
		summary = protowire.AppendBytes(summary, value)
	}
	event := appendTime(nil)
	event = protowire.AppendTag(event, fieldStep, protowire.VarintType)
	event = protowire.AppendVarint(event, uint64(step))
	event = protowire.AppendTag(event, fieldSummary, protowire.BytesType)
	return writeRecord(w, protowire.AppendBytes(event, summary))
}

// Fields of the messages Event, Summary and Summary.Value.
const (
	fieldWallTime, fieldStep, fieldFileVersion, fieldSummary = 1, 2, 3, 5

	fieldValue = 1

	fieldTag, fieldSimpleValue = 1, 2
)

// appendTime adds an event's time, in seconds since 1970.
func appendTime(event []byte) []byte {
	event = protowire.AppendTag(event, fieldWallTime, protowire.Fixed64Type)
	return protowire.AppendFixed64(event, math.Float64bits(float64(time.Now().UnixMicro())/1e6))
}

// writeRecord writes a TFRecord: the length and the data, each with its checksum.
func writeRecord(w io.Writer, data []byte) error {
	record := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	record = binary.LittleEndian.AppendUint32(record, checksum(record))
	record = append(record, data...)
	record = binary.LittleEndian.AppendUint32(record, checksum(data))
	if _, err := w.Write(record); err != nil {
		return fmt.Errorf("tensorboard: writing an event: %w", err)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC of TFRecord, which is masked so that data which holds CRCs has
// none that is trivial.
func checksum(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}
