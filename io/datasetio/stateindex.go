package datasetio

import (
	"cmp"
	"math"
	"slices"

	"diffstitch/io/trajectory"

	"gonum.org/v1/gonum/spatial/kdtree"
)

// stateIndex finds the states of some episodes near others. Distances are small beside
// the spread of the data, so that a k-d tree leaves out most of it also in the dozen
// dimensions of a state.
type stateIndex struct {
	survey Survey
	// least is what every anchor earns without crossing, and most the largest value of an
	// entry.
	least, most float64
	entries     []entry
	states      []float32 // [entries, S], scaled
	tree        *kdtree.Tree
}

// entry is a state at which an episode can be entered.
type entry struct {
	row  int64
	file int32
	step int32
	// rest is what its own episode earns from there on, and value what can be earned.
	rest, value float64
}

func (e entry) location() trajectory.Location { return trajectory.Location{File: e.file, Row: e.row} }

func (e entry) sameEpisode(o entry) bool { return e.row == o.row && e.file == o.file }

func newStateIndex(survey Survey, anchors []trajectory.Anchor) *stateIndex {
	x := &stateIndex{survey: survey, least: math.Inf(1), most: math.Inf(-1)}
	for _, a := range anchors {
		x.least = min(x.least, a.Rest)
	}
	return x
}

// add takes up the states of an episode at which an anchor could gain, of which there is a
// step to take from: all, or some in even distances, that begin elsewhere in each episode.
func (x *stateIndex) add(e *trajectory.Episode, m trajectory.Meta, rests, values []float64) {
	stride := max(1, x.survey.EntryStride)
	for step := int(m.Location.Row) % stride; step < e.Len(); step += stride {
		if trajectory.Worth(values[step], x.least, 0, x.survey.Reach) <= 0 {
			continue
		}
		x.entries = append(x.entries, entry{m.Location.Row, m.Location.File, int32(step), rests[step], values[step]})
		x.states = x.appendScaled(x.states, e.Observation(step))
		x.most = max(x.most, values[step])
	}
}

func (x *stateIndex) appendScaled(scaled, state []float32) []float32 {
	for d, v := range state {
		scaled = append(scaled, v/x.survey.Scale[d])
	}
	return scaled
}

// build makes the tree of all that was added.
func (x *stateIndex) build() {
	dim := len(x.survey.Scale)
	points := make(points, len(x.entries))
	for i := range points {
		points[i] = point{x.states[i*dim : (i+1)*dim], int32(i)}
	}
	x.tree = kdtree.New(points, false)
}

// around are the crossings at the anchors [from, to).
func (x *stateIndex) around(anchors []trajectory.Anchor, from, to int) (crossings []trajectory.Crossing) {
	near := &nearby{index: x}
	var query []float32
	for i := from; i < to; i++ {
		a := anchors[i]
		query = x.appendScaled(query[:0], a.State)
		near.begin(entry{row: a.Row, file: a.File, step: a.Step, rest: a.Rest})
		x.tree.NearestSet(near, point{query, -1})
		slices.SortFunc(near.found, better)
		for _, f := range near.found {
			e := x.entries[f.at]
			crossings = append(crossings, trajectory.Crossing{
				Anchor: int32(i), File: e.file, Row: e.row, Step: e.step, Rest: e.rest, Distance: float32(f.distance),
			})
		}
	}
	return crossings
}

// point is a state in the tree, by its place among the entries.
type point struct {
	state []float32 // [S], scaled
	at    int32
}

func (p point) Dims() int { return len(p.state) }

func (p point) Compare(o kdtree.Comparable, d kdtree.Dim) float64 {
	return float64(p.state[d] - o.(point).state[d])
}

func (p point) Distance(o kdtree.Comparable) float64 {
	return float64(squared(p.state, o.(point).state))
}

// points are what the tree is made of.
type points []point

func (p points) Index(i int) kdtree.Comparable       { return p[i] }
func (p points) Len() int                            { return len(p) }
func (p points) Slice(from, to int) kdtree.Interface { return p[from:to] }

