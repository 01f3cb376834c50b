package pipelines_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/pipelines"
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
		p := &trajectory.Provenance{Source: trajectory.Stitched, LowID: 1, HighID: 2, BridgeStart: 3}
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

func judge(t *testing.T, path string, dimensions ...int) pipelines.Truth {
	t.Helper()
	truth, err := pipelines.JudgeTruth(t.Context(), pipelines.TruthOptions{Data: pipelines.Data{Path: path}, Env: "pointmaze", Dimensions: dimensions}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

func TestTruth(t *testing.T) {
	path := offBy(t, 0.001, 0.002, 10, 20)
	truth := judge(t, path)
	if truth.Real.Max != 0 || truth.Real.True != 1 || truth.Bound <= 0.002 || truth.Bound >= 1 || math.Abs(truth.Shuffled.True-0.05) > 0.01 {
		t.Errorf("scale: bound %v, real %+v, shuffled %+v", truth.Bound, truth.Real, truth.Shuffled)
	}
	if got := truth.Generated[trajectory.Stitched]; got.Rows != 20 || got.Unset != 0 || got.True != 0.5 || math.Abs(got.Max-20) > 1e-5 {
		t.Errorf("stitched %+v", got)
	}
	for what, f := range map[string]*pipelines.Filter{"transitions": truth.Transitions, "episodes": truth.Episodes} {
		last := f.Levels[len(f.Levels)-1]
		if f.Spearman < 0.9 || last.Delta != 20 || last.Precision != 0.5 || f.Levels[3].Precision != 1 {
			t.Errorf("%s: %+v", what, f)
		}
	}
	if truth.Transitions.Count != 20 || truth.Episodes.Count != 4 {
		t.Errorf("%d transitions and %d episodes, want 20 and 4", truth.Transitions.Count, truth.Episodes.Count)
	}
	if got := judge(t, path, 1, 2, 3).Generated[trajectory.Stitched]; got.Max != 0 {
		t.Errorf("but for the first dimension all is true: %+v", got)
	}
	if text := truth.Text(); !strings.Contains(text, "stitched") || !strings.Contains(text, "4 episodes") {
		t.Errorf("text:\n%s", text)
	}
}

func TestTruthIsWritten(t *testing.T) {
	truth, dir := judge(t, offBy(t, 0.01, 0.5)), t.TempDir()
	if err := truth.Write(dir, "dstar"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var read pipelines.Truth
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(truth.Generated, read.Generated); d != "" {
		t.Errorf("truth.json (-judged +read):\n%s", d)
	}
	page, err := os.ReadFile(filepath.Join(dir, "truth.html"))
	if err != nil || !strings.Contains(string(page), "True one-step error") || !strings.Contains(string(page), "Judged by the simulator") {
		t.Errorf("the page has %d bytes, and lacks a section: %v", len(page), err)
	}
}

// TestTruthOfStitches judges what augment makes.
func TestTruthOfStitches(t *testing.T) {
	o := augmenting(t)
	augment(t, o)
	truth := judge(t, o.Out)
	if truth.Transitions == nil || truth.Transitions.Count != truth.Generated[trajectory.Stitched].Rows || truth.Real.Max != 0 {
		t.Errorf("truth %+v", truth)
	}
	if d := cmp.Diff(truth.Text(), judge(t, o.Out).Text()); d != "" {
		t.Errorf("judged twice (-first +second):\n%s", d)
	}
}

func TestTruthRejects(t *testing.T) {
	walks := filepath.Join(t.TempDir(), "walks.parquet")
	fixture.Write(t, walks, fixture.RandomWalks(fixture.Shape{Episodes: 5, MaxSteps: 20, ObservationDim: 3, ActionDim: 1}, 1)...)
	tests := []struct {
		name    string
		options pipelines.TruthOptions
		kind    error
		want    string
	}{
		{"nothing generated", pipelines.TruthOptions{Data: pipelines.Data{Path: world.data}, Env: "pointmaze"}, pipelines.ErrData, "no generated transitions"},
		{"another environment's", pipelines.TruthOptions{Data: pipelines.Data{Path: walks}, Env: "pointmaze"}, pipelines.ErrUsage, "observations of 3 values"},
		{"no such dimension", pipelines.TruthOptions{Data: pipelines.Data{Path: world.data}, Env: "pointmaze", Dimensions: []int{4}}, pipelines.ErrUsage, "dimension 4"},
		{"no environment", pipelines.TruthOptions{Data: pipelines.Data{Path: world.data}}, pipelines.ErrUsage, "pointmaze"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := pipelines.JudgeTruth(t.Context(), test.options, nil); !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
