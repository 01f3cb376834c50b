package layout_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/layout"
	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
)

var (
	float16s = arrow.FixedWidthTypes.Float16
	uint32s  = arrow.PrimitiveTypes.Uint32
)

// every is all columns of rows of transitions.
var every = []string{"episode_id", "step", "observations", "actions", "rewards", "next_observations", "terminals", "timeouts"}

// wildCases are rows of transitions as they are found.
func wildCases() []layoutCase {
	schema := dataset.Schema{Layout: dataset.Transitions, ObservationDim: 3, ActionDim: 2, Rows: 120}
	texts := schema
	texts.TextIDs, texts.OriginalIDs = true, true
	return []layoutCase{
		{name: "float16", want: schema, write: wildTable(every, func(columns map[string]*testColumn) {
			retype(columns, float16s, "observations", "next_observations", "actions", "rewards")
		})},
		{name: "unsigned ids", want: schema, write: wildTable(every, func(columns map[string]*testColumn) {
			columns["episode_id"].kind, columns["step"].kind = uint32s, uint32s
		})},
		{name: "names of another case", want: schema, write: wildTable([]string{
			"episode_id:Episode_ID", "step:STEP", "observations:Observations", "actions:Action", "rewards:Reward",
			"next_observations:Next_Observations", "terminals:Terminals", "timeouts:Timeouts"}, nil)},
		{name: "lists of one", want: schema, write: wildTable(every, func(columns map[string]*testColumn) {
			wrap(columns, "episode_id", "step", "rewards", "terminals", "timeouts")
		})},
		{name: "lists of one vector", want: schema, write: wildTable(every, func(columns map[string]*testColumn) {
			wrap(columns, "observations", "next_observations", "actions", "rewards", "terminals")
		})},
		{name: "ids that are text", want: texts, write: wildTable(every, textIDs(textOf)), forget: named},
	}
}

// wildTable writes the columns of rows of transitions, changed.
func wildTable(names []string, change func(map[string]*testColumn)) func(testing.TB, []*trajectory.Episode) string {
	return func(tb testing.TB, episodes []*trajectory.Episode) string {
		columns := transitionColumns(episodes, float32s)
		if change != nil {
			change(columns)
		}
		return writeTable(tb, pick(columns, names...), 16)
	}
}

// retype gives columns, or the values of their lists, another type.
func retype(columns map[string]*testColumn, kind arrow.DataType, names ...string) {
	for _, name := range names {
		if _, list := columns[name].kind.(arrow.ListLikeType); list {
			columns[name].kind = arrow.ListOf(kind)
		} else {
			columns[name].kind = kind
		}
	}
}

// wrap makes lists of one of what columns hold.
func wrap(columns map[string]*testColumn, names ...string) {
	for _, name := range names {
		c := columns[name]
		c.kind = arrow.ListOf(c.kind)
		for i, v := range c.values {
			c.values[i] = []any{v}
		}
	}
}

func textOf(id int64) string { return fmt.Sprintf("episode-%08x", id*2654435761) }

func textIDs(text func(int64) string) func(map[string]*testColumn) {
	return func(columns map[string]*testColumn) {
		c := columns["episode_id"]
		c.kind = words
		for i, v := range c.values {
			c.values[i] = text(v.(int64))
		}
	}
}

// named has an episode keep its id as text. The number that stands for it has nothing
// to say.
func named(e *trajectory.Episode, _, _ int64) {
	e.OriginalID, e.ID = textOf(e.ID), 0
}