// Pivot has the median in the middle, and what is less before it.
func (p points) Pivot(d kdtree.Dim) int {
	kdtree.Select(plane{p, d}, len(p)/2)
	return len(p) / 2
}

// plane orders points by one dimension. States that are the same there are told apart
// by their places, so that the tree is no list of them.
type plane struct {
	points
	d kdtree.Dim
}

func (p plane) Less(i, j int) bool {
	a, b := p.points[i], p.points[j]
	return cmp.Or(cmp.Compare(a.state[p.d], b.state[p.d]), cmp.Compare(a.at, b.at)) < 0
}
func (p plane) Swap(i, j int)                        { p.points[i], p.points[j] = p.points[j], p.points[i] }
func (p plane) Slice(from, to int) kdtree.SortSlicer { return plane{p.points[from:to], p.d} }

// nearby gathers what is worth most around an anchor, as drawn: the best state of each of
// a few episodes other than the anchor's own. It is a kdtree.Keeper.
type nearby struct {
	index *stateIndex
	own   entry
	found []found
}

// found is a state by its place among the entries, with its distance.
type found struct {
	at              int32
	distance, worth float64
}

// better orders states by what they are worth, as drawn, those worth the same by their places.
func better(a, b found) int { return cmp.Or(cmp.Compare(b.worth, a.worth), cmp.Compare(a.at, b.at)) }

// begin forgets what was found around another anchor.
func (n *nearby) begin(own entry) { n.own, n.found = own, n.found[:0] }

// Keep takes up a state if it is among the best so far.
func (n *nearby) Keep(c kdtree.ComparableDist) {
	reach := n.index.survey.Reach
	if c.Dist > reach*reach { // most states on the way are too far
		return
	}
	f := found{at: c.Comparable.(point).at, distance: math.Sqrt(c.Dist)}
	e := n.index.entries[f.at]
	if f.worth = trajectory.Worth(e.value, n.own.rest, f.distance, reach); f.worth <= 0 || e.sameEpisode(n.own) {
		return
	}
	if len(n.found) == trajectory.WaysEach && f.worth <= n.found[n.worst()].worth {
		return // however it is drawn
	}
	f.worth *= trajectory.Drawn(n.own.location(), n.own.step, e.location())
	at := slices.IndexFunc(n.found, func(o found) bool { return n.index.entries[o.at].sameEpisode(e) })
	switch {
	case at < 0:
		n.found = append(n.found, f)
	case better(f, n.found[at]) < 0:
		n.found[at] = f
	}
	if len(n.found) > trajectory.WaysEach {
		last := n.worst()
		n.found = slices.Delete(n.found, last, last+1)
	}
}

func (n *nearby) worst() (at int) {
	for i := range n.found {
		if better(n.found[at], n.found[i]) < 0 {
			at = i
		}
	}
	return at
}

// Max is how far a state may be to be among the best: where none can be worth as much as
// those that were found, there is nothing to look for.
func (n *nearby) Max() kdtree.ComparableDist {
	reach := n.index.survey.Reach
	farthest := reach
	if len(n.found) == trajectory.WaysEach {
		if most := n.index.most - n.own.rest; most > 0 {
			farthest = min(reach, 2*reach*(1-n.found[n.worst()].worth/(most*trajectory.Chance(0, reach))))
		}
	}
	return kdtree.ComparableDist{Comparable: point{}, Dist: farthest * farthest} // one of nil would be taken out again
}

// What a heap has; a few states need none.
func (n *nearby) Len() int           { return len(n.found) }
func (n *nearby) Less(i, j int) bool { return better(n.found[i], n.found[j]) < 0 }
func (n *nearby) Swap(i, j int)      { n.found[i], n.found[j] = n.found[j], n.found[i] }
func (n *nearby) Push(f any)         { n.found = append(n.found, f.(found)) }

func (n *nearby) Pop() any {
	last := n.found[len(n.found)-1]
	n.found = n.found[:len(n.found)-1]
	return last
}
