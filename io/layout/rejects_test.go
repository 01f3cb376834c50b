package layout_test

import (
	"bytes"
	"diffstitch/io/layout"
	"diffstitch/io/layout/transitions"
	"math"
	"strings"
	"testing"

	"diffstitch/io/trajectory"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"diffstitch/io/dataset"
)

// TestRejects spoils one episode of several, and expects the others.
func TestRejects(t *testing.T) {
	all := []string{"episode_id", "step", "observations", "actions", "rewards", "next_observations", "terminals", "timeouts"}
	set := func(column string, row int, value any) func(map[string]*testColumn) {
		return func(columns map[string]*testColumn) { columns[column].values[row] = value }
	}
	// The episodes lie at rows 0, 2, 9, 39, 42, 107 and 109.
	tests := []struct {
		name   string
		spoil  func(map[string]*testColumn)
		want   dataset.Reject
		others int
	}{
		{"NaN observation", set("observations", 3, []any{1, math.NaN(), 2}), dataset.Reject{Row: 2, EpisodeID: 97, Reason: dataset.NotFinite, Detail: "step 1: observations holds NaN"}, 6},
		{"infinite action", set("actions", 41, []any{math.Inf(-1), 1}), dataset.Reject{Row: 39, EpisodeID: 91, Reason: dataset.NotFinite, Detail: "step 2: actions holds -Inf"}, 6},
		{"NaN reward", set("rewards", 0, math.NaN()), dataset.Reject{Row: 0, EpisodeID: 100, Reason: dataset.NotFinite, Detail: "step 0: rewards holds NaN"}, 6},
		{"NaN next observation", set("next_observations", 8, []any{1, 2, math.NaN()}), dataset.Reject{Row: 2, EpisodeID: 97, Reason: dataset.NotFinite, Detail: "step 6: next_observations holds NaN"}, 6},
		{"null reward", set("rewards", 10, nil), dataset.Reject{Row: 9, EpisodeID: 94, Reason: dataset.MissingValue, Detail: "row 10: rewards is null"}, 6},
		{"null observation", set("observations", 38, nil), dataset.Reject{Row: 9, EpisodeID: 94, Reason: dataset.MissingValue, Detail: "row 38: observations is null"}, 6},
		{"null inside", set("observations", 38, []any{1, nil, 3}), dataset.Reject{Row: 9, EpisodeID: 94, Reason: dataset.MissingValue, Detail: "row 38: observations is null"}, 6},
		{"short observation", set("observations", 38, []any{1, 2}), dataset.Reject{Row: 9, EpisodeID: 94, Reason: dataset.Ragged, Detail: "row 38: observations has 2 values, want 3"}, 6},
		{"long action", set("actions", 119, []any{1, 2, 3, 4, 5}), dataset.Reject{Row: 109, EpisodeID: 82, Reason: dataset.Ragged, Detail: "row 119: actions has 5 values, want 2"}, 6},
		{"long first observation", set("observations", 0, []any{1, 2, 3, 4}), dataset.Reject{Row: 0, EpisodeID: 100, Reason: dataset.Ragged, Detail: "row 0: observations has 4 values, want 3"}, 6},
		{"empty vector", set("next_observations", 42, []any{}), dataset.Reject{Row: 42, EpisodeID: 88, Reason: dataset.MissingValue, Detail: "row 42: next_observations is null"}, 6},
		{"terminal inside", set("terminals", 50, true), dataset.Reject{Row: 42, EpisodeID: 88, Reason: dataset.FlagInside, Detail: "row 50 is followed by more of the episode"}, 6},
		{"timeout before a row group", set("timeouts", 15, true), dataset.Reject{Row: 9, EpisodeID: 94, Reason: dataset.FlagInside, Detail: "row 15 is followed by more of the episode"}, 6},
		{"null flag", set("timeouts", 50, nil), dataset.Reject{Row: 42, EpisodeID: 88, Reason: dataset.MissingValue, Detail: "row 50: timeouts is null"}, 6},
		{"a step missing", set("step", 45, 9), dataset.Reject{Row: 42, EpisodeID: 88, Reason: dataset.StepGap, Detail: "row 45: step 9 where 3 is due"}, 6},
		{"begins late", set("step", 42, 4), dataset.Reject{Row: 42, EpisodeID: 88, Reason: dataset.StartsLate, Detail: "row 42: its first step is 4"}, 6},
		{"null step", set("step", 43, nil), dataset.Reject{Row: 42, EpisodeID: 88, Reason: dataset.MissingValue, Detail: "row 43: step is null"}, 6},
		{
			"one step", func(columns map[string]*testColumn) {
				columns["episode_id"].values[41] = 5
				columns["step"].values[41] = 0
				columns["terminals"].values[40] = true
			},
			dataset.Reject{Row: 41, EpisodeID: 5, Reason: dataset.TooShort, Detail: "it has one step"}, 7,
		},
		{
			"id comes back", func(columns map[string]*testColumn) {
				columns["episode_id"].values[107] = 97
				columns["episode_id"].values[108] = 97
			},
			dataset.Reject{Row: 107, EpisodeID: 97, Reason: dataset.IDReturns, Detail: "it began at row 2 already"}, 6,
		},
		{
			"null id", func(columns map[string]*testColumn) {
				columns["episode_id"].values[107] = nil
				columns["episode_id"].values[108] = nil
			},
			dataset.Reject{Row: 107, Reason: dataset.MissingValue, Detail: "row 107: episode_id is null"}, 6,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			columns := transitionColumns(testEpisodes(), float32s)
			test.spoil(columns)
			path := writeTable(t, pick(columns, all...), 16)
			test.want.File = path
			checkRejects(t, path, test.want, test.others)
		})
	}
}

