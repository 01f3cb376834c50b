package pair

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"diffstitch/io/trajectory"
)

const (
	// mostAnchors is how many anchors a run has, at most: a driver and each worker hold
	// them all.
	mostAnchors = 1 << 17
	// mostEntries is how many states are looked at as entries, at most.
	mostEntries = 1 << 21
	// leastRise is by what share another bridge must raise what is gained somewhere, for
	// a pass to be worth it.
	leastRise = 0.05
	// MostHops bounds what a driver holds of each anchor.
	MostHops = 16
)

// GraphConfig says how crossings are made chains of.
type GraphConfig struct {
	// Lead is how many transitions a bridge has: it leaves an episode as many steps before
	// the anchor, where the state it enters lies near.
	Lead int
	// Hops is how many bridges a chain has, at most.
	Hops int
	// Discount of rewards per step: what comes later is worth less.
	Discount float64
	// Reach is the distance of the farthest crossings.
	Reach float64
	Seed  uint64
}

// Validate reports settings that make no chain.
func (c GraphConfig) Validate() error {
	switch {
	case c.Hops < 1 || c.Hops > MostHops:
		return fmt.Errorf("--hops %d: a stitched episode has 1 to %d bridges", c.Hops, MostHops)
	case c.Lead < 1:
		return fmt.Errorf("pair: bridges of %d transitions", c.Lead)
	case !(c.Reach > 0):
		return fmt.Errorf("pair: crossings within a reach of %v", c.Reach)
	case !(c.Discount > 0 && c.Discount <= 1):
		return fmt.Errorf("pair: a discount of %v is not in (0, 1]", c.Discount)
	}
	return nil
}

// Stride is how far apart the anchors of episodes of so many steps in all should lie: half
// a bridge, since from nearer ones the same is near, or more, so that a driver can hold
// them.
func (c GraphConfig) Stride(steps int64) int {
	return max(1, c.Lead/2, int((steps+mostAnchors-1)/mostAnchors))
}

// EntryStride is how far apart the entries of episodes of so many steps in all should lie:
// where there are more than enough, their neighbours say nothing new.
func (c GraphConfig) EntryStride(steps int64) int {
	return max(1, int((steps+mostEntries-1)/mostEntries))
}

// Graph is the states at which an episode can be left for another, what is
// earned that way, and the chains that this makes.
type Graph struct {
	config   GraphConfig
	episodes []trajectory.Meta // in the data's order
	anchors  []anchor          // in the order of the episodes
	first    []int32           // [episodes+1], the first anchor of each
	places   int               // anchors of the survey
	ways     []way             // [anchors, Hops·trajectory.WaysEach]
	fresh    []way             // [anchors, trajectory.WaysEach], of the pass that is on
	left     []layer           // [Hops], by how many more bridges there may be
	verdicts []verdict         // [anchors, Hops·trajectory.WaysEach]
	planned  planned
}

// anchor is a state near which an episode may be left.
type anchor struct {
	episode, step int32
	place         int32 // of the survey's
	ways, fresh   int32 // how many it has
	rest          float64
}

// way is a crossing as the chains need it.
type way struct {
	episode, step int32
	// onward is the first anchor for which that episode can be left again, at least one
	// step after it was entered; -1 of none.
	onward   int32
	distance float32
	rest     float64
}

// verdict is what is known of a bridge.
type verdict uint8

const (
	open verdict = iota
	passed
	failed
)

// layer is what can be gained by leaving an episode, by anchor, with at most so many
// bridges.
type layer struct {
	gain []float64 // the most at this or a later anchor of the episode, seen from this one
	way  []int8    // the best way of each anchor
}

