package faults

import (
	"math"
	"path/filepath"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"
)

// rounding bounds what sampling in halves may change of a value: engines order
// their sums by the shape of the input, and refinement, which solves for actions through
// nets, makes more of what that changes. Other noise changes tenths.
const rounding = 1e-2

// TestOutOfMemory gives the device memory for less than a batch: it is sampled in
// halves, and D* is the undisturbed one up to rounding.
func TestOutOfMemory(t *testing.T) {
	setup(t)
	l := stitching.tally(t)
	t.Setenv("DIFFSTITCH_FAULTS_WINDOWS", "3") // of a batch of 8
	out := filepath.Join(t.TempDir(), "out")
	must(t, stitching.augment(t, "", out))
	l.runs++
	s, err := snapshot.Current(out)
	if err != nil {
		t.Fatal(err)
	}
	halvings := int64(0)
	for _, c := range s.Manifest.Metrics.Counters {
		if c.Namespace == "inference.denoiser" && c.Name == "out_of_memory_halvings" {
			halvings += c.Value
		}
	}
	if l.faults += int(halvings); halvings < 2 {
		t.Errorf("%d halvings, want those to 4 and to 2 windows", halvings)
	}
	l.count(readRows(t, out))
	if l.lost+l.doubled > 0 {
		t.Errorf("%d rows are lost and %d doubled", l.lost, l.doubled)
	}
	compareRounded(t, episodes(t, stitching.out), episodes(t, out))
	if r := command(t, world.binary, "inspect", "--verify", out); r.code != 0 {
		t.Errorf("it does not verify:\n%s", r.output)
	}
	checkClean(t, out)
}

// episodes are those of a dataset, by id.
func episodes(t *testing.T, path string) map[int64]*trajectory.Episode {
	t.Helper()
	all := map[int64]*trajectory.Episode{}
	fixture.EachEpisode(t, path, func(e *trajectory.Episode) { all[e.ID] = e })
	return all
}

// compareRounded holds the originals to each other bit for bit, and what is
// stitched up to rounding.
func compareRounded(t *testing.T, want, got map[int64]*trajectory.Episode) {
	t.Helper()
	for id, w := range want {
		g, most := got[id], 0.0
		if w.Provenance != nil {
			most = rounding
		}
		if g == nil || g.Len() != w.Len() {
			t.Errorf("episode %d is missing or of another length", id)
			continue
		}
		for i, columns := range [][2][]float32{{w.Observations, g.Observations}, {w.Actions, g.Actions}, {w.Rewards, g.Rewards}} {
			for at, v := range columns[0] {
				if d := math.Abs(float64(v) - float64(columns[1][at])); !(d <= most) {
					t.Errorf("episode %d: value %d of column %d is %v, want %v", id, at, i, columns[1][at], v)
				}
			}
		}
	}
}