// TestRewardsOfOneStepEpisodes: a row that is an episode stays one where its lists are
// longer than one.
func TestRewardsOfOneStepEpisodes(t *testing.T) {
	var one []*trajectory.Episode
	for _, e := range testEpisodes() {
		one = append(one, &trajectory.Episode{ID: e.ID, ObservationDim: 1, ActionDim: 1, Observations: e.Rewards, Actions: e.Rewards, Rewards: e.Rewards, End: e.End})
	}
	columns := episodeColumns(one, float32s)
	for i, c := range columns[:2] {
		columns[i].kind = arrow.ListOf(float32s)
		for row, episode := range c.values {
			var flat []any
			for _, vector := range episode.([]any) {
				flat = append(flat, vector.([]any)...)
			}
			columns[i].values[row] = flat
		}
	}
	f := openFile(t, writeTable(t, columns, 3), dataset.Options{})
	if s := f.Schema(); s.Layout != dataset.Episodes || len(readAll(t, f)) != len(one) {
		t.Errorf("%+v", s)
	}
}

// TestHalf: every float16 is read as what it is.
func TestHalf(t *testing.T) {
	values := []float64{0x1p-24, -0x1p-24, 0x1p-15, 1, 65504, -2, 0}
	c := []testColumn{
		{name: "episode_id", kind: int64s}, {name: "observations", kind: arrow.ListOf(float32s)},
		{name: "actions", kind: arrow.ListOf(float32s)}, {name: "rewards", kind: float16s},
	}
	for _, v := range values {
		for i, cell := range []any{1, []any{1.0}, []any{1.0}, v} {
			c[i].values = append(c[i].values, cell)
		}
	}
	got := readAll(t, openFile(t, writeTable(t, c, 100), dataset.Options{}))
	for i, v := range got[0].Episode.Rewards {
		if math.Float32bits(v) != math.Float32bits(float32(values[i])) {
			t.Errorf("%g is read as %g", values[i], v)
		}
	}
}

