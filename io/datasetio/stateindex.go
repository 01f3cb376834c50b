package datasetio

import (
	"cmp"
	"math"
	"slices"

	"diffstitch/io/trajectory"
)

// stateIndex finds the states of some episodes near others. Distances are small beside
// the spread of the data, so that a k-d tree leaves out most of it also in the dozen
// dimensions of a state.
type stateIndex struct {
	survey  Survey
	least   float64 // what every anchor earns without crossing
	entries []entry
	states  []float32 // [entries, S], scaled; until the tree has them
	tree    *stateTree
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
	x := &stateIndex{survey: survey, least: math.Inf(1)}
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
	x.tree = newStateTree(len(x.survey.Scale), x.states, func(i int32) float64 { return x.entries[i].value })
	x.states = nil
}

// around are the crossings at the anchors [from, to).
func (x *stateIndex) around(anchors []trajectory.Anchor, from, to int) (crossings []trajectory.Crossing) {
	near := &nearby{index: x}
	reach := x.survey.Reach * x.survey.Reach
	var query []float32
	for i := from; i < to; i++ {
		a := anchors[i]
		query = x.appendScaled(query[:0], a.State)
		near.begin(entry{row: a.Row, file: a.File, step: a.Step, rest: a.Rest})
		x.tree.search(query, reach, near)
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

// nearby gathers what is worth most around an anchor, as drawn: the best state of each of
// a few episodes other than the anchor's own.
type nearby struct {
	index *stateIndex
	own   entry
	found []found
	// floor is what a state must be worth more than to be among the best.
	floor float64
}

// found is a state by its place among the entries, with its distance.
type found struct {
	at              int32
	distance, worth float64
}

// better orders states by what they are worth, as drawn, those worth the same by their places.
func better(a, b found) int { return cmp.Or(cmp.Compare(b.worth, a.worth), cmp.Compare(a.at, b.at)) }

// begin forgets what was found around another anchor.
func (n *nearby) begin(own entry) { n.own, n.found, n.floor = own, n.found[:0], 0 }

// enough is whether a state of a value can be among the best so far, no nearer than a
// distance, squared: however its bridge is drawn. What is not worth a bridge at a value is
// not at a lesser one.
func (n *nearby) enough(value, near float64) bool {
	gain := trajectory.Gained(value, n.own.rest)
	return gain > n.floor && gain*trajectory.Chance(math.Sqrt(near), n.index.survey.Reach) > n.floor
}

// see takes up a state at a distance, squared, if it is among the best so far.
func (n *nearby) see(at int32, distance float64) {
	f := found{at: at, distance: math.Sqrt(distance)}
	e := &n.index.entries[at]
	if f.worth = trajectory.Worth(e.value, n.own.rest, f.distance, n.index.survey.Reach); f.worth <= n.floor || e.sameEpisode(n.own) {
		return // however it is drawn
	}
	f.worth *= trajectory.Drawn(n.own.location(), n.own.step, e.location())
	same := slices.IndexFunc(n.found, func(o found) bool { return n.index.entries[o.at].sameEpisode(*e) })
	switch {
	case same < 0:
		n.found = append(n.found, f)
	case better(f, n.found[same]) < 0:
		n.found[same] = f
	}
	if len(n.found) > trajectory.WaysEach {
		last := n.worst()
		n.found = slices.Delete(n.found, last, last+1)
	}
	if len(n.found) == trajectory.WaysEach {
		n.floor = n.found[n.worst()].worth
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
