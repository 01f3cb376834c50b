package training

import (
	"math/rand/v2"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/diffusion"
)

// returnDiscount discounts the return of a window that guides the denoiser.
const returnDiscount = 0.99

// denoising is the objective of G_θ: predict the noise of hidden states.
type denoising struct {
	data       *Data
	config     diffusion.Config
	normalizer checkpoint.Normalizer
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
	objective := &denoising{data: j.data, config: cfg.Diffusion, normalizer: j.details.Normalizer}
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
	inStep          // [batch]
	inReturn        // [batch]
	inGuided        // [batch]
)

func (d *denoising) dims(batch int) [][]int {
	horizon, stateDim := d.config.UNet.Horizon, d.config.UNet.StateDim
	shapes := [][]int{{batch, horizon, stateDim}, {batch, horizon}, {batch, horizon, stateDim}, {batch}}
	if d.returns != nil {
		shapes = append(shapes, []int{batch}, []int{batch})
	}
	return shapes
}

func (d *denoising) draw(rng *rand.Rand, from []example, inputs [][]float32) {
	horizon, stateDim := d.config.UNet.Horizon, d.config.UNet.StateDim
	for row := range inputs[inStep] {
		e := from[rng.IntN(len(from))]
		left := d.data.Trajectories[e.episode].States[int(e.step)*stateDim:]
		window := left[:min(len(left), horizon*stateDim)]
		d.normalizer.Apply(inputs[inStates][row*horizon*stateDim:], window)
		copy(inputs[inMask][row*horizon:], diffusion.TrainingMask(rng, d.config.Masks, len(window)/stateDim, horizon))
		inputs[inStep][row] = float32(rng.IntN(d.config.DenoisingSteps))
		if d.returns != nil {
			inputs[inReturn][row] = d.returns[e.episode][e.step]
			inputs[inGuided][row] = 1
			if rng.Float64() < d.config.Guidance.Dropout {
				inputs[inGuided][row] = 0
			}
		}
	}
	for i := range inputs[inNoise] {
		inputs[inNoise][i] = float32(rng.NormFloat64())
	}
}

func (d *denoising) loss(scope *model.Scope, inputs []*Node) *Node {
	batch := diffusion.Batch{
		States: inputs[inStates], Mask: inputs[inMask], Noise: inputs[inNoise],
		Step: ConvertDType(inputs[inStep], dtypes.Int32),
	}
	if d.returns != nil {
		batch.Return, batch.Guided = inputs[inReturn], inputs[inGuided]
	}
	return Reshape(diffusion.Loss(scope, d.config, batch), 1)
}
