package dataset

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// DefaultRowGroupRows is how many rows a row group has where nothing is said.
const DefaultRowGroupRows = 20_000

const (
	// pageBytes keeps pages small, so that fetching one episode decodes little
	// else. With its levels, and the values that arrow writes past the limit, a page
	// stays within the 64 KiB that zstd compresses as one block: for more, each
	// encoder allocates 8 MiB of history.
	pageBytes = 52 << 10
	createdBy = "diffstitch"
)

// WriterConfig is the shape of what is written.
type WriterConfig struct {
	ObservationDim int // S
	ActionDim      int // A
	// RowGroupRows is the number of rows after which a row group ends, with the
	// episode that reached it; DefaultRowGroupRows where 0.
	RowGroupRows int
}

func (c WriterConfig) validate() error {
	if c.ObservationDim < 1 || c.ObservationDim > maxWidth || c.ActionDim < 1 || c.ActionDim > maxWidth {
		return fmt.Errorf("dataset: writing vectors of %d and %d values; want 1 to %d", c.ObservationDim, c.ActionDim, maxWidth)
	}
	if c.RowGroupRows < 0 {
		return fmt.Errorf("dataset: row groups of %d rows", c.RowGroupRows)
	}
	return nil
}

// Writer writes episodes as a table of D*, one row a transition. The same
// episodes give the same bytes. It is not safe for concurrent use.
type Writer struct {
	config WriterConfig
	file   *file.Writer
	rows   rowBuffer
	// What the levels of the list columns look like.
	observationLevels, actionLevels levelPattern
}

// rowBuffer holds the rows of the row group being filled.
type rowBuffer struct {
	ids                         []int64
	steps                       []int32
	observations, next, actions []float32
	rewards                     []float32
	terminals, timeouts         []bool
	sources                     []parquet.ByteArray
	generated                   []bool
	lowIDs, highIDs             []int64   // of the rows that have one
	derived                     []int16   // 1 where a row has ids, else 0
	errors                      []float32 // of the rows that have one
	judged                      []int16   // 1 where a row has an error, else 0
}

// NewWriter begins a file. The caller closes w after the Writer.
func NewWriter(w io.Writer, config WriterConfig) (*Writer, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	if config.RowGroupRows == 0 {
		config.RowGroupRows = DefaultRowGroupRows
	}
	arrowSchema, err := encodedArrowSchema(config)
	if err != nil {
		return nil, fmt.Errorf("dataset: encoding the schema: %w", err)
	}
	meta := metadata.NewKeyValueMetadata()
	if err := meta.Append("ARROW:schema", arrowSchema); err != nil {
		return nil, fmt.Errorf("dataset: encoding the schema: %w", err)
	}
	out, err := file.NewParquetWriterWithError(plainWriter{w}, parquetSchema(), file.WithWriterProps(writerProperties()), file.WithWriteMetadata(meta))
	if err != nil {
		return nil, fmt.Errorf("dataset: beginning a file: %w", err)
	}
	return &Writer{config: config, file: out}, nil
}

// plainWriter hides a Close method, which the Parquet library would call.
type plainWriter struct{ io.Writer }

// Write appends an episode. It may end the row group, after the episode.
func (w *Writer) Write(e *trajectory.Episode) error {
	if e.ObservationDim != w.config.ObservationDim || e.ActionDim != w.config.ActionDim {
		return fmt.Errorf("dataset: writing episode %d: it has %d observation and %d action values, the file %d and %d",
			e.ID, e.ObservationDim, e.ActionDim, w.config.ObservationDim, w.config.ActionDim)
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("dataset: writing: %w", err)
	}
	w.rows.add(e)
	if len(w.rows.ids) >= w.config.RowGroupRows {
		return w.EndRowGroup()
	}
	return nil
}

// EndRowGroup writes the rows so far as a row group; where there are none it
// does nothing.
func (w *Writer) EndRowGroup() error {
	if len(w.rows.ids) == 0 {
		return nil
	}
	group, err := w.file.AppendRowGroupChecked()
	if err != nil {
		return fmt.Errorf("dataset: beginning a row group: %w", err)
	}
	if err := errors.Join(w.writeRows(group), group.Close()); err != nil {
		return fmt.Errorf("dataset: writing a row group: %w", err)
	}
	w.rows.reset()
	return nil
}

