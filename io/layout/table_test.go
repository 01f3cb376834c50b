package layout_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"pgregory.net/rapid"
)

// testColumn is a column of a table that a test makes up. Values are Go numbers,
// bools, strings, nil for null, or []any for lists.
type testColumn struct {
	name   string
	kind   arrow.DataType
	values []any
}

var (
	float32s = arrow.PrimitiveTypes.Float32
	float64s = arrow.PrimitiveTypes.Float64
	int32s   = arrow.PrimitiveTypes.Int32
	int64s   = arrow.PrimitiveTypes.Int64
	bools    = arrow.FixedWidthTypes.Boolean
	words    = arrow.BinaryTypes.String
)

// writeTable writes columns as another program would, with arrow's own writer.
func writeTable(tb testing.TB, columns []testColumn, rowGroup int64, options ...parquet.WriterProperty) string {
	tb.Helper()
	return writeBytes(tb, tableBytes(tb, columns, rowGroup, options...))
}

func tableBytes(tb rapid.TB, columns []testColumn, rowGroup int64, options ...parquet.WriterProperty) []byte {
	tb.Helper()
	var fields []arrow.Field
	var arrays []arrow.Column
	for _, c := range columns {
		builder := array.NewBuilder(memory.DefaultAllocator, c.kind)
		for _, v := range c.values {
			appendValue(tb, builder, v)
		}
		field := arrow.Field{Name: c.name, Type: c.kind, Nullable: true}
		fields = append(fields, field)
		arrays = append(arrays, *arrow.NewColumn(field, arrow.NewChunked(c.kind, []arrow.Array{builder.NewArray()})))
	}
	rows := int64(len(columns[0].values))
	table := array.NewTable(arrow.NewSchema(fields, nil), arrays, rows)
	var buffer bytes.Buffer
	err := pqarrow.WriteTable(table, &buffer, rowGroup, parquet.NewWriterProperties(options...), pqarrow.DefaultWriterProps())
	if err != nil {
		tb.Fatal(err)
	}
	return buffer.Bytes()
}

func writeBytes(tb testing.TB, data []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "data.parquet")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

func appendValue(tb rapid.TB, builder array.Builder, value any) {
	tb.Helper()
	if value == nil {
		builder.AppendNull()
		return
	}
	switch b := builder.(type) {
	case *array.Float32Builder:
		b.Append(float32(number(value)))
	case *array.Float16Builder:
		b.Append(half(number(value)))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(number(value)))
	case *array.Uint32Builder:
		b.Append(uint32(number(value)))
	case *array.Decimal128Builder:
		b.Append(decimal128.FromI64(int64(number(value))))
	case *array.Float64Builder:
		b.Append(number(value))
	case *array.Int32Builder:
		b.Append(int32(number(value)))
	case *array.Int64Builder:
		b.Append(int64(number(value)))
	case *array.BooleanBuilder:
		b.Append(value.(bool))
	case *array.StringBuilder:
		b.Append(value.(string))
	case array.ListLikeBuilder:
		b.Append(true)
		for _, v := range value.([]any) {
			appendValue(tb, b.ValueBuilder(), v)
		}
	default:
		tb.Fatalf("no builder for %T", builder)
	}
}

// half makes a float16, of a subnormal number too, which Arrow's own conversion takes
// for 0.
func half(v float64) float16.Num {
	if math.Abs(v) < 0x1p-14 {
		bits := uint16(math.Round(math.Abs(v) * 0x1p24))
		if math.Signbit(v) {
			bits |= 1 << 15
		}
		return float16.FromBits(bits)
	}
	return float16.New(float32(v))
}

func number(value any) float64 {
	switch v := value.(type) {
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case float32:
		return float64(v)
	default:
		return v.(float64)
	}
}

// testEpisodes have values that every type of number holds, and lengths that
// cross the row groups of the tests.
func testEpisodes() []*trajectory.Episode {
	var episodes []*trajectory.Episode
	value := 0
	values := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			value = (value*31 + 7) % 1009
			out[i] = float32(value - 500)
		}
		return out
	}
	for i, steps := range []int{2, 7, 30, 3, 65, 2, 11} {
		end := trajectory.Terminal
		if i%3 == 1 {
			end = trajectory.Timeout
		}
		episodes = append(episodes, &trajectory.Episode{
			ID: int64(100 - 3*i), ObservationDim: 3, ActionDim: 2, End: end,
			Observations: values(3 * steps), Actions: values(2 * steps), Rewards: values(steps),
			FinalObservation: values(3),
		})
	}
	return episodes
}

// transitionColumns spreads episodes over a row a transition, under the
// canonical names.
func transitionColumns(episodes []*trajectory.Episode, float arrow.DataType) map[string]*testColumn {
	// Variable lists: arrow-go writes every row group of a fixed-size list from
	// the column's first row on.
	columns := map[string]*testColumn{
		"episode_id":        {kind: int64s},
		"step":              {kind: int32s},
		"observations":      {kind: arrow.ListOf(float)},
		"actions":           {kind: arrow.ListOf(float)},
		"rewards":           {kind: float},
		"next_observations": {kind: arrow.ListOf(float)},
		"terminals":         {kind: bools},
		"timeouts":          {kind: bools},
	}
	for name, c := range columns {
		c.name = name
	}
	add := func(name string, value any) { columns[name].values = append(columns[name].values, value) }
	for _, e := range episodes {
		for step := range e.Len() {
			next, _ := e.NextObservation(step)
			last := step == e.Len()-1
			add("episode_id", e.ID)
			add("step", step)
			add("observations", anys(e.Observation(step)))
			add("actions", anys(e.Action(step)))
			add("rewards", e.Rewards[step])
			add("next_observations", anys(next))
			add("terminals", last && e.End == trajectory.Terminal)
			add("timeouts", last && e.End == trajectory.Timeout)
		}
	}
	return columns
}

// pick is the named columns, in order; "a:b" gives column a the name b.
func pick(columns map[string]*testColumn, names ...string) []testColumn {
	var picked []testColumn
	for _, name := range names {
		canonical, renamed := name, name
		for i := range name {
			if name[i] == ':' {
				canonical, renamed = name[:i], name[i+1:]
			}
		}
		c := *columns[canonical]
		c.name = renamed
		picked = append(picked, c)
	}
	return picked
}

// episodeColumns is a row an episode.
func episodeColumns(episodes []*trajectory.Episode, float arrow.DataType) []testColumn {
	vectors := arrow.ListOf(arrow.ListOf(float))
	columns := []testColumn{
		{name: "observations", kind: vectors}, {name: "actions", kind: vectors},
		{name: "rewards", kind: arrow.ListOf(float)}, {name: "dones", kind: arrow.ListOf(bools)},
	}
	for _, e := range episodes {
		var observations, actions, dones []any
		for step := range e.Len() {
			observations = append(observations, anys(e.Observation(step)))
			actions = append(actions, anys(e.Action(step)))
			dones = append(dones, step == e.Len()-1 && e.End == trajectory.Terminal)
		}
		for i, v := range [][]any{observations, actions, anys(e.Rewards), dones} {
			columns[i].values = append(columns[i].values, v)
		}
	}
	return columns
}

func anys(values []float32) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}
