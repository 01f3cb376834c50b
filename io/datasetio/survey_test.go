package datasetio

import (
	"cmp"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// surveyed is what a survey of the input finds.
func surveyed(t *testing.T, in Input, shape Shape, v Survey) ([]trajectory.Anchor, []trajectory.Crossing) {
	t.Helper()
	ptest.BuildAndRun(t, func(s beam.Scope) { Crossings(s, in, shape, v) })
	anchors, err := v.LoadAnchors()
	if err != nil {
		t.Fatal(err)
	}
	var crossings []trajectory.Crossing
	if err := v.LoadCrossings(func(some []trajectory.Crossing) { crossings = append(crossings, some...) }); err != nil {
		t.Fatal(err)
	}
	return anchors, crossings
}

// TestSurvey holds what is found in several files to a look at all pairs of states.
func TestSurvey(t *testing.T) {
	episodes := fixture.Maze(60, 4)
	dir := t.TempDir()
	var in Input
	var metas []trajectory.Meta
	for i, some := range [][]*trajectory.Episode{episodes[:25], episodes[25:]} {
		path := filepath.Join(dir, string(rune('a'+i))+".parquet")
		fixture.Write(t, path, some...)
		in.Files = append(in.Files, path)
		err := ScanFile(t.Context(), in, int32(i), Shape{4, 2}, func(_ *trajectory.Episode, m trajectory.Meta) { metas = append(metas, m) }, func(r dataset.Reject) { t.Error(r) })
		if err != nil {
			t.Fatal(err)
		}
	}
	v := Survey{Dir: t.TempDir(), Scale: []float32{0.1, 0.2, 0.3, 0.4}, Reach: 2, Lead: 5, Stride: 7, Discount: 0.9}
	anchors, crossings := surveyed(t, in, Shape{4, 2}, v)
	if len(crossings) == 0 {
		t.Fatal("nothing was found")
	}
	var want []trajectory.Anchor
	for i, e := range episodes {
		rests := v.rests(e)
		for step := 5; step <= e.Len(); step += 7 {
			if state, known := stateAt(e, step); known {
				want = append(want, trajectory.Anchor{File: metas[i].Location.File, Row: metas[i].Location.Row, Step: int32(step), Rest: rests[step], State: state})
			}
		}
	}
	if d := gocmp.Diff(want, anchors); d != "" {
		t.Fatalf("anchors (-want +got):\n%s", d)
	}
	for file := range int32(2) { // files are looked through apart
		var expected []trajectory.Crossing
		for place, a := range anchors {
			expected = append(expected, look(v, a, int32(place), file, episodes, metas)...)
		}
		got := slices.DeleteFunc(slices.Clone(crossings), func(x trajectory.Crossing) bool { return x.File != file })
		if d := gocmp.Diff(expected, got, cmpopts.EquateApprox(1e-6, 0)); d != "" {
			t.Errorf("crossings into file %d (-want +got):\n%s", file, d)
		}
	}
	_, again := surveyed(t, in, Shape{4, 2}, Survey{Dir: t.TempDir(), Scale: v.Scale, Reach: v.Reach, Lead: v.Lead, Stride: v.Stride, Discount: v.Discount})
	if d := gocmp.Diff(crossings, again); d != "" {
		t.Errorf("looked for twice (-first +second):\n%s", d)
	}
}

// look goes through all states of a file's episodes for those near an anchor.
func look(v Survey, a trajectory.Anchor, place, file int32, episodes []*trajectory.Episode, metas []trajectory.Meta) []trajectory.Crossing {
	var nearest []trajectory.Crossing
	for i, e := range episodes {
		at := metas[i].Location
		if at.File != file || at.File == a.File && at.Row == a.Row {
			continue
		}
		best := trajectory.Crossing{Distance: float32(math.Inf(1))}
		for step, rest := range v.rests(e)[:e.Len()] {
			sum := 0.0
			for d, s := range e.Observation(step) {
				off := float64(s/v.Scale[d] - a.State[d]/v.Scale[d])
				sum += off * off
			}
			if distance := float32(math.Sqrt(sum)); float64(distance) <= v.Reach && distance < best.Distance {
				best = trajectory.Crossing{Anchor: place, File: at.File, Row: at.Row, Step: int32(step), Rest: rest, Distance: distance}
			}
		}
		if best.Distance < float32(math.Inf(1)) {
			nearest = append(nearest, best)
		}
	}
	slices.SortFunc(nearest, func(a, b trajectory.Crossing) int { return cmp.Compare(a.Distance, b.Distance) })
	nearest = nearest[:min(len(nearest), mostEpisodes)]
	if len(nearest) > MostCrossings {
		slices.SortFunc(nearest[MostCrossings/2:], func(a, b trajectory.Crossing) int {
			return cmp.Or(cmp.Compare(b.Rest, a.Rest), cmp.Compare(a.Distance, b.Distance))
		})
		nearest = nearest[:MostCrossings]
	}
	return nearest
}

// TestStatesThatAreTheSame make no list of the tree.
func TestStatesThatAreTheSame(t *testing.T) {
	const n = 1 << 15
	x := newStateIndex(Survey{Scale: []float32{1, 1}, Reach: 1})
	for i := range n {
		x.entries = append(x.entries, entry{row: int64(i)})
	}
	x.states = make([]float32, 2*n)
	x.build()
	depth := 0
	for node := x.tree.Root; node != nil; node = node.Left {
		depth++
	}
	if depth > 17 {
		t.Errorf("%d states that are the same make a tree %d deep", n, depth)
	}
}
