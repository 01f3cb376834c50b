package pair

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"
)

const (
	// mostAnchors is how many anchors a run has, at most: a driver and each worker hold
	// them all.
	mostAnchors = 1 << 17
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

// layer is what can be gained by leaving an episode, by anchor, with at most so many
// bridges.
type layer struct {
	gain []float64 // the most at this or a later anchor of the episode, seen from this one
	at   []int32   // the anchor at which that is
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
			g.sort(both, a.rest)
			a.fresh = int32(copy(g.fresh[at*trajectory.WaysEach:(at+1)*trajectory.WaysEach], both))
		}
		crossings = crossings[n:]
	}
}

// sort puts first what is worth most in place of rest.
func (g *Graph) sort(ways []way, rest float64) {
	hops := len(g.left)
	slices.SortFunc(ways, func(a, b way) int {
		return cmp.Or(cmp.Compare(g.worth(b, rest, hops), g.worth(a, rest, hops)),
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
	l := layer{gain: make([]float64, n), at: make([]int32, n), way: make([]int8, n)}
	for i := n - 1; i >= 0; i-- {
		l.way[i] = int8(g.best(i, hops, nil))
		l.gain[i], l.at[i] = g.gainOf(i, int(l.way[i]), hops), int32(i)
		if i+1 < n && g.anchors[i+1].episode == g.anchors[i].episode {
			later := math.Pow(g.config.Discount, float64(g.anchors[i+1].step-g.anchors[i].step)) * l.gain[i+1]
			if later > l.gain[i] {
				l.gain[i], l.at[i] = later, l.at[i+1]
			}
		}
	}
	return l
}

// best is the way from an anchor that gains most with so many bridges after it, of those
// that open lets pass; -1 where none gains.
func (g *Graph) best(at, hops int, open func(way) bool) (best int) {
	best = -1
	most := 0.0
	for i, w := range g.waysOf(at) {
		if gain := g.worth(w, g.anchors[at].rest, hops); gain > most && (open == nil || open(w)) {
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
	return g.worth(g.waysOf(at)[which], g.anchors[at].rest, hops)
}

// worth is that of a way in the place of what is earned otherwise, with so many bridges
// after it.
func (g *Graph) worth(w way, rest float64, hops int) float64 {
	return trajectory.Worth(g.value(w, hops), rest, float64(w.distance), g.config.Reach)
}

// value is what can be earned from where a way enters its episode, with so many bridges
// after it.
func (g *Graph) value(w way, hops int) float64 {
	if hops == 0 || w.onward < 0 {
		return w.rest
	}
	gain := g.left[hops-1].gain[w.onward]
	return w.rest + math.Pow(g.config.Discount, float64(g.anchors[w.onward].step-w.step))*gain
}

// Leap is a bridge of the plan.
type Leap struct {
	Low, High trajectory.StateRef
}

// Take plans so many more bridges, of chains from episodes of the low pool, or as many
// as there are. They are numbered from 0 on.
func (g *Graph) Take(low []*trajectory.Meta, count int64) (leaps []Leap) {
	p := &g.planned
	for int64(len(p.leaps)-p.taken) < count {
		if len(p.pending) == 0 {
			p.pending = g.roots(low)
		}
		if len(p.pending) == 0 {
			break
		}
		g.chain(p.pending[0].anchor)
		p.pending = p.pending[1:]
	}
	upTo := min(len(p.leaps), p.taken+int(count))
	for _, l := range p.leaps[p.taken:upTo] {
		a, w := g.anchors[l.anchor], g.ways[l.way]
		leaps = append(leaps, Leap{
			Low:  trajectory.StateRef{Episode: g.episodes[a.episode], Step: a.step - int32(g.config.Lead)},
			High: trajectory.StateRef{Episode: g.episodes[w.episode], Step: w.step},
		})
	}
	p.taken = upTo
	return leaps
}

// Chains are those that were planned, each the numbers of its bridges in order.
func (g *Graph) Chains() [][]int32 { return g.planned.chains }

// planned is what was planned so far.
type planned struct {
	leaps   []leap
	known   map[leap]int32 // their numbers
	chains  [][]int32
	uses    map[[2]int32]int // how many chains enter each stretch of an episode
	taken   int
	pending []root
	used    []bool // anchors near which a chain begins
}

// leap is a bridge by its anchor and its place in the ways.
type leap struct{ anchor, way int32 }

const (
	// leastUses and mostShare bound how many chains enter the same stretch of an episode:
	// this many, or this share of them.
	leastUses = 4
	mostShare = 0.02
)

// stretch is what counts as one entry: the steps of an episode that a bridge takes.
func (g *Graph) stretch(w way) [2]int32 {
	return [2]int32{w.episode, w.step / int32(g.config.Lead)}
}

// open is whether one more chain may enter there.
func (g *Graph) open(w way) bool {
	return g.planned.uses[g.stretch(w)] < max(leastUses, int(mostShare*float64(len(g.planned.chains))))
}

// root is an anchor of a low episode at which a chain can begin.
type root struct {
	anchor int32
	order  uint64
}

// roots are the best anchor of each low episode that none was chosen near so far. Episodes
// come in an order drawn by the seed, so that few bridges are spread over all of them.
func (g *Graph) roots(low []*trajectory.Meta) (roots []root) {
	last := len(g.left) - 1
	for _, m := range low {
		e, known := slices.BinarySearchFunc(g.episodes, *m, rank.ByLocation)
		if !known {
			continue
		}
		best, most := int32(-1), 0.0
		for at := g.first[e]; at < g.first[e+1]; at++ {
			if g.planned.used[at] {
				continue
			}
			if gain := g.gainOf(int(at), int(g.left[last].way[at]), last); gain > most {
				best, most = at, gain
			}
		}
		if best >= 0 {
			roots = append(roots, root{best, trajectory.StreamSeed(g.config.Seed, int64(e), trajectory.StagePair)})
		}
	}
	slices.SortFunc(roots, func(a, b root) int { return cmp.Compare(a.order, b.order) })
	return roots
}

// use marks the anchors of the episode that are nearer than a bridge is long.
func (g *Graph) use(at int32) {
	a := g.anchors[at]
	for i := g.first[a.episode]; i < g.first[a.episode+1]; i++ {
		if d := g.anchors[i].step - a.step; d > -int32(g.config.Lead) && d < int32(g.config.Lead) {
			g.planned.used[i] = true
		}
	}
}

// chain plans the bridges of a chain that begins at an anchor, as far as there are such
// that gain and may still be entered.
func (g *Graph) chain(at int32) {
	g.use(at)
	var chain []int32
	for hops := len(g.left) - 1; hops >= 0; hops-- {
		which := g.best(int(at), hops, g.open)
		if which < 0 {
			break
		}
		w := g.waysOf(int(at))[which]
		g.planned.uses[g.stretch(w)]++
		chain = append(chain, g.leap(leap{at, at*int32(g.room()) + int32(which)}))
		if hops == 0 || w.onward < 0 || g.left[hops-1].gain[w.onward] <= 0 {
			break
		}
		at = g.left[hops-1].at[w.onward]
	}
	if len(chain) > 0 {
		g.planned.chains = append(g.planned.chains, chain)
	}
}

// leap gives the number of a bridge, which it plans unless it was planned before.
func (g *Graph) leap(l leap) int32 {
	number, known := g.planned.known[l]
	if !known {
		number = int32(len(g.planned.leaps))
		g.planned.leaps = append(g.planned.leaps, l)
		g.planned.known[l] = number
	}
	return number
}

// Leaps makes pairs of bridges, of so many states each, in the order in which the data
// has their low ends, and cuts them into batches. order has the index of each leap's
// pair.
func (c Config) Leaps(leaps []Leap, steps int) (batches []trajectory.PairBatch, order []int64) {
	pairs, places := make([]trajectory.Pair, len(leaps)), make([]int, len(leaps))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int {
		return cmp.Or(rank.ByLocation(leaps[a].Low.Episode, leaps[b].Low.Episode), cmp.Compare(leaps[a].Low.Step, leaps[b].Low.Step))
	})
	order = make([]int64, len(leaps))
	for at, place := range places {
		index := c.First + int64(at)
		order[place] = index
		pairs[at] = trajectory.Pair{Index: index, Low: leaps[place].Low, High: leaps[place].High, Steps: int32(steps), Crossing: true}
	}
	for s := range c.cut(int64(len(pairs))) {
		batches = append(batches, trajectory.PairBatch{Index: s.index, Pairs: pairs[s.from:s.to]})
	}
	return batches, order
}