// Close writes what is left and the footer. It does not close the underlying
// writer.
func (w *Writer) Close() error {
	if err := w.EndRowGroup(); err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("dataset: ending the file: %w", err)
	}
	return nil
}

func (r *rowBuffer) add(e *trajectory.Episode) {
	steps := e.Len()
	r.observations = append(r.observations, e.Observations...)
	r.actions = append(r.actions, e.Actions...)
	r.rewards = append(r.rewards, e.Rewards...)
	r.addNext(e)
	for step := range steps {
		last := step == steps-1
		r.ids = append(r.ids, e.ID)
		r.steps = append(r.steps, int32(step))
		r.terminals = append(r.terminals, last && e.End == trajectory.Terminal)
		r.timeouts = append(r.timeouts, last && e.End == trajectory.Timeout)
	}
	r.addProvenance(e)
}

// addNext repeats the last observation where the one after it is unknown.
func (r *rowBuffer) addNext(e *trajectory.Episode) {
	if e.NextObservations != nil {
		r.next = append(r.next, e.NextObservations...)
		return
	}
	r.next = append(r.next, e.Observations[e.ObservationDim:]...)
	final, known := e.NextObservation(e.Len() - 1)
	if !known {
		final = e.Observation(e.Len() - 1)
	}
	r.next = append(r.next, final...)
}

func (r *rowBuffer) addProvenance(e *trajectory.Episode) {
	p := e.Provenance
	if p == nil {
		p = &trajectory.Provenance{Source: trajectory.Original}
	}
	source := parquet.ByteArray(p.Source)
	derived := int16(0)
	if e.Provenance != nil && !trajectory.Synthetic(p.Source) {
		derived = 1
	}
	from, to := p.Generated(e.Len())
	for step := range e.Len() {
		generated := step >= from && step < to
		r.sources = append(r.sources, source)
		r.generated = append(r.generated, generated)
		r.derived = append(r.derived, derived)
		if derived == 1 {
			r.lowIDs = append(r.lowIDs, p.LowID)
			r.highIDs = append(r.highIDs, p.HighID)
		}
		if generated && len(p.Errors) > 0 {
			r.judged = append(r.judged, 1)
		} else {
			r.judged = append(r.judged, 0)
		}
	}
	r.errors = append(r.errors, p.Errors...)
}

func (r *rowBuffer) reset() {
	*r = rowBuffer{
		ids: r.ids[:0], steps: r.steps[:0], observations: r.observations[:0], next: r.next[:0], actions: r.actions[:0],
		rewards: r.rewards[:0], terminals: r.terminals[:0], timeouts: r.timeouts[:0], sources: r.sources[:0],
		generated: r.generated[:0], lowIDs: r.lowIDs[:0], highIDs: r.highIDs[:0], derived: r.derived[:0],
		errors: r.errors[:0], judged: r.judged[:0],
	}
}

// batchWriter is what arrow's typed column writers have in common.
type batchWriter[T any] interface {
	file.ColumnChunkWriter
	WriteBatch(values []T, definition, repetition []int16) (int64, error)
}

