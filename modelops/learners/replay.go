package learners

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// replay is the transitions that are drawn from, the original ones before the
// augmented ones, as one table: a batch is then one Gather.
type replay struct {
	observationDim, actionDim int

	ratio    Ratio
	original int // rows
	rows     int
}

// width is the columns of a row: observation, action, reward, 1 where the state
// after is not terminal, next observation.
func (r replay) width() int { return 2*r.observationDim + r.actionDim + 2 }

// newReplay lays the table out, normalised.
//
//	table: [rows, width]
func newReplay(data *Data, ratio Ratio, s scaling) (replay, []float32, error) {
	r := replay{observationDim: data.ObservationDim, actionDim: data.ActionDim, ratio: ratio}
	var table []float32
	for _, augmented := range []bool{false, true} {
		if !ratio.drawn(augmented) {
			continue
		}
		before := r.rows
		for row := range data.rows() {
			if data.Augmented[row] == augmented {
				table = append(table, r.row(data, row, s)...)
				r.rows++
			}
		}
		if r.rows == before {
			return replay{}, nil, fmt.Errorf("the ratio %v draws from rows that the data lacks: none is %s", ratio, kindOfRow(augmented))
		}
		if !augmented {
			r.original = r.rows
		}
	}
	return r, table, nil
}

func kindOfRow(augmented bool) string {
	if augmented {
		return "augmented"
	}
	return "original"
}

func (r replay) row(data *Data, row int, s scaling) []float32 {
	o, a := r.observationDim, r.actionDim
	values := make([]float32, r.width())
	s.observation(values[:o], data.Observations[row*o:])
	s.action(values[o:o+a], data.Actions[row*a:])
	values[o+a] = data.Rewards[row] * s.RewardScale
	if !data.Terminals[row] {
		values[o+a+1] = 1
	}
	s.observation(values[o+a+2:], data.Next[row*o:])
	return values
}

// tensor puts a table of the replay on the device.
func (r replay) tensor(table []float32) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(table, r.rows, r.width())
}

// ids draws row numbers, the original rows' before the augmented ones'.
//
//	result: [seeds, size] int32
func (r replay) ids(streams *streams, size int) *Node {
	var parts []*Node
	original := r.ratio.split(size)
	if original > 0 {
		parts = append(parts, streams.pick(original, 0, r.original))
	}
	if original < size {
		parts = append(parts, streams.pick(size-original, r.original, r.rows))
	}
	return Concatenate(parts, 1)
}

// batch is transitions drawn for every seed.
type batch struct {
	observations *Node // [seeds, batch, O], normalised
	actions      *Node // [seeds, batch, A], in [-1, 1]
	rewards      *Node // [seeds, batch]
	alive        *Node // [seeds, batch], 0 where the next state is terminal, else 1
	next         *Node // [seeds, batch, O], normalised
}

// draw draws a batch, of which the ratio's share is original rows, with one stream a
// seed.
//
//	table: [rows, width]
func (r replay) draw(table *Node, streams *streams, size int) batch {
	ids := r.ids(streams, size)
	rows := Gather(table, InsertAxes(ids, -1)) // [seeds, batch, width]
	o, a := r.observationDim, r.actionDim
	columns := func(from, to int) *Node { return SliceAxis(rows, 2, AxisRange(from, to)) }
	return batch{
		observations: columns(0, o),
		actions:      columns(o, o+a),
		rewards:      Squeeze(columns(o+a, o+a+1), 2),
		alive:        Squeeze(columns(o+a+1, o+a+2), 2),
		next:         columns(o+a+2, r.width()),
	}
}

// streams are the random states of an update, one a seed, so that what a seed draws
// does not depend on the others.
type streams struct {
	states []*Node // of graph.RNGStateShape
}

// newStreams takes apart what the host drew for an update.
//
//	states: [seeds, 3] uint64
func newStreams(states *Node) *streams {
	s := &streams{}
	for i := range states.Shape().Dim(0) {
		s.states = append(s.states, Squeeze(SliceAxis(states, 0, AxisElem(i)), 0))
	}
	return s
}

// each draws for one seed after the other.
//
//	result: [seeds, …]
func (s *streams) each(draw func(state *Node) (after, values *Node)) *Node {
	values := make([]*Node, len(s.states))
	for i, state := range s.states {
		s.states[i], values[i] = draw(state)
	}
	return Stack(values, 0)
}

// pick draws row numbers of [from, to).
//
//	result: [seeds, n] int32
func (s *streams) pick(n, from, to int) *Node {
	ids := s.each(func(state *Node) (after, values *Node) {
		return RandomIntN(state, to-from, shapes.Make(dtypes.Int32, n))
	})
	return AddScalar(ids, from)
}
