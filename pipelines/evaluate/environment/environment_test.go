package environment_test

import (
	"errors"
	"path/filepath"
	"testing"

	"diffstitch/pipelines/evaluate/environment"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/testing/fixture"
)

// TestCheck looks at data before it is learnt from.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	maze, walks := filepath.Join(dir, "maze.parquet"), filepath.Join(dir, "walks.parquet")
	fixture.Write(t, maze, fixture.Maze(5, 1)...)
	fixture.Write(t, walks, fixture.RandomWalks(fixture.Shape{Episodes: 5, MaxSteps: 20, ObservationDim: 3, ActionDim: 1}, 1)...)
	for path, fine := range map[string]bool{maze: true, walks: false} {
		err := environment.Check(t.Context(), input.Data{Path: path}, "", "pointmaze")
		if fine && err != nil || !fine && !errors.Is(err, failure.ErrUsage) {
			t.Errorf("%s: error %v", path, err)
		}
	}
}