// writeRows writes the columns in the order of parquetSchema.
func (w *Writer) writeRows(group file.SerialRowGroupWriter) error {
	r := &w.rows
	w.observationLevels.extend(len(r.observations), w.config.ObservationDim, 1, 1)
	w.actionLevels.extend(len(r.actions), w.config.ActionDim, 1, 1)
	columns := []func() error{
		func() error { return writeColumn(group, r.ids, nil, nil) },
		func() error { return writeColumn(group, r.steps, nil, nil) },
		func() error { return writeLists(group, r.observations, w.observationLevels) },
		func() error { return writeLists(group, r.actions, w.actionLevels) },
		func() error { return writeColumn(group, r.rewards, nil, nil) },
		func() error { return writeLists(group, r.next, w.observationLevels) },
		func() error { return writeColumn(group, r.terminals, nil, nil) },
		func() error { return writeColumn(group, r.timeouts, nil, nil) },
		func() error { return writeColumn(group, r.sources, nil, nil) },
		func() error { return writeColumn(group, r.generated, nil, nil) },
		func() error { return writeColumn(group, r.lowIDs, r.derived, nil) },
		func() error { return writeColumn(group, r.highIDs, r.derived, nil) },
		func() error { return writeColumn(group, r.errors, r.judged, nil) },
	}
	for i, write := range columns {
		if err := write(); err != nil {
			return fmt.Errorf("column %q: %w", columnNames[i], err)
		}
	}
	return nil
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

// writeLists writes vectors of one width. Their levels follow one pattern, so
// the values go down as a flat column's do.
func writeLists(group file.SerialRowGroupWriter, values []float32, pattern levelPattern) error {
	return writeColumn(group, values, pattern.definition[:len(values)], pattern.repetition[:len(values)])
}

var columnNames = []string{
	"episode_id", "step", "observations", "actions", "rewards", "next_observations", "terminals", "timeouts",
	"source", "generated", "low_episode_id", "high_episode_id", "qualification_error",
}

// parquetSchema is the table of D*. What is never null is required, which
// leaves a list with one level to store.
func parquetSchema() *schema.GroupNode {
	required, optional := parquet.Repetitions.Required, parquet.Repetitions.Optional
	floats := func(name string) schema.Node {
		element := schema.NewFloat32Node("element", required, -1)
		return schema.MustGroup(schema.ListOfWithName(name, element, required, -1))
	}
	source := schema.MustPrimitive(schema.NewPrimitiveNodeLogical("source", required, schema.StringLogicalType{}, parquet.Types.ByteArray, -1, -1))
	return schema.MustGroup(schema.NewGroupNode("schema", required, schema.FieldList{
		schema.NewInt64Node("episode_id", required, -1),
		schema.NewInt32Node("step", required, -1),
		floats("observations"),
		floats("actions"),
		schema.NewFloat32Node("rewards", required, -1),
		floats("next_observations"),
		schema.NewBooleanNode("terminals", required, -1),
		schema.NewBooleanNode("timeouts", required, -1),
		source,
		schema.NewBooleanNode("generated", required, -1),
		schema.NewInt64Node("low_episode_id", optional, -1),
		schema.NewInt64Node("high_episode_id", optional, -1),
		schema.NewFloat32Node("qualification_error", optional, -1),
	}, -1))
}

// encodedArrowSchema is the ARROW:schema metadata, by which pyarrow gives the
// lists as fixed-size lists and the sources as a dictionary.
func encodedArrowSchema(config WriterConfig) (string, error) {
	list := func(n int) arrow.DataType {
		return arrow.FixedSizeListOfField(int32(n), arrow.Field{Name: "element", Type: arrow.PrimitiveTypes.Float32})
	}
	types := map[string]arrow.DataType{
		"episode_id":          arrow.PrimitiveTypes.Int64,
		"step":                arrow.PrimitiveTypes.Int32,
		"observations":        list(config.ObservationDim),
		"next_observations":   list(config.ObservationDim),
		"actions":             list(config.ActionDim),
		"rewards":             arrow.PrimitiveTypes.Float32,
		"terminals":           arrow.FixedWidthTypes.Boolean,
		"timeouts":            arrow.FixedWidthTypes.Boolean,
		"source":              &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String},
		"generated":           arrow.FixedWidthTypes.Boolean,
		"low_episode_id":      arrow.PrimitiveTypes.Int64,
		"high_episode_id":     arrow.PrimitiveTypes.Int64,
		"qualification_error": arrow.PrimitiveTypes.Float32,
	}
	nullable := map[string]bool{"low_episode_id": true, "high_episode_id": true, "qualification_error": true}
	fields := make([]arrow.Field, len(columnNames))
	for i, name := range columnNames {
		fields[i] = arrow.Field{Name: name, Type: types[name], Nullable: nullable[name]}
	}
	var buffer bytes.Buffer
	if err := ipc.NewWriter(&buffer, ipc.WithSchema(arrow.NewSchema(fields, nil))).Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(buffer.Bytes()), nil
}

// writerProperties: dictionaries only where values repeat, statistics only
// where a query may use them, and a page index, by which Fetch enters a file.
func writerProperties() *parquet.WriterProperties {
	options := []parquet.WriterProperty{
		parquet.WithCreatedBy(createdBy),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDataPageSize(pageBytes),
		parquet.WithDictionaryDefault(false),
		parquet.WithStats(false),
		parquet.WithPageIndexEnabled(true),
	}
	for _, name := range []string{"episode_id", "step", "rewards", "source", "generated", "low_episode_id", "high_episode_id", "qualification_error"} {
		options = append(options, parquet.WithStatsFor(name, true))
	}
	for _, name := range []string{"source", "low_episode_id", "high_episode_id"} {
		options = append(options, parquet.WithDictionaryFor(name, true))
	}
	return parquet.NewWriterProperties(options...)
}
