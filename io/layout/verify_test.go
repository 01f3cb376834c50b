package layout_test

import (
	"context"
	"encoding/json"
	"flag"
	"maps"
	"math"
	"os"
	"strings"
	"testing"

	"diffstitch/io/trajectory"

	"github.com/google/go-cmp/cmp"

	"diffstitch/io/dataset"
	"diffstitch/io/layout"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// mixedEpisodes are originals and a stitched episode with a bridge of two.
func mixedEpisodes() []*trajectory.Episode {
	episodes := testEpisodes()
	stitched := testEpisodes()[1]
	stitched.ID = 1000
	stitched.Provenance = &trajectory.Provenance{Source: trajectory.Stitched, LowID: 100, HighID: 94, Bridges: []trajectory.Range{{From: 2, To: 4}}, Origins: []trajectory.Origin{{EpisodeID: 100}, {EpisodeID: 94, Step: 3}}, Errors: []float32{0.5, 0.25}, Residuals: []float32{0, 0.125}}
	return append(episodes, stitched)
}

// syntheticEpisodes are one with qualification errors and one, of a single step,
// without.
func syntheticEpisodes() []*trajectory.Episode {
	rolled, sampled := testEpisodes()[1], testEpisodes()[1]
	rolled.ID = 1001
	rolled.Provenance = &trajectory.Provenance{Source: trajectory.TATU, Errors: make([]float32, rolled.Len())}
	sampled.ID, sampled.Observations, sampled.Actions, sampled.Rewards = 1002, sampled.Observations[:3], sampled.Actions[:2], sampled.Rewards[:1]
	sampled.Provenance = &trajectory.Provenance{Source: trajectory.SynthER}
	return []*trajectory.Episode{rolled, sampled}
}

func TestVerifyAccepts(t *testing.T) {
	dir := t.TempDir()
	files := []string{dir + "/a.parquet", dir + "/b.parquet", dir + "/c.parquet"}
	all := append(mixedEpisodes(), syntheticEpisodes()...)
	config := dataset.WriterConfig{ObservationDim: 3, ActionDim: 2, RowGroupRows: 20}
	writeFile(t, files[0], config, all[:3]...)
	writeFile(t, files[1], config) // without rows
	writeFile(t, files[2], config, all[3:]...)
	violations, checked, err := dataset.Verify(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	want := dataset.Checked{Files: 3, Episodes: 10, Transitions: 135, Generated: 10, Violations: map[dataset.Rule]int64{}}
	if diff := cmp.Diff([]dataset.Violation(nil), violations) + cmp.Diff(want, checked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// dstarColumns is mixedEpisodes' table of D*, for a test to spoil.
func dstarColumns() map[string]*testColumn {
	episodes := append(mixedEpisodes(), syntheticEpisodes()...)
	columns := transitionColumns(episodes, float32s)
	for _, c := range []testColumn{
		{name: "source", kind: words}, {name: "generated", kind: bools},
		{name: "low_episode_id", kind: int64s}, {name: "high_episode_id", kind: int64s}, {name: "from_episode_id", kind: int64s}, {name: "from_step", kind: int32s}, {name: "qualification_error", kind: float32s},
		{name: layout.Residual, kind: float32s},
	} {
		columns[c.name] = &c
	}
	add := func(name string, value any) { columns[name].values = append(columns[name].values, value) }
	for _, e := range episodes {
		for step := range e.Len() {
			p := e.Provenance
			if p == nil {
				add("source", trajectory.Original)
				add("generated", false)
				add("low_episode_id", nil)
				add("high_episode_id", nil)
				add("from_episode_id", nil)
				add("from_step", nil)
				add("qualification_error", nil)
				add(layout.Residual, nil)
				continue
			}
			span := p.Generated(e.Len())[0]
			generated := step >= span.From && step < span.To
			add("source", p.Source)
			add("generated", generated)
			if p.Source == trajectory.Stitched {
				add("low_episode_id", p.LowID)
				add("high_episode_id", p.HighID)
			} else {
				add("low_episode_id", nil)
				add("high_episode_id", nil)
			}
			switch {
			case generated:
				add("from_episode_id", nil)
				add("from_step", nil)
			case step < span.From:
				add("from_episode_id", p.LowID)
				add("from_step", int(p.Origins[0].Step+step))
			default:
				add("from_episode_id", p.HighID)
				add("from_step", int(p.Origins[1].Step+step-span.To))
			}
			if generated && len(p.Errors) > 0 {
				add("qualification_error", p.Errors[step-span.From])
			} else {
				add("qualification_error", nil)
			}
			if generated && len(p.Residuals) > 0 {
				add(layout.Residual, p.Residuals[step-span.From])
			} else {
				add(layout.Residual, nil)
			}
		}
	}
	return columns
}

func TestVerifyRejects(t *testing.T) {
	type columns = map[string]*testColumn
	set := func(column string, row int, value any) func(columns) {
		return func(c columns) { c[column].values[row] = value }
	}
	// The stitched episode lies at rows 120 to 126, its bridge at 122 and 123; a
	// rollout at 127 to 133, and a sampled transition at 134.
	tests := []struct {
		name  string
		spoil func(columns)
		want  map[dataset.Rule]int64
	}{
		{"good", func(columns) {}, map[dataset.Rule]int64{}},
		{"no source", func(c columns) { c["source"].name = "origin" }, map[dataset.Rule]int64{dataset.RuleColumns: 1}},
		{"float64 rewards", func(c columns) { c["rewards"].kind = float64s }, map[dataset.Rule]int64{dataset.RuleColumns: 1}},
		{"an id twice", func(c columns) { c["episode_id"].values[0], c["episode_id"].values[1] = 97, 97 }, map[dataset.Rule]int64{dataset.RuleUniqueID: 0, dataset.RuleSteps: 1, dataset.RuleFlags: 1}},
		{"an id again", func(c columns) {
			c["episode_id"].values[39], c["episode_id"].values[40], c["episode_id"].values[41] = 100, 100, 100
		}, map[dataset.Rule]int64{dataset.RuleUniqueID: 1}},
		{"a step out of order", set("step", 50, 99), map[dataset.Rule]int64{dataset.RuleSteps: 2}},
		{"a late start", set("step", 0, 1), map[dataset.Rule]int64{dataset.RuleSteps: 2}},
		{"a flag inside", set("timeouts", 50, true), map[dataset.Rule]int64{dataset.RuleFlags: 1}},
		{"no flag", set("terminals", 126, false), map[dataset.Rule]int64{dataset.RuleFlags: 0}},
		{"both flags", func(c columns) { c["terminals"].values[126], c["timeouts"].values[126] = true, true }, map[dataset.Rule]int64{dataset.RuleFlags: 1}},
		{"an unknown source", func(c columns) {
			for row := 120; row < 127; row++ {
				c["source"].values[row] = "dreamt"
			}
		}, map[dataset.Rule]int64{dataset.RuleSource: 7}},
		{"sources differ", set("source", 124, "tatu"), map[dataset.Rule]int64{dataset.RuleProvenance: 4, dataset.RuleGenerated: 1}},
		{"a rollout's real row", set("generated", 130, false), map[dataset.Rule]int64{dataset.RuleGenerated: 1, dataset.RuleError: 1}},
		{"a rollout's error missing", set("qualification_error", 130, nil), map[dataset.Rule]int64{dataset.RuleError: 2}},
		{"a rollout with an id", set("high_episode_id", 130, 5), map[dataset.Rule]int64{dataset.RuleProvenance: 3}},
		{"a jump in a rollout", set("next_observations", 130, []any{1, 2, 3}), map[dataset.Rule]int64{dataset.RuleContinuous: 1}},
		{"a sampled transition judged", set("qualification_error", 134, 1.0), map[dataset.Rule]int64{}},
		{"generated original", func(c columns) { c["generated"].values[5], c["qualification_error"].values[5] = true, 1.0 }, map[dataset.Rule]int64{dataset.RuleGenerated: 1}},
		{"an error too many", set("qualification_error", 5, 1.0), map[dataset.Rule]int64{dataset.RuleError: 1}},
		{"an error missing", set("qualification_error", 122, nil), map[dataset.Rule]int64{dataset.RuleError: 1}},
		{"an original with an id", set("low_episode_id", 0, 3), map[dataset.Rule]int64{dataset.RuleProvenance: 2}},
		{"another episode's step", set("from_step", 125, 9), map[dataset.Rule]int64{dataset.RuleProvenance: 2}},
		{"another low episode", set("from_episode_id", 120, 5), map[dataset.Rule]int64{dataset.RuleProvenance: 2}},
		{"no origin", set("from_episode_id", 126, nil), map[dataset.Rule]int64{dataset.RuleProvenance: 1}},
		{"an original with an origin", set("from_step", 0, 3), map[dataset.Rule]int64{dataset.RuleProvenance: 1}},
		{"a jump in an original", set("next_observations", 5, []any{1, 2, 3}), map[dataset.Rule]int64{}},
		{"a jump in a stitch", set("next_observations", 122, []any{1, 2, 3}), map[dataset.Rule]int64{dataset.RuleContinuous: 1}},
		{"NaN", set("actions", 7, []any{1, math.NaN()}), map[dataset.Rule]int64{dataset.RuleFinite: 1}},
		{"an infinite error", set("qualification_error", 122, math.Inf(1)), map[dataset.Rule]int64{dataset.RuleFinite: 1}},
		{"no residuals, as in earlier versions", func(c columns) { c[layout.Residual].name = "rest" }, map[dataset.Rule]int64{}},
		{"a residual too many", set(layout.Residual, 5, 0.0), map[dataset.Rule]int64{dataset.RuleError: 1}},
		{"a residual missing", set(layout.Residual, 123, nil), map[dataset.Rule]int64{dataset.RuleError: 1}},
		{"a negative residual", set(layout.Residual, 122, -1.0), map[dataset.Rule]int64{dataset.RuleFinite: 1}},
		{"ragged", set("observations", 7, []any{1, 2}), map[dataset.Rule]int64{dataset.RuleDims: 1}},
		{"null flag", set("terminals", 7, nil), map[dataset.Rule]int64{dataset.RuleDims: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spoiled := dstarColumns()
			test.spoil(spoiled)
			var names []string
			for _, name := range columnNames() {
				if c := spoiled[name]; c.name != name {
					name += ":" + c.name
				}
				names = append(names, name)
			}
			path := writeTable(t, pick(spoiled, names...), 16)
			violations, checked, err := dataset.Verify(t.Context(), []string{path})
			if err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(test.want, func(_ dataset.Rule, n int64) bool { return n == 0 })
			if diff := cmp.Diff(test.want, checked.Violations); diff != "" {
				t.Errorf("(-want +got):\n%s\n%v", diff, violations)
			}
		})
	}
}

func TestVerifyOtherDims(t *testing.T) {
	dir := t.TempDir()
	files := []string{dir + "/a.parquet", dir + "/b.parquet"}
	other := testEpisodes()[0]
	other.ID, other.ObservationDim, other.ActionDim, other.Observations, other.Actions, other.FinalObservation = 5, 2, 3, other.Actions, other.Observations, nil
	writeFile(t, files[0], dataset.WriterConfig{ObservationDim: 3, ActionDim: 2}, testEpisodes()[0])
	writeFile(t, files[1], dataset.WriterConfig{ObservationDim: 2, ActionDim: 3}, other)
	_, checked, err := dataset.Verify(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[dataset.Rule]int64{dataset.RuleDims: 1}, checked.Violations); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := dataset.Inspect(t.Context(), files, dataset.Options{}); err == nil || !strings.Contains(err.Error(), "not one dataset") {
		t.Errorf("inspecting: %v", err)
	}
}

func TestInspect(t *testing.T) {
	path := writeBytes(t, nil)
	episodes := mixedEpisodes()
	episodes[0].FinalObservation = nil
	short := testEpisodes()[0]
	short.ID, short.Observations, short.Actions, short.Rewards = 7, short.Observations[:3], short.Actions[:2], short.Rewards[:1]
	writeFile(t, path, dataset.WriterConfig{ObservationDim: 3, ActionDim: 2, RowGroupRows: 20}, append(episodes, short)...)
	got, err := dataset.Inspect(context.Background(), []string{path}, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got.Examples {
		got.Examples[i].File = "data.parquet"
	}
	encoded, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/inspect.json", string(encoded)+"\n")
	golden(t, "testdata/inspect.txt", got.Text())
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
