package datasetio

import (
	"cmp"
	"math"
	"slices"

	"diffstitch/io/trajectory"

	"gonum.org/v1/gonum/spatial/kdtree"
)

const (
	// mostEpisodes is how many of the nearest episodes around an anchor are looked at.
	mostEpisodes = 32
	// MostCrossings is how many of these are kept: half of them the nearest, half those
	// that earn most.
	MostCrossings = 8
)

// stateIndex finds the states of some episodes near others. Distances are small beside
// the spread of the data, so that a k-d tree leaves out most of it also in the dozen
// dimensions of a state.
type stateIndex struct {
	survey  Survey
	entries []entry
	states  []float32 // [entries, S], scaled
	tree    *kdtree.Tree
}

// entry is a state at which an episode can be entered.
type entry struct {
	row  int64
	file int32
	step int32
	rest float64
}

func (e entry) sameEpisode(o entry) bool { return e.row == o.row && e.file == o.file }

func newStateIndex(survey Survey) *stateIndex { return &stateIndex{survey: survey} }

// add takes up the states of an episode, of which there is a step to take from.
func (x *stateIndex) add(e *trajectory.Episode, m trajectory.Meta, rests []float64) {
	for step := range e.Len() {
		x.entries = append(x.entries, entry{m.Location.Row, m.Location.File, int32(step), rests[step]})
		x.states = x.appendScaled(x.states, e.Observation(step))
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
		near.begin(entry{row: a.Row, file: a.File})
		x.tree.NearestSet(near, point{query, -1})
		for _, f := range near.kept() {
			e := x.entries[f.at]
			crossings = append(crossings, trajectory.Crossing{
				Anchor: int32(i), File: e.file, Row: e.row, Step: e.step, Rest: e.rest, Distance: float32(f.distance()),
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

// nearby gathers the nearest state of each episode around an anchor: of all but the
// anchor's own, and of no more than mostEpisodes, the nearest. It is a kdtree.Keeper.
type nearby struct {
	index *stateIndex
	own   entry
	found []found
}

// found is a state by its place among the entries, and its squared distance.
type found struct {
	at   int32
	dist float64
}

func (f found) distance() float64 { return math.Sqrt(f.dist) }

// nearest orders states by their distance, those as far by their places.
func nearest(a, b found) int { return cmp.Or(cmp.Compare(a.dist, b.dist), cmp.Compare(a.at, b.at)) }

// begin forgets what was found around another anchor.
func (n *nearby) begin(own entry) { n.own, n.found = own, n.found[:0] }

// Keep takes up a state if it is among the nearest so far.
func (n *nearby) Keep(c kdtree.ComparableDist) {
	f := found{c.Comparable.(point).at, c.Dist}
	e := n.index.entries[f.at]
	if f.dist > n.Max().Dist || e.sameEpisode(n.own) {
		return
	}
	at := slices.IndexFunc(n.found, func(o found) bool { return n.index.entries[o.at].sameEpisode(e) })
	switch {
	case at < 0:
		n.found = append(n.found, f)
	case nearest(f, n.found[at]) < 0:
		n.found[at] = f
	}
	if len(n.found) > mostEpisodes {
		last := n.farthest()
		n.found = slices.Delete(n.found, last, last+1)
	}
}

func (n *nearby) farthest() (at int) {
	for i := range n.found {
		if nearest(n.found[at], n.found[i]) < 0 {
			at = i
		}
	}
	return at
}

// Max is how far a state may be to be among the nearest.
func (n *nearby) Max() kdtree.ComparableDist {
	most := n.index.survey.Reach * n.index.survey.Reach
	if len(n.found) == mostEpisodes {
		most = n.found[n.farthest()].dist
	}
	return kdtree.ComparableDist{Comparable: point{}, Dist: most} // one of nil would be taken out again
}

// kept are MostCrossings of what was found: half of them the nearest, half those of
// the others that earn most.
func (n *nearby) kept() []found {
	slices.SortFunc(n.found, nearest)
	if len(n.found) <= MostCrossings {
		return n.found
	}
	slices.SortFunc(n.found[MostCrossings/2:], func(a, b found) int {
		return cmp.Or(cmp.Compare(n.index.entries[b.at].rest, n.index.entries[a.at].rest), nearest(a, b))
	})
	return n.found[:MostCrossings]
}

// What a heap has; a few states need none.
func (n *nearby) Len() int           { return len(n.found) }
func (n *nearby) Less(i, j int) bool { return nearest(n.found[i], n.found[j]) < 0 }
func (n *nearby) Swap(i, j int)      { n.found[i], n.found[j] = n.found[j], n.found[i] }
func (n *nearby) Push(f any)         { n.found = append(n.found, f.(found)) }

func (n *nearby) Pop() any {
	last := n.found[len(n.found)-1]
	n.found = n.found[:len(n.found)-1]
	return last
}
