package training

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training/execution"
)

// adamEpsilon is PyTorch's default, which the configurations come from.
const adamEpsilon = 1e-8

// heldOutBatches is the number of batches, always the same ones, that a point of
// the held-out curve is the mean of.
const heldOutBatches = 4

// loop runs a job's optimizer steps.
type loop struct {
	job      *job
	engine   compute.Backend
	store    *model.Store
	step     *model.Exec
	evaluate *model.Exec
	adam     optimizer.Interface

	progress progress
	// began and beganAt are where this run started, for its speed.
	began   int
	beganAt time.Time
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

// newLoop builds the graphs and sets the first weights.
func newLoop(engine compute.Backend, j *job) (*loop, error) {
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
	_, err = l.step.Compile(l.shapes()...)
	return l, err
}

func (l *loop) finalize() {
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

// resume takes up the training state of the folder, if there is one, and returns
// the step it was saved at.
func (l *loop) resume(dir string, identity checkpoint.Identity) (int, error) {
	state, found, err := checkpoint.LoadState(dir)
	if err != nil || !found {
		return 0, err
	}
	if d := state.Identity.Difference(identity); d != "" {
		return 0, fmt.Errorf("%s holds an unfinished training of something else (%s): give another folder, or delete this one", dir, d)
	}
	if err := json.Unmarshal(state.Progress, &l.progress); err != nil {
		return 0, fmt.Errorf("reading the training state of %s: %w", dir, err)
	}
	if err := execution.Restore(l.store, state.Variables); err != nil {
		return 0, fmt.Errorf("%s: %w: delete the folder to start over", dir, err)
	}
	return l.progress.Done, nil
}

// save writes the training state.
func (l *loop) save(dir string, identity checkpoint.Identity) error {
	variables, err := execution.Snapshot(l.store, "/")
	if err != nil {
		return err
	}
	text, err := json.Marshal(l.progress)
	if err != nil {
		return fmt.Errorf("encoding the training state: %w", err)
	}
	return checkpoint.SaveState(dir, checkpoint.State{Identity: identity, Step: l.progress.Done, Progress: text, Variables: variables})
}

// averages is the averaged weights, what is kept of a training.
func (l *loop) averages() ([]checkpoint.Tensor, error) {
	return execution.Snapshot(l.store, "/"+averagesScope+"/")
}

// run goes on to the last step. It saves at the schedule's intervals, and before
// it returns for an ended context.
func (l *loop) run(ctx context.Context, save func() error) error {
	l.began, l.beganAt = l.progress.Done, time.Now()
	schedule := l.job.schedule
	for l.progress.Done < schedule.Steps {
		if err := ctx.Err(); err != nil {
			return l.interrupted(err, save)
		}
		if err := l.advance(); err != nil {
			return err
		}
		finished := l.progress.Done == schedule.Steps
		if l.progress.Done%schedule.EvaluateEvery == 0 || finished {
			if err := l.addPoint(); err != nil {
				return err
			}
		}
		if l.progress.Done%schedule.SaveEvery == 0 && !finished {
			if err := save(); err != nil {
				return err
			}
		}
	}
	return nil
}

// interrupted saves the state if there is anything new, and says what to do.
func (l *loop) interrupted(cause error, save func() error) error {
	if l.progress.Done > l.began {
		if err := save(); err != nil {
			return fmt.Errorf("interrupted at step %d, and the state could not be saved: %w", l.progress.Done, err)
		}
	}
	return fmt.Errorf("interrupted at step %d of %d, run `diffstitch train` again to resume: %w", l.progress.Done, l.job.schedule.Steps, cause)
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
			StepsPerSecond: float64(l.progress.Done-l.began) / time.Since(l.beganAt).Seconds(),
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
