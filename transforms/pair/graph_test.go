package pair

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"diffstitch/io/trajectory"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// line is a world of episodes along a line: episode e goes from state 10·e to 10·e+12,
// a state per step, so that its last states are near the first ones of the next, and
// the last episode alone earns something, 1 in its last step.
func line(episodes int) (metas []trajectory.Meta, anchors []trajectory.Anchor, rests func(e, step int) float64) {
	const steps, lead = 12, 4
	rests = func(e, step int) float64 {
		if e < episodes-1 || step == steps {
			return 0
		}
		return math.Pow(0.9, float64(steps-1-step))
	}
	for e := range episodes {
		metas = append(metas, trajectory.Meta{ID: int64(e), Location: trajectory.Location{Row: int64(e) * steps, Rows: steps}, Steps: steps})
		for step := lead; step <= steps; step++ {
			anchors = append(anchors, trajectory.Anchor{Row: int64(e) * steps, Step: int32(step), Rest: rests(e, step)})
		}
	}
	return metas, anchors, rests
}

// solve makes as many passes as find more, each of which finds all crossings.
func solve(g *Graph, crossings []trajectory.Crossing) {
	for more := true; more; more = g.Solve() {
		g.Add(crossings)
	}
}

// crossed is the line's crossings, solved.
func crossed(episodes, hops int) (*Graph, []*trajectory.Meta) {
	metas, anchors, rests := line(episodes)
	c := NewGraph(GraphConfig{Lead: 4, Hops: hops, Discount: 0.9, Reach: 4}, metas, anchors)
	var crossings []trajectory.Crossing
	for place, a := range anchors {
		e := int(a.Row) / 12
		if at := 10*e + int(a.Step); e+1 < episodes && at >= 10*(e+1) { // the next one's first states are there too
			crossings = append(crossings, trajectory.Crossing{Anchor: int32(place), Row: int64(e+1) * 12, Step: int32(at - 10*(e+1)), Rest: rests(e+1, at-10*(e+1))})
		}
	}
	solve(c, crossings)
	var low []*trajectory.Meta
	for i := range metas[:len(metas)-1] {
		low = append(low, &metas[i])
	}
	return c, low
}

// TestHops: with as many bridges as there are episodes between, and no fewer, a chain
// leads from the first episode to what the last one earns.
func TestHops(t *testing.T) {
	for hops, want := range map[int]int{1: 1, 2: 2, 3: 3, 5: 3} {
		c, low := crossed(4, hops)
		c.Take(low, 100)
		longest := 0
		for _, chain := range c.Chains() {
			longest = max(longest, len(chain))
		}
		if longest != want {
			t.Errorf("with %d hops the longest chain has %d bridges, want %d", hops, longest, want)
		}
		first := c.left[len(c.left)-1].gain[c.first[0]]
		if gains := hops >= 3; gains != (first > 0) {
			t.Errorf("with %d hops the first episode gains %v", hops, first)
		}
	}
}

// TestLeaps meet where episodes are near, and leave an episode after it was entered.
func TestLeaps(t *testing.T) {
	c, low := crossed(4, 3)
	leaps := c.Take(low, 100)
	for _, chain := range c.Chains() {
		at := trajectory.StateRef{}
		for i, number := range chain {
			l := leaps[number]
			if from, to := 10*l.Low.Episode.ID+int64(l.Low.Step)+4, 10*l.High.Episode.ID+int64(l.High.Step); from != to {
				t.Errorf("a bridge of 4 steps makes for state %d, and enters at %d", from, to)
			}
			if i > 0 && (l.Low.Episode.ID != at.Episode.ID || l.Low.Step <= at.Step) {
				t.Errorf("bridge %d leaves episode %d at step %d, entered was %d at %d", i, l.Low.Episode.ID, l.Low.Step, at.Episode.ID, at.Step)
			}
			at = l.High
		}
		if at.Episode.ID != 3 {
			t.Errorf("chain %v ends in episode %d", chain, at.Episode.ID)
		}
	}
}

// TestTakeInParts plans the same as at once.
func TestTakeInParts(t *testing.T) {
	c, low := crossed(4, 3)
	want := c.Take(low, 100)
	if len(want) == 0 || len(want) == 100 {
		t.Fatalf("%d bridges", len(want))
	}
	parts, _ := crossed(4, 3)
	var got []Leap
	for n := int64(1); ; n++ {
		some := parts.Take(low, n)
		got = append(got, some...)
		if len(some) == 0 {
			break
		}
	}
	if d := cmp.Diff(want, got) + cmp.Diff(c.Chains(), parts.Chains()); d != "" {
		t.Errorf("(-at once +in parts):\n%s", d)
	}
}

