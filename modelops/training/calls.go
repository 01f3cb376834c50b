package training

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/random"
	"diffstitch/modelops/training/execution"
)

// device is held for a training's turn on the pure-Go backend.
var device sync.Mutex

// turn makes steps for turnTime, or up to a step where the device has to be left.
func (l *loop) turn(until int) error {
	if !backend.IsGo(l.engine) {
		return l.timed(min(l.progress.Done+l.call, until))
	}
	device.Lock()
	defer device.Unlock()
	for began := time.Now(); l.progress.Done < until && time.Since(began) < turnTime; {
		if err := l.advance(l.progress.Done + 1); err != nil {
			return err
		}
	}
	return nil
}

// timed makes a call, and sets how long the next one is. How steps are divided among
// calls changes nothing of what they compute.
func (l *loop) timed(until int) error {
	began, done := time.Now(), l.progress.Done
	if err := l.advance(until); err != nil {
		return err
	}
	fitting := float64(until-done) * turnTime.Seconds() / time.Since(began).Seconds()
	l.call = max(1, min(int(fitting), 8*l.call, callSteps))
	return nil
}

// advance makes the steps up to one in one call.
func (l *loop) advance(until int) error {
	done := l.progress.Done
	states, paces := l.prepare(done)
	losses, err := l.run(l.steps, tensors.FromScalar(int32(until-done)), states, paces)
	if err != nil {
		return fmt.Errorf("steps %d to %d: %w", done, until-1, err)
	}
	for i, loss := range losses[:until-done] {
		loss := float64(loss)
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return fmt.Errorf("step %d: the loss is %v: try a lower learning rate", done+i, loss)
		}
		l.progress.LossSum += loss
		l.progress.LossSteps++
		l.loss = loss
	}
	l.progress.Done = until
	return nil
}

// prepare gives a call what differs between its steps, for as many as it may make.
//
//	states: [steps, random.StateSize], of the steps' random numbers
//	paces:  [steps, 2], learning rate and averaging decay
func (l *loop) prepare(done int) (states, paces *tensors.Tensor) {
	var numbers []uint64
	var values []float32
	n := l.stepsPerCall()
	for step := done; step < done+n; step++ {
		numbers = append(numbers, random.State(stream(l.job.seed, l.job.kind, examplesStream, step))...)
		values = append(values, float32(l.job.schedule.rate(step)), float32(l.job.schedule.averaging(step)))
	}
	return tensors.FromFlatDataAndDimensions(numbers, n, random.StateSize), tensors.FromFlatDataAndDimensions(values, n, 2)
}

// stepsPerCall is one on the pure-Go backend, which has no call to save.
func (l *loop) stepsPerCall() int {
	if backend.IsGo(l.engine) {
		return 1
	}
	return callSteps
}

// run calls a graph with some inputs, which it frees, and the tables.
func (l *loop) run(exec *model.Exec, inputs ...*tensors.Tensor) (flat []float32, err error) {
	defer func() { err = errors.Join(err, execution.Finalize(inputs)) }()
	outputs, err := execution.Run(l.engine, exec, append(inputs[:len(inputs):len(inputs)], l.tables...)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, execution.Finalize(outputs)) }()
	return execution.Copy(outputs[0])
}
