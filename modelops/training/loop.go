package training

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training/execution"
	"diffstitch/modelops/training/resumable"
)

// adamEpsilon is PyTorch's default, which the configurations come from.
const adamEpsilon = 1e-8

// heldOutBatches is the number of batches, always the same ones, that a point of
// the held-out curve is the mean of.
const heldOutBatches = 4

// loop runs a job's optimizer steps, a resumable.Loop.
type loop struct {
	job      *job
	engine   compute.Backend
	store    *model.Store
	step     *model.Exec
	evaluate *model.Exec
	adam     optimizer.Interface

	progress progress
	pace     resumable.Pace
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
		job: j, engine: engine, store: model.NewStore(),
		adam: optimizer.Adam().Epsilon(adamEpsilon).Done(),
	}
	seed := stream(j.seed, j.kind, weightsStream, 0).Int64()
	if err := l.store.SetRNGStateFromSeed(seed); err != nil {
		return nil, fmt.Errorf("seeding the weights: %w", err)
	}
	var err error
	if l.step, err = model.NewExec(engine, l.store, l.stepGraph); err != nil {
		return nil, err
	}
	if l.evaluate, err = model.NewExec(engine, l.store, l.evaluateGraph); err != nil {
		return nil, err
	}
	// Compiling makes the variables, in an order that does not depend on whether
	// they will be restored.
	if _, err = l.step.Compile(l.shapes()...); err != nil || first == nil {
		return l, err
	}
	return l, execution.SetWeights(l.store, first)
}

// Finalize frees the graphs and the variables.
func (l *loop) Finalize() {
	l.step.Finalize()
	l.evaluate.Finalize()
	l.store.Finalize()
}

// shapes is that of the inputs of a step: its learning rate and averaging decay,
// scalars, then the objective's.
func (l *loop) shapes() []shapes.Shape {
	list := []shapes.Shape{shapes.Make(dtypes.Float32), shapes.Make(dtypes.Float32)}
	for _, dims := range l.job.objective.dims(l.job.schedule.Batch) {
		list = append(list, shapes.Make(dtypes.Float32, dims...))
	}
	return list
}

// stepGraph is one optimizer step.
//
//	inputs: learning rate and averaging decay, scalars, then the objective's
//	result: scalar, the loss before the step is taken
func (l *loop) stepGraph(scope *model.Scope, inputs []*Node) *Node {
	rate, decay, batch := inputs[0], inputs[1], inputs[2:]
	// Nets are independent of each other: the sum trains each on its own loss.
	losses := l.job.objective.loss(scope.At(execution.WeightsScope), batch)
	optimizer.LearningRateVar(scope, dtypes.Float32, 0).SetNodeValue(rate)
	l.adam.UpdateGraph(scope, rate.Graph(), ReduceAllSum(losses))
	averageWeights(scope, decay)
	return ReduceAllMean(losses)
}

// evaluateGraph is the loss of the averaged weights.
//
//	inputs: the objective's
//	result: scalar
func (l *loop) evaluateGraph(scope *model.Scope, inputs []*Node) *Node {
	return ReduceAllMean(l.job.objective.loss(scope.At(averagesScope), inputs))
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

// Advance makes one optimizer step and, when it is due, a point of the curve.
func (l *loop) Advance() error {
	if err := l.advance(); err != nil {
		return err
	}
	done, schedule := l.progress.Done, l.job.schedule
	if done%schedule.EvaluateEvery == 0 || done == schedule.Steps {
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

// advance makes one optimizer step.
func (l *loop) advance() error {
	done, schedule := l.progress.Done, l.job.schedule
	inputs := []*tensors.Tensor{
		tensors.FromScalar(float32(schedule.rate(done))),
		tensors.FromScalar(float32(schedule.averaging(done))),
	}
	inputs = append(inputs, l.draw(stream(l.job.seed, l.job.kind, examplesStream, done), l.job.examples.train)...)
	losses, err := execution.Call(l.engine, l.step, inputs...)
	if err != nil {
		return fmt.Errorf("step %d: %w", done, err)
	}
	loss := float64(losses[0])
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("step %d: the loss is %v: try a lower learning rate", done, loss)
	}
	l.progress.LossSum += loss
	l.progress.LossSteps++
	l.progress.Done++
	if l.job.onStep != nil {
		l.job.onStep(Progress{
			Kind: l.job.kind, Step: l.progress.Done, Steps: schedule.Steps,
			Loss: loss, HeldOut: l.progress.lastHeldOut(),
			StepsPerSecond: l.pace.StepsPerSecond(l.progress.Done),
		})
	}
	return nil
}

// draw makes the objective's inputs of one step.
func (l *loop) draw(rng *rand.Rand, from []example) []*tensors.Tensor {
	var arrays [][]float32
	dims := l.job.objective.dims(l.job.schedule.Batch)
	for _, d := range dims {
		arrays = append(arrays, make([]float32, shapes.Make(dtypes.Float32, d...).Size()))
	}
	l.job.objective.draw(rng, from, arrays)
	inputs := make([]*tensors.Tensor, len(dims))
	for k, array := range arrays {
		inputs[k] = tensors.FromFlatDataAndDimensions(array, dims[k]...)
	}
	return inputs
}

// addPoint measures the held-out loss and ends a piece of the curve.
func (l *loop) addPoint() error {
	heldOut := 0.0
	for i := range heldOutBatches {
		inputs := l.draw(stream(l.job.seed, l.job.kind, heldOutStream, i), l.job.examples.heldOut)
		loss, err := execution.Call(l.engine, l.evaluate, inputs...)
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