// random is a world of a few episodes with random crossings.
func random(t *rapid.T) (cfg GraphConfig, metas []trajectory.Meta, anchors []trajectory.Anchor, crossings []trajectory.Crossing) {
	cfg = GraphConfig{Lead: 2, Hops: rapid.IntRange(1, 4).Draw(t, "hops"), Discount: 0.9, Reach: 4}
	row := int64(0)
	for e := range rapid.IntRange(2, 5).Draw(t, "episodes") {
		steps := rapid.IntRange(2, 8).Draw(t, fmt.Sprint("steps of ", e))
		metas = append(metas, trajectory.Meta{ID: int64(e), Location: trajectory.Location{Row: row}, Steps: int32(steps)})
		for step := cfg.Lead; step <= steps; step++ {
			anchors = append(anchors, trajectory.Anchor{Row: row, Step: int32(step), Rest: float64(rapid.IntRange(0, 9).Draw(t, "rest"))})
		}
		row += int64(steps)
	}
	for place := range anchors {
		for range rapid.IntRange(0, 3).Draw(t, "ways") {
			m := rapid.SampledFrom(metas).Draw(t, "entered")
			x := trajectory.Crossing{Anchor: int32(place), Row: m.Location.Row, Step: rapid.Int32Range(0, m.Steps-1).Draw(t, "at")}
			if slices.ContainsFunc(crossings, func(y trajectory.Crossing) bool { return y.Anchor == x.Anchor && y.Row == x.Row && y.Step == x.Step }) {
				continue // two states have one distance
			}
			x.Rest, x.Distance = float64(rapid.IntRange(0, 9).Draw(t, "its rest")), rapid.Float32Range(0, 4).Draw(t, "distance")
			crossings = append(crossings, x)
		}
	}
	return cfg, metas, anchors, crossings
}

// planning is such a world's graph, solved, and its episodes, which are all of the low pool.
func planning(t *rapid.T) (g *Graph, low []*trajectory.Meta) {
	cfg, metas, anchors, crossings := random(t)
	g = NewGraph(cfg, metas, anchors)
	solve(g, crossings)
	for i := range metas {
		low = append(low, &metas[i])
	}
	return g, low
}

// TestSolve holds the sweeps to plain recursion over random crossings.
func TestSolve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, metas, anchors, crossings := random(t)
		c := NewGraph(cfg, metas, anchors)
		solve(c, crossings)
		// enter is the most that can be earned from a step of an episode on.
		var enter func(x trajectory.Crossing, hops int) float64
		enter = func(x trajectory.Crossing, hops int) float64 {
			most := x.Rest
			for place, a := range anchors {
				if hops == 0 || a.Row != x.Row || a.Step < x.Step+1+int32(cfg.Lead) {
					continue
				}
				for _, y := range crossings {
					if int(y.Anchor) == place {
						most = max(most, x.Rest+math.Pow(0.9, float64(a.Step-x.Step))*trajectory.Worth(enter(y, hops-1), a.Rest, float64(y.Distance), 4))
					}
				}
			}
			return most
		}
		for place, a := range anchors {
			want := 0.0
			for _, y := range crossings {
				if int(y.Anchor) == place {
					want = max(want, trajectory.Worth(enter(y, cfg.Hops-1), a.Rest, float64(y.Distance), 4))
				}
			}
			if got := max(0, c.gainOf(place, c.best(place, len(c.left)-1, nil), len(c.left)-1)); got > want+1e-9 || got < want/(1+leastRise*float64(cfg.Hops))-1e-9 {
				t.Fatalf("anchor %d gains %v, want %v", place, got, want)
			}
		}
	})
}

// TestCompose: what is made of some of the planned bridges are chains of these that can be
// followed and gain something. Each begins by another bridge, and what gains something alone
// is in one.
func TestCompose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, low := planning(t)
		leaps := g.Take(low, 1000)
		kept := make([]bool, len(leaps))
		for i := range kept {
			kept[i] = rapid.Bool().Draw(t, "accepted")
		}
		accepted := func(number int32) bool { return kept[number] }
		c := g.among(accepted)
		begun, held := map[int32]bool{}, map[int32]bool{}
		for _, chain := range g.Compose(accepted) {
			if begun[chain[0]] {
				t.Fatalf("two chains begin by bridge %d", chain[0])
			}
			begun[chain[0]] = true
			var places []leap
			for i, number := range chain {
				if held[number] = true; !kept[number] {
					t.Fatalf("chain %v holds the rejected bridge %d", chain, number)
				}
				if i > 0 {
					from, to := leaps[chain[i-1]].High, leaps[number].Low
					if from.Episode.ID != to.Episode.ID || to.Step <= from.Step {
						t.Fatalf("bridge %d leaves %+v, entered was %+v", number, to, from)
					}
				}
				places = append(places, g.planned.leaps[number])
			}
			if len(chain) > g.config.Hops || c.gain(places) <= 0 {
				t.Fatalf("chain %v of at most %d bridges gains %v", chain, g.config.Hops, c.gain(places))
			}
		}
		for number, l := range g.planned.leaps {
			if alone := c.gain([]leap{l}); kept[number] && alone > 0 && !held[int32(number)] {
				t.Fatalf("bridge %d gains %v, and no chain holds it", number, alone)
			}
		}
	})
}

