package datasetio

import (
	"cmp"
	"math"
	"slices"
)

// stateTree is a k-d tree of states with the box around those of each node, and with what
// the best of them is worth: so that a search leaves out what is too far, and what is worth
// too little at its distance. Its leaves are a few states in a row, which a search goes
// through as through an array.
type stateTree struct {
	dim    int
	order  []int32   // places of the states, leaf after leaf
	states []float32 // [n, S], in that order
	values []float64 // [n], in that order
	nodes  []stateNode
	boxes  []float32 // [nodes, 2, S]: the least and the greatest of each dimension
}

type stateNode struct {
	from, to    int32 // in the order
	left, right int32 // nodes; 0 of a leaf
	most        float64
}

// leafStates is how many states a leaf has at most.
const leafStates = 16

// roundoff is by how much of itself a sum of squares in float32 may be off.
const roundoff = 1e-4

// newStateTree makes the tree of states, [n, S], of values.
func newStateTree(dim int, states []float32, values func(i int32) float64) *stateTree {
	t := &stateTree{dim: dim, order: make([]int32, len(states)/dim)}
	for i := range t.order {
		t.order[i] = int32(i)
	}
	if len(t.order) > 0 {
		t.grow(states, values, 0, int32(len(t.order)))
	}
	t.states, t.values = make([]float32, 0, len(states)), make([]float64, 0, len(t.order))
	for _, i := range t.order {
		t.values = append(t.values, values(i))
		t.states = append(t.states, states[int(i)*dim:(int(i)+1)*dim]...)
	}
	return t
}

// grow makes the node of a part of the order, and those below it.
func (t *stateTree) grow(states []float32, values func(i int32) float64, from, to int32) (at int32) {
	at = int32(len(t.nodes))
	most := math.Inf(-1)
	low, high := make([]float32, t.dim), make([]float32, t.dim)
	for n, i := range t.order[from:to] {
		most = max(most, values(i))
		for d, v := range states[int(i)*t.dim : (int(i)+1)*t.dim] {
			if n == 0 || v < low[d] {
				low[d] = v
			}
			if n == 0 || v > high[d] {
				high[d] = v
			}
		}
	}
	t.nodes = append(t.nodes, stateNode{from: from, to: to, most: most})
	t.boxes = append(append(t.boxes, low...), high...)
	widest := 0
	for d := range low {
		if high[d]-low[d] > high[widest]-low[widest] {
			widest = d
		}
	}
	if to-from <= leafStates {
		return at
	}
	middle := (from + to) / 2
	if high[widest] > low[widest] {
		middle = t.part(states, widest, low[widest]+(high[widest]-low[widest])/2, high[widest], from, to)
	} else { // all the same: the best of them first
		slices.SortFunc(t.order[from:to], func(a, b int32) int { return cmp.Compare(values(b), values(a)) })
	}
	left := t.grow(states, values, from, middle)
	right := t.grow(states, values, middle, to)
	t.nodes[at].left, t.nodes[at].right = left, right
	return at
}

// part puts the states up to a value of one dimension before the others, of which there is
// one at least, the greatest.
func (t *stateTree) part(states []float32, d int, value, greatest float32, from, to int32) (middle int32) {
	middle = from
	for i := from; i < to; i++ {
		if v := states[int(t.order[i])*t.dim+d]; v <= value && v < greatest {
			t.order[i], t.order[middle] = t.order[middle], t.order[i]
			middle++
		}
	}
	return middle
}

// away is how far a state is from a node's box, squared, or a little less.
func (t *stateTree) away(node int32, state []float32) float64 {
	box := t.boxes[int(node)*2*t.dim:][:2*t.dim]
	low, high := box[:len(state)], box[len(state):][:len(state)]
	var sum float32
	for d, v := range state {
		if off := low[d] - v; off > 0 {
			sum += off * off
		} else if off := v - high[d]; off > 0 {
			sum += off * off
		}
	}
	return float64(sum) * (1 - roundoff)
}

// search has someone see the states that are no farther from one than reach, a squared
// distance, by their places; all but those that are not enough for him.
func (t *stateTree) search(state []float32, reach float64, by *nearby) {
	if len(t.nodes) > 0 {
		t.below(0, t.away(0, state), state, reach, by)
	}
}

func (t *stateTree) below(node int32, near float64, state []float32, reach float64, by *nearby) {
	n := &t.nodes[node]
	if near > reach || !by.enough(n.most, near) {
		return
	}
	if n.left == 0 {
		for i := n.from; i < n.to; i++ {
			distance := float64(squared(t.states[int(i)*t.dim:][:t.dim], state))
			if distance <= reach && by.enough(t.values[i], distance) {
				by.see(t.order[i], distance)
			}
		}
		return
	}
	first, second := n.left, n.right
	nearest, other := t.away(first, state), t.away(second, state)
	if other < nearest {
		first, second, nearest, other = second, first, other, nearest
	}
	t.below(first, nearest, state, reach, by)
	t.below(second, other, state, reach, by)
}
