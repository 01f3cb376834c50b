package learners

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/compute"
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
			flat = append(flat, random.State(random.Stream(seed, updatesStream, done+i))...)
		}
	}
	return tensors.FromFlatDataAndDimensions(flat, l.algorithm.perCall(), len(l.cfg.Seeds), random.StateSize)
}