// checkRejects expects one reject and a number of good episodes, in the stream
// and when fetched.
func checkRejects(t *testing.T, path string, want dataset.Reject, others int) {
	t.Helper()
	f := openFile(t, path, dataset.Options{})
	var rejects []dataset.Reject
	good := 0
	for _, item := range readAll(t, f) {
		_, err := f.Fetch(item.Location)
		if item.Reject != nil {
			rejects = append(rejects, *item.Reject)
			continue
		}
		good++
		if err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]dataset.Reject{want}, rejects); diff != "" {
		t.Errorf("rejects (-want +got):\n%s", diff)
	}
	if good != others {
		t.Errorf("%d good episodes, want %d", good, others)
	}
}

func TestRejectsOfNestedLists(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(columns []testColumn)
		want  dataset.Reject
	}{
		{"NaN", func(c []testColumn) { c[2].values[3] = []any{1, math.NaN(), 2} }, dataset.Reject{Row: 3, EpisodeID: 3, Reason: dataset.NotFinite, Detail: "step 1: rewards holds NaN"}},
		{"ragged", func(c []testColumn) { c[0].values[3].([]any)[1] = []any{1, 2} }, dataset.Reject{Row: 3, EpisodeID: 3, Reason: dataset.Ragged, Detail: "step 1: observations has 2 values, want 3"}},
		{"null vector", func(c []testColumn) { c[1].values[3].([]any)[2] = nil }, dataset.Reject{Row: 3, EpisodeID: 3, Reason: dataset.MissingValue, Detail: "step 2: actions is null or empty"}},
		{"null list", func(c []testColumn) { c[0].values[3] = nil }, dataset.Reject{Row: 3, EpisodeID: 3, Reason: dataset.MissingValue, Detail: "step 0: observations is null or empty"}},
		{"lengths differ", func(c []testColumn) { c[2].values[3] = []any{1, 2, 3, 4} }, dataset.Reject{Row: 3, EpisodeID: 3, Reason: dataset.LengthsDiffer, Detail: "3 observations, 3 actions, 4 rewards"}},
		{"flag inside", func(c []testColumn) { c[3].values[3] = []any{false, true, false} }, dataset.Reject{Row: 3, EpisodeID: 3, Reason: dataset.FlagInside, Detail: "step 1 of 3"}},
		{"flags missing", func(c []testColumn) { c[3].values[3] = []any{false, true} }, dataset.Reject{Row: 3, EpisodeID: 3, Reason: dataset.LengthsDiffer, Detail: "2 dones, 3 rewards"}},
		{
			"one step", func(c []testColumn) {
				c[0].values[3] = []any{[]any{1, 2, 3}}
				c[1].values[3] = []any{[]any{1, 2}}
				c[2].values[3] = []any{1}
				c[3].values[3] = []any{true}
			},
			dataset.Reject{Row: 3, EpisodeID: 3, Reason: dataset.TooShort, Detail: "it has one step"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			columns := episodeColumns(testEpisodes(), float32s)
			test.spoil(columns)
			path := writeTable(t, columns, 3)
			test.want.File = path
			checkRejects(t, path, test.want, 6)
		})
	}
}

