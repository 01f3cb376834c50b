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

// TestSurvey holds what two passes find in several files to a look at all pairs of states.
func TestSurvey(t *testing.T) {
	episodes := fixture.Maze(16, 4)
	dir := t.TempDir()
	var in Input
	var metas []trajectory.Meta
	for i, some := range [][]*trajectory.Episode{episodes[:7], episodes[7:]} {
		path := filepath.Join(dir, string(rune('a'+i))+".parquet")
		fixture.Write(t, path, some...)
		in.Files = append(in.Files, path)
		err := ScanFile(t.Context(), in, int32(i), Shape{4, 2}, func(_ *trajectory.Episode, m trajectory.Meta) { metas = append(metas, m) }, func(r dataset.Reject) { t.Error(r) })
		if err != nil {
			t.Fatal(err)
		}
	}
	v := Survey{Dir: t.TempDir(), Scale: []float32{0.1, 0.2, 0.3, 0.4}, Reach: 2, Lead: 5, Stride: 11, Discount: 0.9}
	anchors, first := surveyed(t, in, Shape{4, 2}, v)
	var want []trajectory.Anchor
	for i, e := range episodes {
		rests := v.rests(e)
		for step := 5; step <= e.Len(); step += 11 {
			if state, known := stateAt(e, step); known {
				want = append(want, trajectory.Anchor{File: metas[i].Location.File, Row: metas[i].Location.Row, Step: int32(step), Rest: rests[step], State: state})
			}
		}
	}
	if d := gocmp.Diff(want, anchors); d != "" {
		t.Fatalf("anchors (-want +got):\n%s", d)
	}
	gains := make([]trajectory.Gain, len(anchors))
	checkCrossings(t, v, first, anchors, gains, episodes, metas)
	for i := range gains {
		gains[i].Gain = float64(i % 7)
	}
	v.Pass = 1
	if err := v.SaveGains(t.Context(), gains); err != nil {
		t.Fatal(err)
	}
	v.EntryStride = 3
	_, second := surveyed(t, in, Shape{4, 2}, v)
	checkCrossings(t, v, second, anchors, gains, episodes, metas)
	if _, again := surveyed(t, in, Shape{4, 2}, v); gocmp.Diff(second, again) != "" {
		t.Errorf("looked for twice (-first +second):\n%s", gocmp.Diff(second, again))
	}
}

// checkCrossings goes through all states for what is worth most around each anchor.
func checkCrossings(t *testing.T, v Survey, got []trajectory.Crossing, anchors []trajectory.Anchor, gains []trajectory.Gain, episodes []*trajectory.Episode, metas []trajectory.Meta) {
	t.Helper()
	if len(got) < len(anchors)/10 {
		t.Fatalf("%d crossings at %d anchors", len(got), len(anchors))
	}
	for file := range int32(2) { // files are looked through apart
		var want []trajectory.Crossing
		for place, a := range anchors {
			want = append(want, look(v, a, int32(place), file, anchors, gains, episodes, metas)...)
		}
		here := slices.DeleteFunc(slices.Clone(got), func(x trajectory.Crossing) bool { return x.File != file })
		if d := gocmp.Diff(want, here, cmpopts.EquateApprox(1e-6, 0)); d != "" {
			t.Errorf("crossings into file %d in pass %d (-want +got):\n%s", file, v.Pass, d)
		}
	}
}

// look goes through all states of a file's episodes for what is worth most at an anchor.
func look(v Survey, a trajectory.Anchor, place, file int32, anchors []trajectory.Anchor, gains []trajectory.Gain, episodes []*trajectory.Episode, metas []trajectory.Meta) []trajectory.Crossing {
	type worth struct {
		trajectory.Crossing
		worth float64
	}
	var best []worth
	for i, e := range episodes {
		at := metas[i].Location
		if at.File != file || at.File == a.File && at.Row == a.Row {
			continue
		}
		var most worth
		for step, rest := range v.rests(e)[:e.Len()] {
			if v.EntryStride > 0 && (step-int(at.Row))%v.EntryStride != 0 {
				continue
			}
			sum := 0.0
			for d, s := range e.Observation(step) {
				off := float64(s/v.Scale[d] - a.State[d]/v.Scale[d])
				sum += off * off
			}
			value := rest
			for i, o := range anchors { // the first that can be made for
				if o.File == at.File && o.Row == at.Row && int(o.Step) >= step+1+v.Lead {
					value += math.Pow(v.Discount, float64(int(o.Step)-step)) * gains[i].Gain
					break
				}
			}
			distance := math.Sqrt(sum)
			if w := trajectory.Worth(value, a.Rest, distance, v.Reach) * trajectory.Drawn(a.Location(), a.Step, at); distance <= v.Reach && w > most.worth {
				most = worth{trajectory.Crossing{Anchor: place, File: at.File, Row: at.Row, Step: int32(step), Rest: rest, Distance: float32(distance)}, w}
			}
		}
		if most.worth > 0 {
			best = append(best, most)
		}
	}
	slices.SortStableFunc(best, func(a, b worth) int { return cmp.Compare(b.worth, a.worth) })
	var found []trajectory.Crossing
	for _, w := range best[:min(len(best), trajectory.WaysEach)] {
		found = append(found, w.Crossing)
	}
	return found
}

// TestStatesThatAreTheSame make no list of the tree.
func TestStatesThatAreTheSame(t *testing.T) {
	const n = 1 << 15
	x := newStateIndex(Survey{Scale: []float32{1, 1}, Reach: 1}, nil)
	for i := range n {
		x.entries = append(x.entries, entry{row: int64(i)})
	}
	x.states = make([]float32, 2*n)
	x.build()
	depth := 0
	for node := int32(0); depth == 0 || node != 0; node = x.tree.nodes[node].left {
		depth++
	}
	if depth > 17 || len(x.tree.nodes) < n/leafStates {
		t.Errorf("%d states that are the same make a tree %d deep", n, depth)
	}
}
