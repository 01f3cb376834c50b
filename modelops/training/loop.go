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
	_, err = l.step.Compile(l.shapes(j.stepsPerCall)...)
	return l, err
}

func (l *loop) finalize() {
	l.step.Finalize()
	l.evaluate.Finalize()
	l.store.Finalize()
}

// shapes is that of the inputs of a call of so many steps: rates and decays,
// [steps], then the objective's, each with an axis of steps before it.
func (l *loop) shapes(steps int) []shapes.Shape {
	list := []shapes.Shape{shapes.Make(dtypes.Float32, steps), shapes.Make(dtypes.Float32, steps)}
	for _, dims := range l.job.objective.dims(l.job.schedule.Batch) {
		list = append(list, shapes.Make(dtypes.Float32, append([]int{steps}, dims...)...))
	}
	return list
}

// stepGraph is some optimizer steps, one after the other.
//
//	inputs: rates [steps], decays [steps], then the objective's [steps, …]
//	result: [steps], the loss of each step before it is taken
func (l *loop) stepGraph(scope *model.Scope, inputs []*Node) *Node {
	losses := make([]*Node, inputs[0].Shape().Dim(0))
	for i := range losses {
		one := atStep(inputs, i)
		rate, decay, batch := one[0], one[1], one[2:]
		// Nets are independent of each other: the sum trains each on its own loss.
		perNet := l.job.objective.loss(scope.At(weightsScope), batch)
		optimizer.LearningRateVar(scope, dtypes.Float32, 0).SetNodeValue(rate)
		l.adam.UpdateGraph(scope, rate.Graph(), ReduceAllSum(perNet))
		averageWeights(scope, decay)
		losses[i] = Reshape(ReduceAllMean(perNet), 1)
	}
	return Concatenate(losses, 0)
}

// evaluateGraph is the loss of the averaged weights.
//
//	inputs: the objective's, [1, …]
//	result: scalar
func (l *loop) evaluateGraph(scope *model.Scope, inputs []*Node) *Node {
	return ReduceAllMean(l.job.objective.loss(scope.At(averagesScope), atStep(inputs, 0)))
}

// atStep is the inputs of one of the steps of a call: [steps, …] -> […].
func atStep(inputs []*Node, step int) []*Node {
	one := make([]*Node, len(inputs))
	for k, x := range inputs {
		one[k] = Squeeze(Slice(x, AxisElem(step)), 0)
	}
	return one
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
	if err := restore(l.store, state.Variables); err != nil {
		return 0, fmt.Errorf("%s: %w: delete the folder to start over", dir, err)
	}
	return l.progress.Done, nil
}

// save writes the training state.
func (l *loop) save(dir string, identity checkpoint.Identity) error {
	variables, err := snapshot(l.store, "/")
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
	return snapshot(l.store, "/"+averagesScope+"/")
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
		before := l.progress.Done
		if err := l.advance(min(l.job.stepsPerCall, schedule.Steps-before)); err != nil {
			return err
		}
		passed := func(every int) bool { return l.progress.Done/every > before/every }
		finished := l.progress.Done == schedule.Steps
		if passed(schedule.EvaluateEvery) || finished {
			if err := l.addPoint(); err != nil {
				return err
			}
		}
		if passed(schedule.SaveEvery) && !finished {
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

// advance makes so many optimizer steps in one call.
func (l *loop) advance(steps int) error {
	first := l.progress.Done
	rates, decays := make([]float32, steps), make([]float32, steps)
	for i := range steps {
		rates[i], decays[i] = float32(l.job.schedule.rate(first+i)), float32(l.job.schedule.averaging(first+i))
	}
	inputs := []any{tensors.FromFlatDataAndDimensions(rates, steps), tensors.FromFlatDataAndDimensions(decays, steps)}
	inputs = append(inputs, l.draw(steps, l.job.examples.train, func(i int) *rand.Rand {
		return stream(l.job.seed, l.job.kind, examplesStream, first+i)
	})...)
	losses, err := call(l.engine, l.step, inputs...)
	if err != nil {
		return fmt.Errorf("step %d: %w", first, err)
	}
	for i, loss := range losses {
		if math.IsNaN(float64(loss)) || math.IsInf(float64(loss), 0) {
			return fmt.Errorf("step %d: the loss is %v: try a lower learning rate", first+i, loss)
		}
		l.progress.LossSum += float64(loss)
	}
	l.progress.LossSteps += steps
	l.progress.Done += steps
	l.report(losses)
	return nil
}

// draw makes the objective's inputs of some steps, each [steps, …]; rng is the
// stream of a step.
func (l *loop) draw(steps int, from []example, rng func(i int) *rand.Rand) []any {
	dims := l.job.objective.dims(l.job.schedule.Batch)
	arrays := make([][]float32, len(dims))
	for k := range dims {
		arrays[k] = make([]float32, steps*shapes.Make(dtypes.Float32, dims[k]...).Size())
	}
	for i := range steps {
		parts := make([][]float32, len(arrays))
		for k, array := range arrays {
			size := len(array) / steps
			parts[k] = array[i*size : (i+1)*size]
		}
		l.job.objective.draw(rng(i), from, parts)
	}
	inputs := make([]any, len(dims))
	for k, array := range arrays {
		inputs[k] = tensors.FromFlatDataAndDimensions(array, append([]int{steps}, dims[k]...)...)
	}
	return inputs
}

// addPoint measures the held-out loss and ends a piece of the curve.
func (l *loop) addPoint() error {
	heldOut := 0.0
	for i := range heldOutBatches {
		inputs := l.draw(1, l.job.examples.heldOut, func(int) *rand.Rand {
			return stream(l.job.seed, l.job.kind, heldOutStream, i)
		})
		loss, err := call(l.engine, l.evaluate, inputs...)
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

// report tells the caller of a call's losses.
func (l *loop) report(losses []float32) {
	if l.job.onStep == nil {
		return
	}
	sum := 0.0
	for _, loss := range losses {
		sum += float64(loss)
	}
	l.job.onStep(Progress{
		Kind: l.job.kind, Step: l.progress.Done, Steps: l.job.schedule.Steps,
		Loss: sum / float64(len(losses)), HeldOut: l.progress.lastHeldOut(),
		StepsPerSecond: float64(l.progress.Done-l.began) / time.Since(l.beganAt).Seconds(),
	})
}