// TestRejectsOfProvenance spoils the columns of a stitched episode.
func TestRejectsOfProvenance(t *testing.T) {
	columns := func() map[string]*testColumn {
		columns := transitionColumns(testEpisodes()[:3], float32s)
		n := len(columns["step"].values)
		for name, kind := range map[string]testColumn{"source": {kind: words}, "generated": {kind: bools}, "low_episode_id": {kind: int64s}, "high_episode_id": {kind: int64s}, "from_episode_id": {kind: int64s}, "from_step": {kind: int32s}, "qualification_error": {kind: float32s}, layout.Residual: {kind: float32s}} {
			columns[name] = &testColumn{name: name, kind: kind.kind, values: make([]any, n)}
		}
		for row := range n {
			columns["source"].values[row] = trajectory.Original
			columns["generated"].values[row] = false
			if row >= 2 && row < 9 {
				columns["source"].values[row] = trajectory.Stitched
				columns["low_episode_id"].values[row] = 1
				columns["high_episode_id"].values[row] = 2
				columns["from_episode_id"].values[row], columns["from_step"].values[row] = 1, row
				if row > 5 {
					columns["from_episode_id"].values[row] = 2
				}
			}
			if row == 4 || row == 5 {
				columns["generated"].values[row] = true
				columns["qualification_error"].values[row] = 0.5
				columns["from_episode_id"].values[row], columns["from_step"].values[row] = nil, nil
				columns[layout.Residual].values[row] = 0.25
			}
		}
		return columns
	}
	tests := []struct {
		name   string
		column string
		row    int
		value  any
		reason dataset.Reason
	}{
		{"sources differ", "source", 6, "tatu", dataset.BadProvenance},
		{"null source", "source", 6, nil, dataset.MissingValue},
		{"low ids differ", "low_episode_id", 6, 9, dataset.BadProvenance},
		{"a low id missing", "low_episode_id", 6, nil, dataset.BadProvenance},
		{"an error missing", "qualification_error", 5, nil, dataset.BadProvenance},
		{"an error too many", "qualification_error", 7, 1.0, dataset.BadProvenance},
		{"an error that is not finite", "qualification_error", 5, math.NaN(), dataset.NotFinite},
		{"an origin missing", "from_episode_id", 7, nil, dataset.BadProvenance},
		{"an origin of a generated row", "from_step", 5, 3, dataset.BadProvenance},
		{"another step of the origin", "from_step", 7, 5, dataset.BadProvenance},
		{"a residual missing", layout.Residual, 5, nil, dataset.BadProvenance},
		{"a residual too many", layout.Residual, 7, 1.0, dataset.BadProvenance},
		{"a residual that is not finite", layout.Residual, 5, math.NaN(), dataset.NotFinite},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spoiled := columns()
			spoiled[test.column].values[test.row] = test.value
			if test.name == "an origin of a generated row" {
				spoiled["from_episode_id"].values[5] = 100
			}
			names := append([]string{"episode_id", "step", "observations", "actions", "rewards", "from_episode_id", "from_step"}, append(layout.ProvenanceColumns, layout.Residual)...)
			f := openFile(t, writeTable(t, pick(spoiled, names...), 4), dataset.Options{})
			items := readAll(t, f)
			if r := items[1].Reject; r == nil || r.Reason != test.reason {
				t.Errorf("got %v, want %q", r, test.reason)
			}
			if len(items) != 3 || items[0].Reject != nil || items[2].Reject != nil {
				t.Errorf("the other episodes: %v", items)
			}
		})
	}
}

