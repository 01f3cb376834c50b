package training

import (
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"diffstitch/modelops/random"
)

// heldOutShare of the episodes is kept from training.
const heldOutShare = 0.05

// example points at a step of an episode: a transition, or the first state of a
// window.
type example struct {
	episode, step int32
}

// examples is the data of a kind, split by episode.
type examples struct {
	train, heldOut []example
	// tooShort counts the episodes without any example.
	tooShort int
}

// side is which of the examples are drawn from.
type side int

const (
	fromTrain side = iota
	fromHeldOut
)

// all lists the examples in the order of tables: those held out, then the others.
func (e examples) all() []example { return slices.Concat(e.heldOut, e.train) }

// tableOf is a table of a row for each of some examples.
func tableOf(list []example, width int, fill func(e example, row []float32)) *tensors.Tensor {
	return newTable(len(list), width, func(flat []float32) {
		for i, e := range list {
			fill(e, flat[i*width:(i+1)*width])
		}
	})
}

// newTable makes a table, filled in place.
func newTable(rows, width int, fill func(flat []float32)) *tensors.Tensor {
	table := tensors.FromShape(shapes.Make(dtypes.Float32, rows, width))
	tensors.MustMutableFlatData(table, fill)
	return table
}

// pick draws rows of a table, each as likely as another.
//
//	result: [batch, width]
func (e examples) pick(draws *random.Draws, table *Node, from side, batch int) *Node {
	begin, end := 0, len(e.heldOut)
	if from == fromTrain {
		begin, end = end, end+len(e.train)
	}
	return pickRows(draws, table, begin, end, batch)
}

// pickRows draws rows of a part of a table.
func pickRows(draws *random.Draws, table *Node, begin, end, batch int) *Node {
	return Gather(table, draws.Between(begin, end, batch, 1))
}

// generations are the numbers of episodes that each training knew, this one last.
func (d *Data) generations() []int {
	return append(slices.Clone(d.Learned), len(d.Trajectories))
}

// split lists the examples of the episodes, of which episode i has count(i), and
// holds out a share of the episodes that have any. The choice depends on the
// seed alone, so that the four models hold out the same episodes as far as they
// can; and each generation of episodes has its own, so that what one training held out
// no later one that goes on from it learns from.
func split(data *Data, seed uint64, count func(Trajectory) int) (examples, error) {
	var learned, held []int
	first := 0
	for generation, end := range data.generations() {
		var usable []int
		for _, i := range stream(seed, "", splitStream, generation).Perm(end - first) {
			if count(data.Trajectories[first+i]) > 0 {
				usable = append(usable, first+i)
			}
		}
		out := int(math.Round(heldOutShare * float64(len(usable))))
		if generation == 0 {
			out = min(max(1, out), len(usable))
		}
		learned, held, first = append(learned, usable[out:]...), append(held, usable[:out]...), end
	}
	usable := len(learned) + len(held)
	if len(learned) == 0 || len(held) == 0 {
		return examples{}, fmt.Errorf("%d of %d episodes can be used, of which one must be held out: at least 2 are needed", usable, len(data.Trajectories))
	}
	list := func(episodes []int) (found []example) {
		for _, i := range slices.Sorted(slices.Values(episodes)) {
			for step := range count(data.Trajectories[i]) {
				found = append(found, example{int32(i), int32(step)})
			}
		}
		return found
	}
	return examples{train: list(learned), heldOut: list(held), tooShort: len(data.Trajectories) - usable}, nil
}

// transitions is the number of steps whose next state is known.
func (d *Data) transitions(t Trajectory) int {
	return min(len(t.Rewards), len(t.States)/d.ObservationDim-1)
}

// windows splits the data into windows of at most horizon states, see Windows.
func windows(data *Data, seed uint64, horizon int) (examples, *Windows, error) {
	found, err := split(data, seed, func(t Trajectory) int { return data.states(t) - 1 })
	if err != nil {
		return examples{}, nil, fmt.Errorf("windows of two states or more: %w", err)
	}
	w := &Windows{}
	for _, t := range data.Trajectories {
		n := data.states(t)
		if n < 2 {
			continue
		}
		w.Episodes++
		w.States += n
		w.Begin += n - 1
		w.Padded += min(n-1, max(0, horizon-2))
		w.Longest = max(w.Longest, n)
	}
	return found, w, nil
}

// states is the number of an episode's known states.
func (d *Data) states(t Trajectory) int { return len(t.States) / d.ObservationDim }
