package learners

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"diffstitch/modelops/random"
)

// replay is the rows that are drawn from, the original ones before the augmented
// ones, which lie on the device as one table: a batch is then one Gather.
type replay struct {
	observationDim, actionDim int

	ratio    Ratio
	original int   // rows
	order    []int // the data's rows
	ends     []int // for each of order, the place in it after its episode's last
	times    []int // for each of order, its step in the episode
}

// newReplay orders the rows.
func newReplay(data *Data, ratio Ratio) (replay, error) {
	r := replay{observationDim: data.ObservationDim, actionDim: data.ActionDim, ratio: ratio}
	for _, augmented := range []bool{false, true} {
		if !ratio.drawn(augmented) {
			continue
		}
		before := len(r.order)
		for e, start := range data.Starts {
			if data.Augmented[start] != augmented {
				continue
			}
			end := len(r.order) + data.end(e) - start
			for row := start; row < data.end(e); row++ {
				r.order, r.ends, r.times = append(r.order, row), append(r.ends, end), append(r.times, row-start)
			}
		}
		if len(r.order) == before {
			return replay{}, fmt.Errorf("the ratio %v draws from rows that the data lacks: none is %s", ratio, kindOfRow(augmented))
		}
		if !augmented {
			r.original = len(r.order)
		}
	}
	return r, nil
}

func kindOfRow(augmented bool) string {
	if augmented {
		return "augmented"
	}
	return "original"
}

// table makes a table of width columns, filled row by row: fill gets a place in the
// order and the row there.
func (r replay) table(width int, fill func(place int, values []float32)) *tensors.Tensor {
	table := tensors.FromShape(shapes.Make(dtypes.Float32, len(r.order), width))
	tensors.MustMutableFlatData(table, func(flat []float32) {
		for place := range r.order {
			fill(place, flat[place*width:(place+1)*width])
		}
	})
	return table
}

// ids draws places in the order, the original rows' before the augmented ones'.
//
//	result: [seeds, size] int32
func (r replay) ids(streams streams, size int) *Node {
	var parts []*Node
	original := r.ratio.split(size)
	if original > 0 {
		parts = append(parts, streams.pick(original, 0, r.original))
	}
	if original < size {
		parts = append(parts, streams.pick(size-original, r.original, len(r.order)))
	}
	return Concatenate(parts, 1)
}

