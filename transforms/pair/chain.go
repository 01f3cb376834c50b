package pair

import (
	"cmp"
	"slices"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"
)

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

// enterable is whether one more chain may enter there.
func (g *Graph) enterable(w way) bool {
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
	if which := g.best(int(at), len(g.left)-1, g.enterable); which >= 0 {
		g.plan(g.leapOf(at, which))
	}
}

// plan plans a bridge and those that follow it, and gives the chain; nil of one that gains
// nothing.
func (g *Graph) plan(first leap) (chain []int32) {
	leaps := g.follow(first, len(g.left)-1)
	if g.gain(leaps) == 0 {
		return nil
	}
	for _, l := range leaps {
		chain = append(chain, g.number(l))
	}
	g.enter(chain)
	return chain
}

func (g *Graph) leapOf(at int32, which int) leap { return leap{at, at*int32(g.room()) + int32(which)} }

// follow is a bridge and those after it, at most so many, that gain most and may still be
// entered.
func (g *Graph) follow(first leap, hops int) []leap {
	chain := []leap{first}
	for w := g.ways[first.way]; hops > 0 && w.onward >= 0; hops-- {
		next, found := g.next(w, hops-1)
		if !found {
			break
		}
		chain, w = append(chain, next), g.ways[next.way]
	}
	return chain
}

// next is the bridge that gains most after a way was taken, of those that may still be
// entered.
func (g *Graph) next(w way, hops int) (best leap, found bool) {
	most := 0.0
	for at, end := w.onward, g.first[w.episode+1]; at < end; at++ {
		which := g.best(int(at), hops, g.enterable)
		if gain := g.later(w.step, at) * g.gainOf(int(at), which, hops); gain > most {
			best, most = g.leapOf(at, which), gain
		}
	}
	return best, most > 0
}

// enter counts the chain among those that enter where it does.
func (g *Graph) enter(chain []int32) {
	p := &g.planned
	for _, number := range chain {
		p.uses[g.stretch(g.ways[p.leaps[number].way])]++
	}
	p.chains = append(p.chains, chain)
}

// Compose makes chains of the planned bridges that were accepted, by their numbers: first
// one for each that begins a planned chain, then one for each that is in none so far. What
// follows a bridge is what is worth most now, and a chain that is not worth a bridge
// without those that were rejected is left out.
func (g *Graph) Compose(accepted func(number int32) bool) [][]int32 {
	c := g.among(accepted)
	held := make([]bool, len(c.planned.leaps))
	begin := func(number int32) {
		for _, n := range c.plan(c.planned.leaps[number]) {
			held[n] = true
		}
	}
	for _, chain := range g.planned.chains {
		if accepted(chain[0]) {
			begin(chain[0])
		}
	}
	for number := range held {
		if !held[number] && accepted(int32(number)) {
			begin(int32(number))
		}
	}
	return c.planned.chains
}

// among is the graph with no ways but the accepted bridges.
func (g *Graph) among(accepted func(number int32) bool) *Graph {
	c := *g
	c.verdicts = make([]verdict, len(g.ways))
	for i := range c.verdicts {
		c.verdicts[i] = failed
	}
	for number, l := range g.planned.leaps {
		if accepted(int32(number)) {
			c.verdicts[l.way] = passed
		}
	}
	c.sweepAgain()
	c.planned.uses, c.planned.chains = map[[2]int32]int{}, nil
	return &c
}

// sweepAgain works out what crossings are worth by the verdicts.
func (g *Graph) sweepAgain() {
	layers := len(g.left)
	g.left = nil
	for hops := range layers {
		g.left = append(g.left, g.sweep(hops))
	}
}

// Judge takes up which of the bridges that were taken were accepted, and plans the chains
// anew: those that were broken go on by other bridges.
func (g *Graph) Judge(accepted func(number int32) bool) {
	p := &g.planned
	for number, l := range p.leaps[:p.taken] {
		if g.verdicts[l.way] = failed; accepted(int32(number)) {
			g.verdicts[l.way] = passed
		}
	}
	g.sweepAgain()
	var firsts []leap
	for _, chain := range p.chains {
		firsts = append(firsts, p.leaps[chain[0]])
	}
	for _, l := range p.leaps[p.taken:] {
		delete(p.known, l)
	}
	p.leaps, p.chains, p.pending, p.uses = p.leaps[:p.taken], nil, nil, map[[2]int32]int{}
	for _, first := range firsts {
		if g.verdicts[first.way] != failed {
			g.plan(first)
		}
	}
}

// gain is what is earned by a chain in the place of what the episode in which it begins
// earns itself, seen from its first anchor; 0 where that is not worth a bridge.
func (g *Graph) gain(chain []leap) (gain float64) {
	after := int32(0) // the anchor at which gain is
	for i := len(chain) - 1; i >= 0; i-- {
		w := g.ways[chain[i].way]
		value := w.rest
		if gain > 0 {
			value += g.later(w.step, after) * gain
		}
		gain, after = g.replaced(chain[i], value), chain[i].anchor
	}
	return gain
}

// number gives that of a bridge, which it plans unless it was planned before.
func (g *Graph) number(l leap) int32 {
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
