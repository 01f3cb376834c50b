package learners

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/random"
	"diffstitch/modelops/training/execution"
)

// How many updates a call of the graph makes at most: of perceptrons, and of the
// Decision Transformer, whose update takes thirty times as long. The number is part of
// the graph's shape.
const callUpdates, contextCallUpdates = 240, 24

// Uses of randomness, each with streams of its own.
const (
	weightsStream = "learners/weights" // first weights
	updatesStream = "learners/updates" // an update's batch and noise
)

// algorithm is what differs between the learners.
type algorithm interface {
	// first draws all arrays of one seed as they are before the first update.
	first(rng *rand.Rand) []checkpoint.Tensor
	// stride is how many updates go together.
	stride() int
	// perCall is how many updates a call of the graph makes at most.
	perCall() int
	// metrics names what an update reports.
	metrics() []string
	// update builds one update.
	update(u *update)
}

// update is what an update is built from. It may use nothing made outside of it, since
// a loop's body can't on XLA.
type update struct {
	done    *Node // scalar int32, updates before this one
	last    bool  // of a whole stride
	streams *streams
	table   *Node  // of the data, see the learner's replay
	values  arrays // weights, targets and moments: replaced by the update

	reported []*Node // [seeds] each
}

// report sets the update's metrics.
//
//	metrics: [seeds] each
func (u *update) report(metrics ...*Node) { u.reported = metrics }

// under lists the weights of a net.
func (u *update) under(net string) []string { return u.named(net + "/") }