// NewGraph begins with the anchors of a survey, of the episodes of metas. Both are
// in the data's order; anchors of other episodes are left out.
func NewGraph(cfg GraphConfig, metas []trajectory.Meta, found []trajectory.Anchor) *Graph {
	g := &Graph{config: cfg, episodes: metas, first: make([]int32, len(metas)+1), places: len(found)}
	e := 0
	for place, a := range found {
		for ; e < len(metas) && metas[e].Location.Compare(a.Location()) < 0; e++ {
			g.first[e+1] = int32(len(g.anchors))
		}
		if e < len(metas) && metas[e].Location.Compare(a.Location()) == 0 {
			g.anchors = append(g.anchors, anchor{episode: int32(e), step: a.Step, place: int32(place), rest: a.Rest})
		}
	}
	for ; e < len(metas); e++ {
		g.first[e+1] = int32(len(g.anchors))
	}
	g.ways, g.fresh = make([]way, len(g.anchors)*g.room()), make([]way, len(g.anchors)*trajectory.WaysEach)
	g.verdicts = make([]verdict, len(g.ways))
	g.planned = planned{known: map[leap]int32{}, uses: map[[2]int32]int{}, used: make([]bool, len(g.anchors))}
	return g
}

// room is how many ways an anchor may have.
func (g *Graph) room() int { return g.config.Hops * trajectory.WaysEach }

// Add takes up crossings of a pass, those of an anchor one after the other. Of each
// anchor's the ones are kept that are worth most with as many bridges after them as
// there were passes.
func (g *Graph) Add(crossings []trajectory.Crossing) {
	var both []way
	for len(crossings) > 0 {
		n := slices.IndexFunc(crossings, func(x trajectory.Crossing) bool { return x.Anchor != crossings[0].Anchor })
		if n < 0 {
			n = len(crossings)
		}
		at, known := slices.BinarySearchFunc(g.anchors, crossings[0].Anchor, func(a anchor, place int32) int { return cmp.Compare(a.place, place) })
		if known {
			a := &g.anchors[at]
			both = append(both[:0], g.fresh[at*trajectory.WaysEach:at*trajectory.WaysEach+int(a.fresh)]...)
			for _, x := range crossings[:n] {
				both = g.appendWay(both, x)
			}
			g.sort(both, *a)
			a.fresh = int32(copy(g.fresh[at*trajectory.WaysEach:(at+1)*trajectory.WaysEach], both))
		}
		crossings = crossings[n:]
	}
}

// sort puts first what is worth most to leave for at an anchor, as drawn.
func (g *Graph) sort(ways []way, from anchor) {
	drawn := func(w way) float64 {
		worth := trajectory.Worth(g.value(w, len(g.left)), from.rest, float64(w.distance), g.config.Reach)
		return worth * trajectory.Drawn(g.episodes[from.episode].Location, from.step, g.episodes[w.episode].Location)
	}
	slices.SortFunc(ways, func(a, b way) int {
		return cmp.Or(cmp.Compare(drawn(b), drawn(a)),
			cmp.Compare(a.distance, b.distance), cmp.Compare(a.episode, b.episode), cmp.Compare(a.step, b.step))
	})
}

func (g *Graph) waysOf(at int) []way {
	return g.ways[at*g.room() : at*g.room()+int(g.anchors[at].ways)]
}

// appendWay adds a crossing, unless its episode is none of those that can be used.
func (g *Graph) appendWay(ways []way, x trajectory.Crossing) []way {
	e, known := slices.BinarySearchFunc(g.episodes, x, func(m trajectory.Meta, x trajectory.Crossing) int { return m.Location.Compare(x.Location()) })
	if !known || x.Step >= g.episodes[e].Steps {
		return ways
	}
	return append(ways, way{episode: int32(e), step: x.Step, distance: x.Distance, rest: x.Rest, onward: g.onward(int32(e), x.Step)})
}

// onward is the first anchor of an episode that can be made for after it was entered at
// a step, of which at least one transition is kept.
func (g *Graph) onward(episode, step int32) int32 {
	from, to := g.first[episode], g.first[episode+1]
	at, _ := slices.BinarySearchFunc(g.anchors[from:to], step+1+int32(g.config.Lead), func(a anchor, step int32) int { return cmp.Compare(a.step, step) })
	if from+int32(at) == to {
		return -1
	}
	return from + int32(at)
}

