package datasetio

import (
	"cmp"
	"path/filepath"
	"slices"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

func TestMain(m *testing.M) { ptest.Main(m) }

var shape = Shape{ObservationDim: 3, ActionDim: 2}

// walks makes episodes of any length, a single step included.
func walks(episodes int, seed uint64) []*trajectory.Episode {
	return fixture.RandomWalks(fixture.Shape{Episodes: episodes, MaxSteps: 9, ObservationDim: 3, ActionDim: 2}, seed)
}

// longWalks are the walks of two steps or more, those that are not rejected.
func longWalks(episodes int, seed uint64) []*trajectory.Episode {
	return slices.DeleteFunc(walks(episodes, seed), func(e *trajectory.Episode) bool { return e.Len() < 2 })
}

// write makes the input of one file.
func write(t *testing.T, episodes ...*trajectory.Episode) Input {
	t.Helper()
	path := filepath.Join(t.TempDir(), "walks.parquet")
	fixture.Write(t, path, episodes...)
	return Input{Files: []string{path}}
}

// readFile gives what a file holds, in order.
func readFile(t *testing.T, path string) ([]*trajectory.Episode, []trajectory.Meta) {
	t.Helper()
	var episodes []*trajectory.Episode
	var metas []trajectory.Meta
	err := ScanFile(t.Context(), Input{Files: []string{path}}, 0, shape, func(e *trajectory.Episode, m trajectory.Meta) {
		episodes, metas = append(episodes, e), append(metas, m)
	}, func(r dataset.Reject) { t.Error(r) })
	if err != nil {
		t.Fatal(err)
	}
	return episodes, metas
}

// collect runs a pipeline of records and gives them in order.
func collect[T any](t *testing.T, order func(a, b T) int, build func(s beam.Scope) beam.PCollection) []T {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.parquet")
	ptest.BuildAndRun(t, func(s beam.Scope) { WriteRecords[T](s, path, build(s)) })
	records, err := LoadRecords[T](path)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(records, order)
	return records
}

func byIndex(a, b trajectory.Outcome) int { return cmp.Compare(a.Index, b.Index) }