// TestSyntheticEpisodes come back as they were written, and spoilt ones don't.
func TestSyntheticEpisodes(t *testing.T) {
	want := syntheticEpisodes()
	path := writeBytes(t, nil)
	writeFile(t, path, dataset.WriterConfig{ObservationDim: 3, ActionDim: 2}, want...)
	for i, item := range readAll(t, openFile(t, path, dataset.Options{})) {
		if diff := cmp.Diff(want[i], item.Episode, cmpopts.EquateEmpty()); diff != "" || item.Reject != nil {
			t.Errorf("episode %d (-written +read), reject %v:\n%s", i, item.Reject, diff)
		}
	}
	for _, test := range []struct {
		column string
		value  any
	}{{"generated", false}, {"low_episode_id", 3}, {"high_episode_id", 3}, {"qualification_error", nil}, {"source", trajectory.SynthER}} {
		spoiled := dstarColumns()
		spoiled[test.column].values[130] = test.value // of the rollout at 127 to 133
		f := openFile(t, writeTable(t, pick(spoiled, columnNames()...), 16), dataset.Options{})
		var rejects []*dataset.Reject
		for _, item := range readAll(t, f) {
			if item.Reject != nil {
				rejects = append(rejects, item.Reject)
			}
		}
		if len(rejects) != 1 || rejects[0].EpisodeID != 1001 || rejects[0].Reason != dataset.BadProvenance {
			t.Errorf("%s %v: rejects %v", test.column, test.value, rejects)
		}
	}
}

func TestWriteRejects(t *testing.T) {
	var buffer bytes.Buffer
	rejects := []dataset.Reject{
		{File: "a.parquet", Row: 3, EpisodeID: 7, Reason: dataset.TooShort, Detail: "it has one step"},
		{File: "b.parquet", Row: 0, EpisodeID: 0, Reason: dataset.NotFinite},
	}
	if err := dataset.WriteRejects(&buffer, rejects); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`{"file":"a.parquet","row":3,"episode_id":7,"reason":"too short","detail":"it has one step"}`,
		`{"file":"b.parquet","row":0,"episode_id":0,"reason":"not finite"}`,
		``,
	}, "\n")
	if diff := cmp.Diff(want, buffer.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNextObservations covers what is kept of stored next observations.
func TestNextObservations(t *testing.T) {
	observations := []float32{1, 2, 3, 4, 5, 6}
	tests := []struct {
		name        string
		next        []float32
		kept, final []float32
	}{
		{"none", nil, nil, nil},
		{"shifted", []float32{3, 4, 5, 6, 7, 8}, nil, []float32{7, 8}},
		{"placeholder", []float32{3, 4, 5, 6, 5, 6}, nil, nil},
		{"different", []float32{3, 4, 5, 9, 7, 8}, []float32{3, 4, 5, 9, 7, 8}, []float32{7, 8}},
	}
	for _, test := range tests {
		kept, final := layout.NextObservations(observations, test.next, 2)
		if diff := cmp.Diff(test.kept, kept) + cmp.Diff(test.final, final); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// columnNames are the columns of D*.
func columnNames() (names []string) {
	for _, c := range transitions.Columns(transitions.WriterConfig{}) {
		names = append(names, c.Name)
	}
	return names
}
