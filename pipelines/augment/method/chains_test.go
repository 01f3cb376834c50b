package method

import (
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/mix"
	"diffstitch/transforms/pair"

	"github.com/google/go-cmp/cmp"
)

// chained is a run in which a chain of three bridges was planned: from episode 0 by 1 and
// 2 to 3. Episode e's last state is near the first of episode e+1, and the last alone
// earns something.
func chained(t *testing.T, rejected ...int64) *Work {
	t.Helper()
	const steps = 20
	w := &Work{Settings: DefaultSettings(), Batch: 2}
	w.Settings.Pairing = pair.Crossings
	w.Models.Horizon = 16
	var anchors []trajectory.Anchor
	var crossings []trajectory.Crossing
	for e := range int64(4) {
		m := trajectory.Meta{ID: e, Location: trajectory.Location{Row: e * steps, Rows: steps}, Steps: steps}
		w.Metas = append(w.Metas, m)
		if e < 3 {
			anchors = append(anchors, trajectory.Anchor{Row: m.Location.Row, Step: steps})
			crossings = append(crossings, trajectory.Crossing{Anchor: int32(e), Row: (e + 1) * steps, Step: 1, Rest: float64(10 * (e / 2))})
		}
	}
	for i := range w.Metas[:1] {
		w.Pools.Low = append(w.Pools.Low, &w.Metas[i])
	}
	w.crossings = pair.NewGraph(w.Settings.crossings(w.Models.Horizon, 1), w.Metas, anchors)
	for more := true; more; more = w.crossings.Solve() {
		w.crossings.Add(crossings)
	}
	gone := map[int64]bool{}
	for _, index := range rejected {
		gone[index] = true
	}
	for _, b := range w.leaps(Round{Count: 10}) {
		for _, p := range b.Pairs {
			o := trajectory.Outcome{Pair: p, Staged: trajectory.Location{File: int32(b.Index), Row: p.Index * 8, Rows: 8}}
			if gone[p.Index] {
				o.Rejected = "dynamics error"
			}
			w.Outcomes = append(w.Outcomes, o)
		}
	}
	if len(w.Outcomes) != 3 {
		t.Fatalf("%d bridges were planned, want 3", len(w.Outcomes))
	}
	return w
}

// episodes of each stitched one, by id, in order.
func episodes(stitches []trajectory.Outcome) (all [][]int64) {
	for _, o := range stitches {
		ids := []int64{o.Low.Episode.ID, o.High.Episode.ID}
		for _, hop := range o.Onward {
			ids = append(ids, hop.High.Episode.ID)
		}
		all = append(all, ids)
	}
	return all
}

// TestStitches: a chain that leads on without its rejected bridges is there, and one that
// leads nowhere is not.
func TestStitches(t *testing.T) {
	for _, test := range []struct {
		rejected []int64
		want     [][]int64
	}{
		{nil, [][]int64{{0, 1, 2, 3}}},
		{[]int64{0}, [][]int64{{1, 2, 3}}},
		{[]int64{1}, [][]int64{{2, 3}}},
		{[]int64{2}, nil},
		{[]int64{0, 2}, nil},
		{[]int64{0, 1, 2}, nil},
	} {
		w := chained(t, test.rejected...)
		stitches := w.Stitches()
		if d := cmp.Diff(test.want, episodes(stitches)); d != "" {
			t.Errorf("without bridges %v (-want +got):\n%s", test.rejected, d)
		}
		seen := map[int64]bool{}
		for _, o := range stitches {
			if seen[o.Index] {
				t.Errorf("two stitched episodes have the index %d", o.Index)
			}
			seen[o.Index] = true
		}
		w.Mix.Emit = mix.EmitBridge
		if got := len(w.Stitches()); got != 3-len(test.rejected) {
			t.Errorf("%d bridges alone without %v", got, test.rejected)
		}
	}
}

// TestStitchedRows of a chain: what is kept of each episode, and the bridges.
func TestStitchedRows(t *testing.T) {
	o := chained(t).Stitches()[0]
	// Each bridge of 8 transitions begins at step 12 and enters at step 1.
	if want := 12 + 8 + (12 - 1) + 8 + (12 - 1) + 8 + (20 - 1); o.StitchedRows() != want {
		t.Errorf("%d rows, want %d", o.StitchedRows(), want)
	}
}

// TestChainReturn adds up what is kept.
func TestChainReturn(t *testing.T) {
	o := trajectory.Outcome{
		Pair:         trajectory.Pair{LowReturn: 1, LowRest: 2, HighReturn: 8},
		BridgeReturn: 0.5,
		Onward:       []trajectory.Hop{{Pair: trajectory.Pair{LowRest: 3, HighReturn: 20}, BridgeReturn: 0.25}},
	}
	if want := 1 + 0.5 + (8 - 3) + 0.25 + 20; o.Return() != want || o.Gain() != want-3 {
		t.Errorf("a return of %v and a gain of %v, want %v and %v", o.Return(), o.Gain(), want, want-3)
	}
}
