package diffusion

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/nets"
)

// Batch is what one training step sees.
type Batch struct {
	States *Node // [batch, horizon, stateDim], normalised
	Mask   *Node // [batch, horizon], 1 = known
	Noise  *Node // [batch, horizon, stateDim], standard normal
	Step   *Node // [batch] int32, denoising steps from 0 to K-1
	// Return and Guided are nil without guidance.
	Return *Node // [batch], the window's normalised return
	Guided *Node // [batch], 0 where the return is dropped, 1 elsewhere
}

// Loss is the mean squared error of the predicted noise over the hidden
// positions (equation 12).
//
//	result: scalar
func Loss(scope *model.Scope, cfg Config, batch Batch) *Node {
	check(cfg.Validate())
	shown := condition(cfg.Conditioning, batch.States, batch.Mask)
	batch.States = toDeviations(cfg.Conditioning, batch.States, shown)
	predicted := predictNoise(scope, cfg, noisy(cfg, batch), shown, batch)
	hidden := OneMinus(batch.Mask)
	weight := BroadcastToShape(ExpandAxes(hidden, -1), batch.States.Shape())
	squares := Mul(Square(Sub(predicted, batch.Noise)), weight)
	count := MaxScalar(MulScalar(ReduceAllSum(hidden), float64(cfg.UNet.StateDim)), 1)
	return Div(ReduceAllSum(squares), count)
}

// noisy mixes the hidden states with noise as strong as the denoising step has
// it; known states stay clean, as in sampling.
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
	return Where(spread(batch.Mask, batch.States), batch.States, mixed)
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
