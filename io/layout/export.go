package layout

import (
	"fmt"
	"iter"
	"slices"

	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// ExportConfig is what a folder of another tool's layout is written with.
type ExportConfig struct {
	Layout         string // one of Exports
	ObservationDim int    // S
	ActionDim      int    // A
	// Provenance is whether it is written where an episode comes from.
	Provenance bool
	// Name is the dataset's own, which Minari asks for.
	Name string
	// Task is what the episodes try to do, and FPS the steps per second: LeRobot asks
	// for both.
	Task string
	FPS  int
}

// Validate reports widths that cannot be.
func (c ExportConfig) Validate() error { return CheckWidths(c.ObservationDim, c.ActionDim) }

// CheckWidths reports widths of vectors that cannot be written.
func CheckWidths(observations, actions int) error {
	if observations < 1 || observations > parquet.MaxWidth || actions < 1 || actions > parquet.MaxWidth {
		return fmt.Errorf("dataset: writing vectors of %d and %d values; want 1 to %d", observations, actions, parquet.MaxWidth)
	}
	return nil
}

// Check refuses an episode that does not fit.
func (c ExportConfig) Check(e *trajectory.Episode) error {
	if e.ObservationDim != c.ObservationDim || e.ActionDim != c.ActionDim {
		return fmt.Errorf("dataset: exporting episode %d: it has %d observation and %d action values, those before %d and %d",
			e.ID, e.ObservationDim, e.ActionDim, c.ObservationDim, c.ActionDim)
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("dataset: exporting: %w", err)
	}
	return nil
}

// Series is a column of some rows: numbers, flags or words.
type Series struct {
	Name   string
	Width  int // of a row; 1 for a column of single values
	List   bool
	Values any // []float32, []float64, []int64, []bool or []string, [rows, width]
}

// Vector is a column of vectors, of which those of one value are lists too.
func Vector(name string, width int, values []float32) Series {
	return Series{Name: name, Width: width, List: true, Values: values}
}

// Single is a column of single values.
func Single[V any](name string, values []V) Series {
	return Series{Name: name, Width: 1, Values: values}
}

func (c Series) kind() arrow.DataType {
	var kind arrow.DataType
	switch c.Values.(type) {
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
	if c.List {
		return arrow.FixedSizeListOf(int32(c.Width), kind)
	}
	return kind
}

// Field is the column in a schema of Arrow.
func (c Series) Field() arrow.Field {
	return arrow.Field{Name: c.Name, Type: c.kind(), Nullable: true}
}

// AppendTo adds the column's rows to a builder of its kind.
func (c Series) AppendTo(builder array.Builder) {
	if lists, ok := builder.(*array.FixedSizeListBuilder); ok {
		values := c.Values.([]float32)
		for range len(values) / c.Width {
			lists.Append(true)
		}
		builder = lists.ValueBuilder()
	}
	switch values := c.Values.(type) {
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

// Every is a value for each of so many rows.
func Every[V any](rows int, value V) []V { return slices.Repeat([]V{value}, rows) }

// LastOnly is a flag on the last of so many rows.
func LastOnly(rows int, flag bool) []bool {
	flags := make([]bool, rows)
	if rows > 0 {
		flags[rows-1] = flag
	}
	return flags
}

// Bridge spells out which of an episode's rows were generated, and the error of
// those that have one; other stands for the error of the rest.
func Bridge(e *trajectory.Episode, rows int, other float32) (generated []bool, errors []float32) {
	generated, errors = append(Generated(e), make([]bool, rows-e.Len())...), Every(rows, other)
	if p := e.Provenance; p != nil {
		onGenerated(errors, e, p.Errors)
	}
	return generated, errors
}

// Residuals spells out those of the rows of refined bridges; other stands for that of the
// rest.
func Residuals(e *trajectory.Episode, rows int, other float32) []float32 {
	residuals := Every(rows, other)
	if p := e.Provenance; p != nil {
		onGenerated(residuals, e, p.Residuals)
	}
	return residuals
}

// onGenerated puts values, if there are any, on the generated rows.
func onGenerated(rows []float32, e *trajectory.Episode, values []float32) {
	if len(values) == 0 {
		return
	}
	for _, s := range e.Provenance.Generated(e.Len()) {
		values = values[copy(rows[s.From:s.To], values):]
	}
}

// Origins spell out where each row of an episode was taken from; of those for which that
// is not known or that were generated, both are -1.
func Origins(e *trajectory.Episode, rows int) (ids, steps []int64) {
	ids, steps = Every(rows, int64(-1)), Every(rows, int64(-1))
	if e.Provenance == nil || len(e.Provenance.Origins) == 0 {
		return ids, steps
	}
	row := 0
	for origin := range Taken(e) {
		if origin != nil {
			ids[row], steps[row] = origin.EpisodeID, int64(origin.Step)
		}
		row++
	}
	return ids, steps
}

// Generated spells out which of an episode's rows were generated, [T].
func Generated(e *trajectory.Episode) []bool {
	generated := make([]bool, e.Len())
	if e.Provenance != nil {
		for _, s := range e.Provenance.Generated(e.Len()) {
			copy(generated[s.From:s.To], Every(s.Len(), true))
		}
	}
	return generated
}

// Taken hands out, for each row of a stitch whose origins are known, the step of the
// original episode that it is, or nil of a generated one.
func Taken(e *trajectory.Episode) iter.Seq[*trajectory.Origin] {
	return func(yield func(*trajectory.Origin) bool) {
		origins, bridges := e.Provenance.Origins, e.Provenance.Bridges
		at, within := origins[0], 0
		for row := range e.Len() {
			if len(bridges) > 0 && row == bridges[0].To {
				bridges, within = bridges[1:], within+1
				at = origins[within]
			}
			if len(bridges) > 0 && row >= bridges[0].From {
				if !yield(nil) {
					return
				}
				continue
			}
			if !yield(&trajectory.Origin{EpisodeID: at.EpisodeID, Step: at.Step}) {
				return
			}
			at.Step++
		}
	}
}

// NextOf spells out an episode's next observations, [T, S], as D* does: it repeats the
// last observation where the one after it is unknown.
func NextOf(e *trajectory.Episode) []float32 { return AppendNext(nil, e) }

// AppendNext appends NextOf to values.
func AppendNext(values []float32, e *trajectory.Episode) []float32 {
	if e.Len() == 0 {
		return values
	}
	if e.NextObservations != nil {
		return append(values, e.NextObservations...)
	}
	values = append(values, e.Observations[e.ObservationDim:]...)
	final, known := e.NextObservation(e.Len() - 1)
	if !known {
		final = e.Observation(e.Len() - 1)
	}
	return append(values, final...)
}
