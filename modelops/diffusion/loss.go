package diffusion

import (
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/nets"
)

// Batch is what one training step sees.
type Batch struct {
	States *Node // [batch, horizon, stateDim], normalised
	Mask   *Node // [batch, horizon], 1 = known, 0 = hidden, Past = past the episode's end
	Noise  *Node // [batch, horizon, stateDim], standard normal
	Step   *Node // [batch] int32, denoising steps from 0 to K-1
	// Return and Guided are nil without guidance.
	Return *Node // [batch], the window's normalised return
	Guided *Node // [batch], 0 where the return is dropped, 1 elsewhere
}

// Counted is which positions of a window the loss counts. What is past an episode's end
// it never counts.
type Counted string

const (
	// LossHidden counts what sampling makes, the hidden states.
	LossHidden Counted = "hidden"
	// LossAll counts every state of the window, as equation 12 is written. The net sees
	// known states without noise, so that there it can but learn that the noise is zero in
	// the mean: they add 1 to the least loss.
	LossAll Counted = "all"
	// LossButFirst counts all but the first state, as the authors' code does.
	LossButFirst Counted = "but_first"
)

// Validate reports a kind that there is not.
func (c Counted) Validate() error {
	if !slices.Contains([]Counted{"", LossHidden, LossAll, LossButFirst}, c) {
		return fmt.Errorf("diffusion: unknown loss %q: it is hidden, all or but_first", c)
	}
	return nil
}

// positions are those that count.
//
//	mask:   [batch, horizon]
//	result: [batch, horizon] bool
func (c Counted) positions(mask *Node) *Node {
	zero := ZerosLike(mask)
	switch c {
	case LossAll:
		return GreaterOrEqual(mask, zero)
	case LossButFirst:
		return LogicalAnd(GreaterOrEqual(mask, zero), GreaterThan(positions(mask), zero))
	default:
		return Equal(mask, zero)
	}
}

// Loss is the mean squared error of the predicted noise over the positions that count
// (equation 12). What is past an episode's end is neither part of it nor seen by the net.
//
//	result: scalar
func Loss(scope *model.Scope, cfg Config, batch Batch) *Node {
	check(cfg.Validate())
	batch.States = blank(batch.States, batch.Mask)
	shown := condition(cfg.Conditioning, batch.States, batch.Mask)
	batch.States = toDeviations(cfg.Conditioning, batch.States, shown)
	predicted := predictNoise(scope, cfg, noisy(cfg, batch), shown, batch)
	return meanOver(cfg.Loss.positions(batch.Mask), Square(Sub(predicted, batch.Noise)))
}

// meanOver is the mean of values at some positions.
//
//	counted: [batch, horizon] bool
//	values:  [batch, horizon, stateDim]
//	result:  scalar
func meanOver(counted, values *Node) *Node {
	everywhere := BroadcastToShape(ExpandAxes(counted, -1), shapes.Make(dtypes.Bool, values.Shape().Dimensions...))
	sum := ReduceAllSum(Where(everywhere, values, ZerosLike(values)))
	count := MulScalar(ReduceAllSum(ConvertDType(counted, values.DType())), float64(values.Shape().Dim(-1)))
	return Div(sum, MaxScalar(count, 1))
}

// noisy mixes the hidden states with noise as strong as the denoising step has
// it; known states stay clean and what is past the end zero, as in sampling.
//
//	result: [batch, horizon, stateDim]
func noisy(cfg Config, batch Batch) *Node {
	left := signal(cfg.DenoisingSteps)
	signalShares, noiseShares := make([]float32, len(left)), make([]float32, len(left))
	for step, share := range left {
		signalShares[step], noiseShares[step] = float32(math.Sqrt(share)), float32(math.Sqrt(1-share))
	}
	share := func(table []float32) *Node {
		rows := Gather(Const(batch.Step.Graph(), table), ExpandAxes(batch.Step, -1)) // [batch]
		return BroadcastToShape(Reshape(rows, -1, 1, 1), batch.States.Shape())
	}
	mixed := Add(Mul(batch.States, share(signalShares)), Mul(batch.Noise, share(noiseShares)))
	return blank(Where(spread(batch.Mask, batch.States), batch.States, mixed), batch.Mask)
}

// predictNoise runs the net on noisy states.
//
//	x:      [batch, horizon, stateDim]
//	shown:  [batch, horizon, stateDim+1], the condition
//	result: [batch, horizon, stateDim]
func predictNoise(scope *model.Scope, cfg Config, x, shown *Node, batch Batch) *Node {
	return nets.UNet(scope, cfg.UNet, nets.UNetInputs{
		X:         x,
		Condition: shown,
		Step:      ConvertDType(batch.Step, dtypes.Int32),
		Return:    batch.Return,
		Guided:    batch.Guided,
	})
}

// check panics on a wrong configuration, as graph building does.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