// transitions is the table of batches: observation, action, reward, 1 where the state
// after is not terminal, next observation.
func (r replay) transitions(data *Data, s scaling) *tensors.Tensor {
	o, a := r.observationDim, r.actionDim
	return r.table(2*o+a+2, func(place int, values []float32) {
		row := r.order[place]
		s.observation(values[:o], data.Observations[row*o:])
		s.action(values[o:o+a], data.Actions[row*a:])
		values[o+a] = data.Rewards[row] * s.RewardScale
		if !data.Terminals[row] {
			values[o+a+1] = 1
		}
		s.observation(values[o+a+2:], data.Next[row*o:])
	})
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
//	table: that of transitions
func (r replay) draw(table *Node, streams streams, size int) batch {
	ids := r.ids(streams, size)
	rows := Gather(table, InsertAxes(ids, -1)) // [seeds, batch, width]
	o, a := r.observationDim, r.actionDim
	columns := func(from, to int) *Node { return SliceAxis(rows, 2, AxisRange(from, to)) }
	return batch{
		observations: columns(0, o),
		actions:      columns(o, o+a),
		rewards:      Squeeze(columns(o+a, o+a+1), 2),
		alive:        Squeeze(columns(o+a+1, o+a+2), 2),
		next:         columns(o+a+2, 2*o+a+2),
	}
}

// contexts is the table of contexts: observation, action, return to go, step in the
// episode, and steps left in it, this one included.
func (r replay) contexts(data *Data, s scaling) *tensors.Tensor {
	o, a := r.observationDim, r.actionDim
	toGo := make([]float64, len(r.order)+1)
	for place := len(r.order) - 1; place >= 0; place-- {
		toGo[place] = float64(data.Rewards[r.order[place]])
		if place+1 < r.ends[place] {
			toGo[place] += toGo[place+1]
		}
	}
	return r.table(o+a+3, func(place int, values []float32) {
		row := r.order[place]
		s.observation(values[:o], data.Observations[row*o:])
		s.action(values[o:o+a], data.Actions[row*a:])
		values[o+a] = float32(toGo[place]) * s.RewardScale
		values[o+a+1] = float32(r.times[place])
		values[o+a+2] = float32(r.ends[place] - place)
	})
}

// contexts are steps of an episode, one after the other, of every seed. Where an
// episode ends, zeros follow.
type contexts struct {
	returns      *Node // [seeds, batch, context], still to come
	observations *Node // [seeds, batch, context, O], normalised
	actions      *Node // [seeds, batch, context, A], in [-1, 1]
	times        *Node // [seeds, batch, context] int32, steps since the episode began
	known        *Node // [seeds, batch, context], 1, or 0 after the episode's end
}

// drawContexts draws steps, each as likely as another, and what follows them.
//
//	table: that of contexts
func (r replay) drawContexts(table *Node, streams streams, size, context int) contexts {
	o, a := r.observationDim, r.actionDim
	ids := r.ids(streams, size)
	first := repeatSteps(ids, context) // [seeds, batch, context]
	step := Iota(table.Graph(), first.Shape(), 2)
	rows := Gather(table, InsertAxes(MinScalar(Add(first, step), len(r.order)-1), -1))
	begins := Gather(table, InsertAxes(ids, -1)) // [seeds, batch, columns]
	ofFirst := func(i int) *Node { return repeatSteps(column(SliceAxis(begins, 2, AxisElem(i))), context) }
	number := ConvertDType(step, dtypes.Float32)
	known := ConvertDType(LessThan(number, ofFirst(o+a+2)), dtypes.Float32)
	rows = Mul(rows, BroadcastToDims(InsertAxes(known, -1), rows.Shape().Dimensions...))
	return contexts{
		returns:      column(SliceAxis(rows, 3, AxisElem(o+a))),
		observations: SliceAxis(rows, 3, AxisRange(0, o)),
		actions:      SliceAxis(rows, 3, AxisRange(o, o+a)),
		times:        ConvertDType(Add(number, ofFirst(o+a+1)), dtypes.Int32),
		known:        known,
	}
}

// streams are the random numbers of an update, one stream per seed, so that what a seed
// draws does not depend on the others.
type streams []*random.Draws

// newStreams takes apart what the host drew for an update.
//
//	states: [seeds, random.StateSize] uint64
func newStreams(states *Node) streams {
	s := make(streams, states.Shape().Dim(0))
	for i := range s {
		s[i] = random.NewDraws(Squeeze(SliceAxis(states, 0, AxisElem(i)), 0))
	}
	return s
}

// each draws for one seed after the other.
//
//	result: [seeds, …]
func (s streams) each(draw func(*random.Draws) *Node) *Node {
	values := make([]*Node, len(s))
	for i, draws := range s {
		values[i] = draw(draws)
	}
	return Stack(values, 0)
}

// pick draws row numbers of [from, to).
//
//	result: [seeds, n] int32
func (s streams) pick(n, from, to int) *Node {
	return s.each(func(d *random.Draws) *Node { return d.Between(from, to, n) })
}

// repeatSteps repeats what is said of a context for each of its steps.
//
//	x:      [seeds, batch]
//	result: [seeds, batch, context]
func repeatSteps(x *Node, context int) *Node {
	return BroadcastToDims(InsertAxes(x, -1), x.Shape().Dim(0), x.Shape().Dim(1), context)
}

// normal draws standard normal numbers.
//
//	result: [seeds, dims...]
func (s streams) normal(dims ...int) *Node {
	return s.each(func(d *random.Draws) *Node { return d.Normal(dims...) })
}