// TestRefusedColumns: what would be read as something else is refused, with what to do.
func TestRefusedColumns(t *testing.T) {
	discrete := func(kind arrow.DataType, value any) func(map[string]*testColumn) {
		return func(columns map[string]*testColumn) {
			c := columns["actions"]
			c.kind = kind
			for i := range c.values {
				c.values[i] = value
			}
		}
	}
	for _, test := range []struct {
		name, want string
		names      []string
		change     func(map[string]*testColumn)
	}{
		{"whole actions", "actions must be continuous", every, discrete(int64s, 1)},
		{"lists of whole actions", "actions must be continuous", every, discrete(arrow.ListOf(int32s), []any{1})},
		{"flags as actions", "actions must be continuous", every, discrete(bools, true)},
		{"names alike", "differ by case alone", append(every[:7:7], "rewards:REWARDS", "rewards:Rewards"), nil},
		{"decimals", "want numbers", every, func(columns map[string]*testColumn) {
			columns["observations"].kind = arrow.ListOf(&arrow.Decimal128Type{Precision: 9, Scale: 2})
		}},
		{"times", "want numbers", every, func(columns map[string]*testColumn) {
			columns["observations"].kind = arrow.ListOf(arrow.FixedWidthTypes.Timestamp_us)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			names := test.names
			if test.name == "names alike" {
				names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "rewards" })
			}
			_, err := dataset.Open(wildTable(names, test.change)(t, testEpisodes()), dataset.Options{})
			if !errors.Is(err, dataset.ErrColumns) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestUnsorted: rows in no order are refused in a sentence, those in order are not,
// whatever else is wrong with them.
func TestUnsorted(t *testing.T) {
	rows := func(change func(episode, step int) (at int)) []string {
		columns := transitionColumns(testEpisodes()[2:5], float32s)
		if change != nil {
			order := make([]int, 0)
			for e, steps := range []int{30, 3, 65} {
				for step := range steps {
					order = append(order, change(e, step))
				}
			}
			for _, c := range columns {
				values := slices.Clone(c.values)
				at := make([]int, len(values))
				for i := range at {
					at[i] = i
				}
				slices.SortStableFunc(at, func(a, b int) int { return order[a] - order[b] })
				for i, from := range at {
					c.values[i] = values[from]
				}
			}
		}
		return cutFiles(t, t.TempDir(), columns, nil)
	}
	for name, test := range map[string]struct {
		change func(episode, step int) int
		want   error
	}{
		"in order":           {nil, nil},
		"scattered":          {func(e, step int) int { return (e*1000 + step) * 7919 % 1009 }, layout.ErrUnsorted},
		"by step":            {func(e, step int) int { return step*10 + e }, layout.ErrUnsorted},
		"within episodes":    {func(e, step int) int { return e*1000 + step*7919%101 }, layout.ErrUnsorted},
		"backwards":          {func(e, step int) int { return e*1000 - step }, layout.ErrUnsorted},
		"episodes scattered": {func(e, step int) int { return (2-e)*1000 + step }, nil},
	} {
		_, err := dataset.Inspect(t.Context(), rows(test.change), dataset.Options{})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNotes: what is not seen in the figures is said.
func TestNotes(t *testing.T) {
	bare := slices.DeleteFunc(slices.Clone(every), func(name string) bool { return name == "episode_id" || name == "step" })
	for name, test := range map[string]struct {
		names  []string
		change func(map[string]*testColumn)
		want   string
	}{
		"nothing":        {every, nil, ""},
		"flags":          {bare, nil, ""},
		"no flag is set": {bare, unset, "nothing says where episodes end"},
		"steps alone":    {append([]string{"step"}, bare...), unset, ""},
		"float64": {every, func(c map[string]*testColumn) { retype(c, float64s, "observations", "rewards") },
			"observations, rewards: float64"},
		"whole actions": {every, func(c map[string]*testColumn) { c["actions"].values = c["observations"].values }, "actions are whole numbers"},
		"steps with gaps": {every, func(c map[string]*testColumn) {
			for i, step := range c["step"].values {
				c["step"].values[i] = 2 * step.(int)
			}
		}, "most episodes lack rows"},
	} {
		columns := transitionColumns(testEpisodes(), float32s)
		for _, row := range columns["actions"].values {
			for i, v := range row.([]any) {
				row.([]any)[i] = v.(float32) + 0.5
			}
		}
		if test.change != nil {
			test.change(columns)
		}
		s, err := dataset.Inspect(t.Context(), []string{writeTable(t, pick(columns, test.names...), 16)}, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(s.Notes, "\n"); !strings.Contains(text, test.want) || test.want == "" && text != "" {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func unset(columns map[string]*testColumn) {
	for _, name := range []string{"terminals", "timeouts"} {
		for i := range columns[name].values {
			columns[name].values[i] = false
		}
	}
}

// TestWild reads what other programs left.
func TestWild(t *testing.T) {
	episodes := map[string]int64{
		"06_double.parquet": 12, "07_half.parquet": 12, "12_case.parquet": 12, "17_no_ends.parquet": 1,
		"19_reward_list1.parquet": 12, "22_string_ids.parquet": 12, "29_split_episode": 12,
	}
	notes := map[string]string{"06_double.parquet": "float64", "17_no_ends.parquet": "nothing says where episodes end"}
	refused := map[string]string{
		"15_shuffled_rows.parquet": "not sorted by episode_id and step", "35_discrete.parquet": "must be continuous",
		"crc_ignored.parquet": "checksum", "ids_delta_bigblock.parquet": "claims", "one_id_2e9.parquet": "claims", "one_id_2e12.parquet": "claims",
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(episodes)), slices.Sorted(maps.Keys(refused))) {
		t.Run(name, func(t *testing.T) {
			files, err := dataset.Files(sharedData(t, filepath.Join("wild", name)))
			if err != nil {
				t.Fatal(err)
			}
			s, err := dataset.Inspect(t.Context(), files, dataset.Options{})
			if want := refused[name]; want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v", err)
				}
				return
			}
			text := strings.Join(s.Notes, "\n")
			if err != nil || s.Episodes != episodes[name] || s.Transitions != 480 || s.Rejected() > 0 || !strings.Contains(text, notes[name]) {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}