// Solve ends a pass: it works out what crossings are worth with one bridge more, a sweep of
// value iteration over the anchors. more is whether another pass could find better ones.
func (g *Graph) Solve() (more bool) {
	for at := range g.anchors {
		a := &g.anchors[at]
		for _, w := range g.fresh[at*trajectory.WaysEach : at*trajectory.WaysEach+int(a.fresh)] {
			if !slices.Contains(g.waysOf(at), w) {
				g.ways[at*g.room()+int(a.ways)] = w
				a.ways++
			}
		}
		a.fresh = 0
	}
	hops := len(g.left)
	g.left = append(g.left, g.sweep(hops))
	if hops+1 == g.config.Hops {
		return false
	}
	for at, gain := range g.left[hops].gain {
		if hops == 0 && gain > 0 || hops > 0 && gain > (1+leastRise)*g.left[hops-1].gain[at] {
			return true
		}
	}
	return false
}

// Gains are what can be gained at each anchor of the survey so far.
func (g *Graph) Gains() []trajectory.Gain {
	gains := make([]trajectory.Gain, g.places)
	for at, gain := range g.left[len(g.left)-1].gain {
		gains[g.anchors[at].place].Gain = gain
	}
	return gains
}

// sweep works out the layer of one bridge more than hops.
func (g *Graph) sweep(hops int) layer {
	n := len(g.anchors)
	l := layer{gain: make([]float64, n), way: make([]int8, n)}
	for i := n - 1; i >= 0; i-- {
		l.way[i] = int8(g.best(i, hops, nil))
		l.gain[i] = g.gainOf(i, int(l.way[i]), hops)
		if i+1 < n && g.anchors[i+1].episode == g.anchors[i].episode {
			if later := g.later(g.anchors[i].step, int32(i+1)) * l.gain[i+1]; later > l.gain[i] {
				l.gain[i] = later
			}
		}
	}
	return l
}

// best is the way from an anchor that gains most with so many bridges after it, of those
// that may be entered; -1 where none gains.
func (g *Graph) best(at, hops int, may func(way) bool) (best int) {
	best = -1
	most := 0.0
	for i, w := range g.waysOf(at) {
		if gain := g.gainOf(at, i, hops); gain > most && (may == nil || may(w)) {
			best, most = i, gain
		}
	}
	return best
}

// gainOf is what is earned by a way from an anchor in the place of what the episode
// earns itself, seen from the anchor; 0 where that is not worth a bridge.
func (g *Graph) gainOf(at, which, hops int) float64 {
	if which < 0 {
		return 0
	}
	l := g.leapOf(int32(at), which)
	return g.replaced(l, g.value(g.ways[l.way], hops))
}

// replaced is what is gained by a bridge to where value is earned in the place of what the
// episode earns itself, as far as it is known to be accepted.
func (g *Graph) replaced(l leap, value float64) float64 {
	rest := g.anchors[l.anchor].rest
	switch g.verdicts[l.way] {
	case failed:
		return 0
	case passed:
		return trajectory.Gained(value, rest)
	}
	return trajectory.Worth(value, rest, float64(g.ways[l.way].distance), g.config.Reach)
}

// value is what can be earned from where a way enters its episode, with so many bridges
// after it.
func (g *Graph) value(w way, hops int) float64 {
	if hops == 0 || w.onward < 0 {
		return w.rest
	}
	return w.rest + g.later(w.step, w.onward)*g.left[hops-1].gain[w.onward]
}

// later is the discount of what is gained at an anchor, seen from a step before it.
func (g *Graph) later(step, anchor int32) float64 {
	return math.Pow(g.config.Discount, float64(g.anchors[anchor].step-step))
}