// TestJudge: what is planned once some bridges are judged holds none of those that were
// rejected, goes on from those that were accepted, and is attempted once.
func TestJudge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, low := planning(t)
		var leaps []Leap
		var kept []bool
		for range 3 {
			for _, l := range g.Take(low, 3) {
				if slices.Contains(leaps, l) {
					t.Fatalf("%+v is attempted twice", l)
				}
				leaps, kept = append(leaps, l), append(kept, rapid.Bool().Draw(t, "accepted"))
			}
			g.Judge(func(number int32) bool { return kept[number] })
			for _, chain := range g.Chains() {
				for _, number := range chain {
					if int(number) < len(kept) && !kept[number] {
						t.Fatalf("chain %v holds the rejected bridge %d", chain, number)
					}
				}
			}
		}
	})
}

// TestComposeGoesRound a rejected bridge by that of another chain.
func TestComposeGoesRound(t *testing.T) {
	c, low := crossed(3, 2)
	leaps := c.Take(low, 100)
	chains := c.Chains()
	kept := make([]bool, len(leaps))
	for i := range kept {
		kept[i] = true
	}
	kept[chains[0][1]] = false
	for _, chain := range c.Compose(func(number int32) bool { return kept[number] }) {
		if chain[0] == chains[0][0] {
			if len(chain) == 2 && leaps[chain[1]].High.Episode.ID == 2 {
				return
			}
			t.Fatalf("chain %v", chain)
		}
	}
	t.Errorf("no chain begins as %v, of %d bridges", chains[0], len(leaps))
}

// TestEntriesAreBounded: no stretch of an episode is entered by more chains than its
// share.
func TestEntriesAreBounded(t *testing.T) {
	const episodes = 300
	var metas []trajectory.Meta
	var anchors []trajectory.Anchor
	var crossings []trajectory.Crossing
	for e := range episodes {
		metas = append(metas, trajectory.Meta{ID: int64(e), Location: trajectory.Location{Row: int64(10 * e)}, Steps: 10})
		anchors = append(anchors, trajectory.Anchor{Row: int64(10 * e), Step: 4})
		for high := range 3 { // all see the same three
			crossings = append(crossings, trajectory.Crossing{Anchor: int32(e), Row: int64(10 * (episodes + high)), Step: 1, Rest: float64(1 + high)})
		}
	}
	for high := range 3 {
		metas = append(metas, trajectory.Meta{ID: int64(episodes + high), Location: trajectory.Location{Row: int64(10 * (episodes + high))}, Steps: 10})
	}
	c := NewGraph(GraphConfig{Lead: 4, Hops: 2, Discount: 0.99, Reach: 4}, metas, anchors)
	solve(c, crossings)
	var low []*trajectory.Meta
	for i := range episodes {
		low = append(low, &metas[i])
	}
	uses := map[int64]int{}
	for _, l := range c.Take(low, episodes) {
		uses[l.High.Episode.ID]++
	}
	if d := cmp.Diff(map[int64]int{300: leastUses, 301: leastUses, 302: leastUses}, uses); d != "" {
		t.Errorf("chains by entry (-want +got):\n%s", d)
	}
}

// TestLeapsAreCut into batches in the order in which the data has their low ends.
func TestLeapsAreCut(t *testing.T) {
	metas, _, _ := line(5)
	var leaps []Leap
	for _, e := range []int{3, 0, 2, 1, 0} {
		leaps = append(leaps, Leap{Low: trajectory.StateRef{Episode: metas[e], Step: int32(10 - len(leaps))}, High: trajectory.StateRef{Episode: metas[4]}})
	}
	batches, order := Config{First: 7, FirstBatch: 3, BatchSize: 2}.Leaps(leaps, 6)
	if d := cmp.Diff([]int64{11, 8, 10, 9, 7}, order); d != "" {
		t.Errorf("indices (-want +got):\n%s", d)
	}
	next := int64(7)
	for i, b := range batches {
		if b.Index != int64(3+i) || len(b.Pairs) > 2 {
			t.Errorf("batch %d of %d pairs", b.Index, len(b.Pairs))
		}
		for _, p := range b.Pairs {
			if p.Index != next || p.Steps != 6 || !p.Crossing || p.High.Episode.ID != 4 {
				t.Errorf("pair %+v, due is %d", p, next)
			}
			if l := leaps[slices.Index(order, p.Index)]; l.Low != p.Low {
				t.Errorf("pair %d leaves %+v, its leap %+v", p.Index, p.Low, l.Low)
			}
			next++
		}
	}
	if next != 12 {
		t.Errorf("%d pairs", next-7)
	}
}
