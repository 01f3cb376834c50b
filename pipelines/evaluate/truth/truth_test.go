package truth_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/pipelines/evaluate/truth"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/testing/fixture"

	"github.com/google/go-cmp/cmp"
)

// offBy makes a D* of real episodes, and of copies whose transitions lead a known
// distance away from the truth, which is also their qualification error.
func offBy(t *testing.T, distances ...float32) string {
	t.Helper()
	originals := fixture.Maze(20, 1)
	all := originals
	for i, off := range distances {
		e := *originals[i]
		e.ID = int64(100 + i)
		e.NextObservations = append(e.Observations[e.ObservationDim:len(e.Observations):len(e.Observations)], e.FinalObservation...)
		e.FinalObservation = nil
		p := &trajectory.Provenance{Source: trajectory.Stitched, LowID: 1, HighID: 2, Bridges: []trajectory.Range{{From: 3, To: 8}}}
		for step := 3; step < 8; step++ {
			e.NextObservations[step*e.ObservationDim] += off
			p.Errors = append(p.Errors, off)
		}
		e.Provenance = p
		all = append(all, &e)
	}
	path := filepath.Join(t.TempDir(), "dstar.parquet")
	fixture.Write(t, path, all...)
	return path
}

func judge(t *testing.T, path string, dimensions ...int) truth.Truth {
	t.Helper()
	found, err := truth.Judge(t.Context(), truth.Options{Data: input.Data{Path: path}, Env: "pointmaze", Dimensions: dimensions}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTruth(t *testing.T) {
	path := offBy(t, 0.001, 0.002, 10, 20)
	found := judge(t, path)
	if found.Real.Max != 0 || found.Real.True != 1 || found.Bound <= 0.002 || found.Bound >= 1 || math.Abs(found.Shuffled.True-0.05) > 0.01 {
		t.Errorf("scale: bound %v, real %+v, shuffled %+v", found.Bound, found.Real, found.Shuffled)
	}
	if got := found.Generated[trajectory.Stitched]; got.Rows != 20 || got.Unset != 0 || got.True != 0.5 || math.Abs(got.Max-20) > 1e-5 {
		t.Errorf("stitched %+v", got)
	}
	if got := found.Generated[trajectory.Stitched].Episodes; got == nil || got.Count != 4 || got.True != 0.5 || math.Abs(got.Worst-0.002) > 1e-5 {
		t.Errorf("stitched episodes %+v", got)
	}
	for what, f := range map[string]*truth.Filter{"transitions": found.Transitions, "episodes": found.Episodes} {
		last := f.Levels[len(f.Levels)-1]
		if f.Spearman < 0.9 || last.Delta != 20 || last.Precision != 0.5 || f.Levels[3].Precision != 1 {
			t.Errorf("%s: %+v", what, f)
		}
	}
	if found.Transitions.Count != 20 || found.Episodes.Count != 4 {
		t.Errorf("%d transitions and %d episodes, want 20 and 4", found.Transitions.Count, found.Episodes.Count)
	}
	if got := judge(t, path, 1, 2, 3).Generated[trajectory.Stitched]; got.Max != 0 {
		t.Errorf("but for the first dimension all is true: %+v", got)
	}
	if text := found.Text(); !strings.Contains(text, "stitched") || !strings.Contains(text, "50.0 % of 4 episodes are true") {
		t.Errorf("text:\n%s", text)
	}
}

func TestTruthIsWritten(t *testing.T) {
	found, dir := judge(t, offBy(t, 0.01, 0.5)), t.TempDir()
	if err := found.Write(dir, "dstar"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var read truth.Truth
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(found.Generated, read.Generated); d != "" {
		t.Errorf("truth.json (-judged +read):\n%s", d)
	}
	page, err := os.ReadFile(filepath.Join(dir, "truth.html"))
	if err != nil || !strings.Contains(string(page), "True one-step error") || !strings.Contains(string(page), "Judged by the simulator") || !strings.Contains(string(page), "of the stitched episodes are true in every transition") {
		t.Errorf("the page has %d bytes, and lacks a section: %v", len(page), err)
	}
}

func TestTruthRejects(t *testing.T) {
	walks := filepath.Join(t.TempDir(), "walks.parquet")
	fixture.Write(t, walks, fixture.RandomWalks(fixture.Shape{Episodes: 5, MaxSteps: 20, ObservationDim: 3, ActionDim: 1}, 1)...)
	maze := filepath.Join(t.TempDir(), "maze.parquet")
	fixture.Write(t, maze, fixture.Maze(5, 1)...)
	tests := []struct {
		name    string
		options truth.Options
		kind    error
		want    string
	}{
		{"nothing generated", truth.Options{Data: input.Data{Path: maze}, Env: "pointmaze"}, failure.ErrData, "no generated transitions"},
		{"another environment's", truth.Options{Data: input.Data{Path: walks}, Env: "pointmaze"}, failure.ErrUsage, "observations of 3 values"},
		{"no such dimension", truth.Options{Data: input.Data{Path: maze}, Env: "pointmaze", Dimensions: []int{4}}, failure.ErrUsage, "dimension 4"},
		{"no environment", truth.Options{Data: input.Data{Path: maze}}, failure.ErrUsage, "pointmaze"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := truth.Judge(t.Context(), test.options, nil); !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
