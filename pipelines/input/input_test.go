package input_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/testing/fixture"
)

func ExampleDataset_Each() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path, ctx := filepath.Join(dir, "maze.parquet"), context.Background()
	if _, err := exchange.GeneratePointMaze(ctx, exchange.GenerateOptions{Out: path, Episodes: 5, Seed: 1}); err != nil {
		panic(err)
	}
	data, err := input.Data{Path: path}.Open()
	if err != nil {
		panic(err)
	}
	steps := 0
	counts, err := data.Each(ctx, func(e *trajectory.Episode) error {
		steps += e.Len()
		return nil
	})
	fmt.Println(counts.Usable, "episodes,", counts.Rejected, "rejected;", steps, "steps", err)
	fmt.Println("observations of", data.Shape.ObservationDim, "values, actions of", data.Shape.ActionDim)
	// Output:
	// 5 episodes, 0 rejected; 737 steps <nil>
	// observations of 4 values, actions of 2
}

// written opens episodes that were written to a file of their own.
func written(t *testing.T, maxRejectShare float64, episodes ...*trajectory.Episode) input.Dataset {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.parquet")
	fixture.Write(t, path, episodes...)
	data, err := input.Data{Path: path, MaxRejectShare: maxRejectShare}.Open()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEachStopsWhereItIsToldTo(t *testing.T) {
	data, enough, seen := written(t, 0, fixture.Maze(6, 1)...), errors.New("enough"), 0
	_, err := data.Each(t.Context(), func(*trajectory.Episode) error {
		if seen++; seen == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || errors.Is(err, failure.ErrData) || seen != 3 {
		t.Errorf("%d episodes and error %v, want 3 and %v", seen, err, enough)
	}
}

func TestEachAllowsAShareOfRejects(t *testing.T) {
	episodes := fixture.Maze(4, 1)
	e := episodes[1]
	episodes[1] = &trajectory.Episode{
		ID: e.ID, ObservationDim: e.ObservationDim, ActionDim: e.ActionDim,
		Observations: e.Observations[:4], Actions: e.Actions[:2], Rewards: e.Rewards[:1],
	}
	ignore := func(*trajectory.Episode) error { return nil }
	if counts, err := written(t, 0.25, episodes...).Each(t.Context(), ignore); err != nil || counts != (input.Counts{Usable: 3, Rejected: 1}) {
		t.Errorf("%+v: %v", counts, err)
	}
	_, err := written(t, 0.2, episodes...).Each(t.Context(), ignore)
	if !errors.Is(err, failure.ErrData) || !strings.Contains(err.Error(), "1 of 4 episodes cannot be used (too short: 1), more than --max-reject-share 0.2 allows") {
		t.Errorf("error %v", err)
	}
}

// TestOpenGoesByTheManifest: of a snapshot that lists files of one before, all are read,
// and each is checked.
func TestOpenGoesByTheManifest(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	episodes := fixture.Maze(5, 1)
	first := fixture.Published(t, out, episodes[:2]...)
	second := fixture.Grown(t, out, episodes[2:]...)
	for path, want := range map[string]int{out: 5, second.Dir: 5, second.DataDir(): 5, first.Dir: 2} {
		data, err := input.Data{Path: path, Verify: true}.Open()
		if err != nil {
			t.Fatal(err)
		}
		counts, err := data.Each(t.Context(), func(*trajectory.Episode) error { return nil })
		if err != nil || counts.Usable != want {
			t.Errorf("%s: %+v, want %d: %v", path, counts, want, err)
		}
	}
	if err := os.Truncate(first.Files()[1], 10); err != nil {
		t.Fatal(err)
	}
	if _, err := (input.Data{Path: out}).Open(); !errors.Is(err, failure.ErrData) || !strings.Contains(err.Error(), "it has 10 bytes") {
		t.Errorf("a file of an earlier snapshot is cut: %v", err)
	}
}
