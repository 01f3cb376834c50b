package training

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/random"
)

// returnDiscount discounts the return of a window that guides the denoiser.
const returnDiscount = 0.99

// denoising is the objective of G_θ: predict the noise of hidden states.
type denoising struct {
	data       *Data
	config     diffusion.Config
	normalizer checkpoint.Normalizer
	examples   examples
	// returns, of each step of each episode, are in [0, 1]; nil without guidance.
	returns [][]float32
}

// prepareDenoiser sets the job up for G_θ.
func (j *job) prepareDenoiser(cfg DenoiserConfig, steps int) error {
	if steps > 0 {
		cfg.Steps = steps
	}
	unet := cfg.Diffusion.UNet
	unet.StateDim = j.data.ObservationDim
	cfg.Diffusion = diffusion.NewConfig(unet, cfg.Diffusion)
	if err := cfg.Validate(); err != nil {
		return err
	}
	var err error
	if j.examples, j.details.Windows, err = windows(j.data, j.seed, unet.Horizon); err != nil {
		return err
	}
	states := j.data.column(func(t Trajectory) []float32 { return t.States })
	if j.details.Normalizer, err = checkpoint.Fit(cfg.Normalizer, states, j.data.ObservationDim); err != nil {
		return err
	}
	objective := &denoising{data: j.data, config: cfg.Diffusion, normalizer: j.details.Normalizer, examples: j.examples}
	if cfg.Diffusion.Guidance != nil {
		objective.returns = returnsToGo(j.data)
	}
	j.config, j.schedule, j.objective = cfg, cfg.Schedule, objective
	return nil
}

// returnsToGo is the discounted return from each state of each episode on, scaled
// to [0, 1] over the data.
func returnsToGo(data *Data) [][]float32 {
	all := make([][]float32, len(data.Trajectories))
	low, high := float32(0), float32(0)
	for i, t := range data.Trajectories {
		all[i] = make([]float32, len(t.States)/data.ObservationDim)
		rest := 0.0
		for step := len(t.Rewards) - 1; step >= 0; step-- {
			rest = float64(t.Rewards[step]) + returnDiscount*rest
			all[i][step] = float32(rest)
			low, high = min(low, all[i][step]), max(high, all[i][step])
		}
	}
	if low == high {
		return all
	}
	for _, returns := range all {
		for step := range returns {
			returns[step] = (returns[step] - low) / (high - low)
		}
	}
	return all
}

// Inputs of one step, in order; the last two with guidance alone.
const (
	inStates = iota // [batch, horizon, S], normalised
	inMask          // [batch, horizon], see diffusion.Batch
	inNoise         // [batch, horizon, S]
	inStep          // [batch] int32
	inReturn        // [batch]
	inGuided        // [batch]
)

// tables are the states and where windows begin.
//
//	[states, S+2]: the normalised state, how many the episode has from it on, and its return
//	[examples, 1]: rows of the states
func (d *denoising) tables() []*tensors.Tensor {
	stateDim, width := d.config.UNet.StateDim, d.config.UNet.StateDim+2
	first, rows := make([]int, len(d.data.Trajectories)), 0 // the episodes' rows
	for i, t := range d.data.Trajectories {
		first[i] = rows
		rows += d.data.states(t)
	}
	states := newTable(rows, width, func(flat []float32) {
		for i, t := range d.data.Trajectories {
			n := d.data.states(t)
			for step := range n {
				row := flat[(first[i]+step)*width:]
				d.normalizer.Apply(row[:stateDim], t.States[step*stateDim:(step+1)*stateDim])
				row[stateDim] = float32(n - step)
				if d.returns != nil {
					row[stateDim+1] = d.returns[i][step]
				}
			}
		}
	})
	all := d.examples.all()
	begin := make([]int32, len(all))
	for i, e := range all {
		begin[i] = int32(first[e.episode] + int(e.step))
	}
	return []*tensors.Tensor{states, tensors.FromFlatDataAndDimensions(begin, len(begin), 1)}
}

func (d *denoising) draw(draws *random.Draws, tables []*Node, from side, batch int) []*Node {
	return d.windows(draws, tables[0], d.examples.pick(draws, tables[1], from, batch))
}

// windows are those that begin at some rows of the states.
//
//	begin: [batch, 1] int32
func (d *denoising) windows(draws *random.Draws, states, begin *Node) []*Node {
	batch, horizon, stateDim := begin.Shape().Dim(0), d.config.UNet.Horizon, d.config.UNet.StateDim
	at := Add(BroadcastToDims(begin, batch, horizon), Iota(begin.Graph(), shapes.Make(dtypes.Int32, batch, horizon), 1))
	rows := Gather(states, InsertAxes(MinScalar(at, states.Shape().Dim(0)-1), -1)) // [batch, horizon, S+2]
	ofFirst := func(column int) *Node {
		return Reshape(Slice(rows, AxisRange(), AxisElem(0), AxisElem(column)), batch)
	}
	mask := diffusion.TrainingMask(draws, d.config.Masks, MinScalar(ofFirst(stateDim), horizon), horizon)
	past := BroadcastToDims(InsertAxes(LessThan(mask, ZerosLike(mask)), -1), batch, horizon, stateDim)
	known := SliceAxis(rows, 2, AxisRange(0, stateDim))
	inputs := []*Node{
		inStates: Where(past, ZerosLike(known), known),
		inMask:   mask,
		inNoise:  draws.Normal(batch, horizon, stateDim),
		inStep:   draws.Between(0, d.config.DenoisingSteps, batch),
	}
	if d.returns != nil {
		guided := GreaterOrEqual(draws.Uniform(batch), Scalar(begin.Graph(), dtypes.Float32, d.config.Guidance.Dropout))
		inputs = append(inputs, ofFirst(stateDim+1), ConvertDType(guided, dtypes.Float32))
	}
	return inputs
}

func (d *denoising) loss(scope *model.Scope, inputs []*Node) *Node {
	batch := diffusion.Batch{
		States: inputs[inStates], Mask: inputs[inMask], Noise: inputs[inNoise],
		Step: inputs[inStep],
	}
	if d.returns != nil {
		batch.Return, batch.Guided = inputs[inReturn], inputs[inGuided]
	}
	return Reshape(diffusion.Loss(scope, d.config, batch), 1)
}