// named lists the arrays that begin with a prefix.
func (u *update) named(prefix string) []string {
	var names []string
	for name := range u.values {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// loop runs updates on a device.
type loop struct {
	engine    compute.Backend
	cfg       Config
	algorithm algorithm
	exec      *model.Exec
	rest      *model.Exec // of the updates after the last whole stride; nil where there are none

	table  *tensors.Tensor
	names  []string          // of the arrays, sorted
	values []*tensors.Tensor // in the order of names, on the device
}

// newLoop compiles the graph, with the arrays as they are before the first update.
func newLoop(engine compute.Backend, cfg Config, data *Data, s scaling) (*loop, error) {
	replay, err := newReplay(data, cfg.Ratio)
	if err != nil {
		return nil, err
	}
	l := &loop{engine: engine, cfg: cfg, algorithm: newAlgorithm(cfg, replay)}
	if cfg.Learner == DT {
		l.table = replay.contexts(data, s)
	} else {
		l.table = replay.transitions(data, s)
	}
	l.set(l.firstValues())
	if l.exec, err = model.NewExec(engine, model.NewStore(), l.graph); err != nil {
		return nil, fmt.Errorf("building the graph: %w", err)
	}
	if cfg.Steps%l.algorithm.stride() > 0 {
		if l.rest, err = model.NewExec(engine, model.NewStore(), l.restGraph); err != nil {
			return nil, fmt.Errorf("building the graph of the last updates: %w", err)
		}
	}
	return l, nil
}

func newAlgorithm(cfg Config, r replay) algorithm {
	switch cfg.Learner {
	case IQL:
		return newIQL(cfg, r)
	case TD3BC:
		return newTD3BC(cfg, r)
	default: // a valid configuration has no other
		return newDT(cfg, r)
	}
}

// Finalize frees the graphs and the arrays.
func (l *loop) Finalize() {
	l.exec.Finalize()
	if l.rest != nil {
		l.rest.Finalize()
	}
	_ = execution.Finalize(append(l.values, l.table)) // nothing is to be done about it
}

// firstValues puts the seeds' arrays one after the other on their first axis.
func (l *loop) firstValues() []checkpoint.Tensor {
	var all []checkpoint.Tensor
	for i, seed := range l.cfg.Seeds {
		list := l.algorithm.first(random.Stream(seed, weightsStream, 0))
		if i == 0 {
			all = list
			continue
		}
		for k, t := range list {
			all[k].Data = append(all[k].Data, t.Data...)
		}
	}
	for k := range all {
		all[k].Shape[0] *= len(l.cfg.Seeds)
	}
	return all
}

// set replaces the arrays.
func (l *loop) set(list []checkpoint.Tensor) {
	slices.SortFunc(list, func(a, b checkpoint.Tensor) int { return strings.Compare(a.Name, b.Name) })
	l.names, l.values = nil, nil
	for _, t := range list {
		l.names = append(l.names, t.Name)
		l.values = append(l.values, tensors.FromFlatDataAndDimensions(t.Data, t.Shape...))
	}
}

// Restore replaces the arrays by those of a snapshot.
func (l *loop) Restore(list []checkpoint.Tensor) error {
	if len(list) != len(l.names) {
		return fmt.Errorf("the saved state has %d arrays, want %d", len(list), len(l.names))
	}
	for i, t := range list { // both sorted by name
		if t.Name != l.names[i] || !slices.Equal(t.Shape, l.values[i].Shape().Dimensions) {
			return fmt.Errorf("the saved state has %q of shape %v, want %q of %v", t.Name, t.Shape, l.names[i], l.values[i].Shape().Dimensions)
		}
	}
	before := l.values
	l.set(list)
	return execution.Finalize(before)
}

// Snapshot copies the arrays.
func (l *loop) Snapshot() ([]checkpoint.Tensor, error) {
	list := make([]checkpoint.Tensor, len(l.names))
	for i, value := range l.values {
		data, err := execution.Copy(value)
		if err != nil {
			return nil, fmt.Errorf("copying %q: %w", l.names[i], err)
		}
		list[i] = checkpoint.Tensor{Name: l.names[i], Shape: value.Shape().Dimensions, Data: data}
	}
	return list, nil
}

// run makes the updates from done to until, and gives the mean of their metrics.
//
//	result: [metrics][seeds]
func (l *loop) run(done, until int) ([][]float64, error) {
	states := l.states(done)
	defer states.MustFinalizeAll()
	begun, stride := done, l.algorithm.stride()
	whole := until - until%stride // calls begin with a stride
	atOnce := whole - begun
	if backend.IsGo(l.engine) {
		atOnce = stride
	}
	means := make([][]float64, len(l.algorithm.metrics()))
	for i := range means {
		means[i] = make([]float64, len(l.cfg.Seeds))
	}
	for done < until {
		exec, next := l.exec, done+atOnce
		if done == whole {
			exec, next = l.rest, until
		}
		sums, err := l.call(exec, begun, done, next, states)
		if err != nil {
			return nil, err
		}
		for i, sum := range sums {
			means[i/len(l.cfg.Seeds)][i%len(l.cfg.Seeds)] += float64(sum) / float64((until-begun+stride-1)/stride)
		}
		done = next
	}
	return means, nil
}

// call runs a graph, and gives the sums of the metrics.
//
//	states: of the updates from begun
//	result: [metrics, seeds]
func (l *loop) call(exec *model.Exec, begun, done, until int, states *tensors.Tensor) ([]float32, error) {
	scalars := []*tensors.Tensor{tensors.FromScalar(int32(begun)), tensors.FromScalar(int32(done)), tensors.FromScalar(int32(until))}
	inputs := slices.Concat(scalars, []*tensors.Tensor{states, l.table}, l.values)
	outputs, err := execution.Run(l.engine, exec, inputs...)
	if err != nil {
		return nil, err
	}
	spent := slices.Concat(scalars, l.values, outputs[:1])
	l.values = outputs[1:]
	sums, err := execution.Copy(outputs[0])
	return sums, errors.Join(err, execution.Finalize(spent))
}

// states draws the random states of a call's updates.
//
//	result: [updates, seeds, 3] uint64
func (l *loop) states(done int) *tensors.Tensor {
	var flat []uint64
	for i := range l.algorithm.perCall() {
		for _, seed := range l.cfg.Seeds {
			rng := random.Stream(seed, updatesStream, done+i)
			flat = append(flat, rng.Uint64(), rng.Uint64(), rng.Uint64())
		}
	}
	return tensors.FromFlatDataAndDimensions(flat, l.algorithm.perCall(), len(l.cfg.Seeds), 3)
}

// carried is what goes from one round of the graph's loop to the next.
type carried struct {
	begun         *Node // scalar int32, the update of the first of states
	done, until   *Node // scalar int32, updates so far, and at the end of the call
	states, table *Node
	sums          *Node // [metrics, seeds]
	values        []*Node
}

func (c carried) nodes() []*Node {
	return append([]*Node{c.begun, c.done, c.until, c.states, c.table, c.sums}, c.values...)
}

func carriedFrom(nodes []*Node) carried {
	return carried{begun: nodes[0], done: nodes[1], until: nodes[2], states: nodes[3], table: nodes[4], sums: nodes[5], values: nodes[6:]}
}

// parameters is what is carried as parameters of a closure.
func (c carried) parameters(g *Graph) carried {
	nodes := c.nodes()
	for i, node := range nodes {
		nodes[i] = Parameter(g, fmt.Sprintf("carried_%d", i), node.Shape())
	}
	return carriedFrom(nodes)
}

// graph makes the updates of a call: one round of them on pure Go, whose compiler
// breaks gradients inside of a loop's body, and which has no call to save.
//
//	inputs: begun, done, until, states, the table, then the arrays
//	result: the sums of the metrics, then the arrays
func (l *loop) graph(_ *model.Scope, inputs []*Node) []*Node {
	g, first, stride := inputs[0].Graph(), l.before(inputs), l.algorithm.stride()
	if backend.IsGo(g.Backend()) {
		last := l.round(first, stride)
		return append([]*Node{last.sums}, last.values...)
	}
	more := NewClosure(g, func(g *Graph) []*Node {
		c := first.parameters(g)
		return []*Node{LessThan(c.done, c.until)}
	})
	body := NewClosure(g, func(g *Graph) []*Node {
		return l.round(first.parameters(g), stride).nodes()
	})
	last := carriedFrom(While(more, body, first.nodes()...))
	return append([]*Node{last.sums}, last.values...)
}

// restGraph makes the updates that are left of the training after its whole strides.
// Inputs and result are those of graph.
func (l *loop) restGraph(_ *model.Scope, inputs []*Node) []*Node {
	last := l.round(l.before(inputs), l.cfg.Steps%l.algorithm.stride())
	return append([]*Node{last.sums}, last.values...)
}

// before is what a call's first round gets: the inputs, and sums of 0.
func (l *loop) before(inputs []*Node) carried {
	sums := ConstTensor(inputs[0].Graph(), tensors.FromShape(shapes.Make(dtypes.Float32, len(l.algorithm.metrics()), len(l.cfg.Seeds))))
	return carriedFrom(slices.Insert(slices.Clone(inputs), 5, sums))
}

// round makes the updates of one stride, or the first of one.
func (l *loop) round(c carried, updates int) carried {
	values := arrays{}
	for i, name := range l.names {
		values[name] = c.values[i]
	}
	for i := range updates {
		states := Squeeze(Gather(c.states, Reshape(Sub(c.done, c.begun), 1, 1)), 0) // [seeds, 3]
		u := &update{
			done: c.done, last: i == l.algorithm.stride()-1,
			streams: newStreams(states), table: c.table, values: values,
		}
		l.algorithm.update(u)
		if i == updates-1 {
			c.sums = Add(c.sums, Stack(u.reported, 0))
		}
		c.done = Add(c.done, Const(c.done.Graph(), int32(1)))
	}
	for i, name := range l.names {
		c.values[i] = values[name]
	}
	return c
}
