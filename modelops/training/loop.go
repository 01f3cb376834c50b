package training

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/random"
	"diffstitch/modelops/training/execution"
	"diffstitch/modelops/training/resumable"
)

// adamEpsilon is PyTorch's default, which the configurations come from.
const adamEpsilon = 1e-8

// heldOutBatches is the number of batches, always the same ones, that a point of
// the held-out curve is the mean of.
const heldOutBatches = 4

// callSteps is how many optimizer steps a call of the device makes at most. It is part
// of the graph's shape.
const callSteps = 1024

// turnTime is how long a training keeps the device while others wait: of a fast model
// that is many steps, of a slow one few, and of the pure-Go backend, which runs one graph
// at a time, an equal share for each.
const turnTime = 250 * time.Millisecond

// loop runs a job's optimizer steps, a resumable.Loop. Data, weights and moments stay on
// the device, which makes many steps in a call.
type loop struct {
	job      *job
	engine   compute.Backend
	store    *model.Store
	tables   []*tensors.Tensor // of the objective
	steps    *model.Exec
	evaluate *model.Exec
	adam     optimizer.Interface

	progress progress
	pace     resumable.Pace
	call     int     // steps of the next call
	loss     float64 // of the last step
}

// progress is what a loop knows besides its variables. It is saved with them.
type progress struct {
	Done  int     `json:"done"` // optimizer steps
	Curve []Point `json:"curve"`
	// LossSum and LossSteps are of the steps since the last point of the curve.
	LossSum   float64 `json:"loss_sum"`
	LossSteps int     `json:"loss_steps"`
}

// lastHeldOut is the last held-out loss, 0 before the first.
func (p progress) lastHeldOut() float64 {
	if len(p.Curve) == 0 {
		return 0
	}
	return p.Curve[len(p.Curve)-1].HeldOut
}

// newLoop builds the graphs and sets the first weights: those that are given, or random
// ones.
func newLoop(engine compute.Backend, j *job, first []checkpoint.Tensor) (*loop, error) {
	l := &loop{
		job: j, engine: engine, store: model.NewStore(), tables: j.objective.tables(), call: 1,
		adam: optimizer.Adam().Epsilon(adamEpsilon).Done(),
	}
	seed := stream(j.seed, j.kind, weightsStream, 0).Int64()
	if err := l.store.SetRNGStateFromSeed(seed); err != nil {
		return nil, fmt.Errorf("seeding the weights: %w", err)
	}
	if err := errors.Join(execution.Move(engine, l.tables), l.declare()); err != nil {
		return nil, err
	}
	var err error
	if l.steps, err = model.NewExec(engine, l.store, l.stepsGraph); err != nil {
		return nil, err
	}
	if l.evaluate, err = model.NewExec(engine, l.store, l.evaluateGraph); err != nil {
		return nil, err
	}
	if err := execution.Compile(l.steps, l.shapes()...); err != nil || first == nil {
		return l, err
	}
	return l, execution.SetWeights(l.store, first)
}

// Finalize frees the graphs, the variables and the data.
func (l *loop) Finalize() {
	l.steps.Finalize()
	l.evaluate.Finalize()
	l.store.Finalize()
	_ = execution.Finalize(l.tables) // nothing is to be done about it
}

// Progress is saved with the variables.
func (l *loop) Progress() any { return &l.progress }

// Snapshot copies the variables.
func (l *loop) Snapshot() ([]checkpoint.Tensor, error) { return execution.Snapshot(l.store, "/") }

// Restore sets the variables.
func (l *loop) Restore(variables []checkpoint.Tensor) error {
	return execution.Restore(l.store, variables)
}

// Begin keeps the pace, which is reported.
func (l *loop) Begin(pace resumable.Pace) error {
	l.pace = pace
	return nil
}

// Done is how many optimizer steps are made.
func (l *loop) Done() int { return l.progress.Done }

// End has nothing to do.
func (l *loop) End() error { return nil }

// Advance takes a turn on the device and, when it is due, makes a point of the curve.
func (l *loop) Advance() error {
	every := l.job.schedule.EvaluateEvery
	due := min((l.progress.Done/every+1)*every, l.job.schedule.Steps)
	if err := l.turn(due); err != nil {
		return err
	}
	if l.job.onStep != nil {
		l.job.onStep(Progress{
			Kind: l.job.kind, Step: l.progress.Done, Steps: l.job.schedule.Steps,
			Loss: l.loss, HeldOut: l.progress.lastHeldOut(),
			StepsPerSecond: l.pace.StepsPerSecond(l.progress.Done),
		})
	}
	if l.progress.Done == due {
		return l.addPoint()
	}
	return nil
}

// Finish measures what the averaged weights are worth. They are what is kept of a
// training.
func (l *loop) Finish() (checkpoint.Model, []checkpoint.Tensor, error) {
	weights, err := execution.Snapshot(l.store, "/"+averagesScope+"/")
	if err != nil {
		return checkpoint.Model{}, nil, err
	}
	l.job.details.Curve, l.job.details.HeldOutLoss = l.progress.Curve, l.progress.lastHeldOut()
	if err := l.job.finish(l.engine, weights); err != nil {
		return checkpoint.Model{}, nil, err
	}
	m, err := l.job.model()
	return m, weights, err
}

// addPoint measures the held-out loss and ends a piece of the curve.
func (l *loop) addPoint() error {
	heldOut := 0.0
	for i := range heldOutBatches {
		state := random.State(stream(l.job.seed, l.job.kind, heldOutStream, i))
		loss, err := l.run(l.evaluate, tensors.FromFlatDataAndDimensions(state, random.StateSize))
		if err != nil {
			return fmt.Errorf("held-out loss at step %d: %w", l.progress.Done, err)
		}
		heldOut += float64(loss[0]) / heldOutBatches
	}
	if math.IsNaN(heldOut) || math.IsInf(heldOut, 0) {
		return fmt.Errorf("the held-out loss at step %d is %v: try a lower learning rate", l.progress.Done, heldOut)
	}
	l.progress.Curve = append(l.progress.Curve, Point{
		Step: l.progress.Done, Loss: l.progress.LossSum / float64(l.progress.LossSteps), HeldOut: heldOut,
	})
	l.progress.LossSum, l.progress.LossSteps = 0, 0
	return nil
}
