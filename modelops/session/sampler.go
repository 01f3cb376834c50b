package session

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
	"diffstitch/modelops/training/execution"
)

// sampler is G_θ with its whole reverse process compiled for one batch size.
type sampler struct {
	engine     compute.Backend
	store      *model.Store
	exec       *model.Exec
	config     diffusion.Config
	process    diffusion.Sampler
	normalizer checkpoint.Normalizer
	batch      int
	target     float32 // return, of a guided denoiser
}

func newSampler(engine compute.Backend, opts Options, m checkpoint.Model, weights []checkpoint.Tensor) (*sampler, error) {
	var cfg training.DenoiserConfig
	var details training.Details
	if err := json.Unmarshal(m.Identity.Config, &cfg); err != nil {
		return nil, fmt.Errorf("reading the denoiser's configuration: %w", err)
	}
	if err := json.Unmarshal(m.Details, &details); err != nil {
		return nil, fmt.Errorf("reading the denoiser's details: %w", err)
	}
	if err := opts.Sampler.Validate(cfg.Diffusion.DenoisingSteps); err != nil {
		return nil, err
	}
	if err := details.Normalizer.Validate(); err != nil {
		return nil, err
	}
	if details.Normalizer.Dim() != m.ObservationDim || cfg.Diffusion.UNet.StateDim != m.ObservationDim {
		return nil, fmt.Errorf("the denoiser has %d state dimensions and a normaliser of %d, want %d", cfg.Diffusion.UNet.StateDim, details.Normalizer.Dim(), m.ObservationDim)
	}
	s := &sampler{
		engine: engine, config: cfg.Diffusion, process: opts.Sampler,
		normalizer: details.Normalizer, batch: opts.Batch, target: opts.Return,
	}
	var err error
	if s.store, err = execution.NewStore(weights); err != nil {
		return nil, err
	}
	return s, s.compile()
}

func (s *sampler) compile() (err error) {
	if s.exec, err = model.NewExec(s.engine, s.store, s.graph); err != nil {
		return err
	}
	horizon, stateDim := s.config.UNet.Horizon, s.config.UNet.StateDim
	states := shapes.Make(dtypes.Float32, s.batch, horizon, stateDim)
	inputs := []shapes.Shape{states, shapes.Make(dtypes.Float32, s.batch, horizon), states}
	if s.process.Kind == diffusion.DDPM {
		inputs = append(inputs, RNGStateShape)
	}
	if s.config.Guidance != nil {
		inputs = append(inputs, shapes.Make(dtypes.Float32, s.batch))
	}
	err = execution.Catch(func() error {
		_, err := s.exec.Compile(inputs...)
		return err
	})
	if err != nil {
		return err
	}
	return execution.Complete(s.store)
}

// graph is the reverse process.
//
//	inputs: known [batch, H, S], mask [batch, H], noise [batch, H, S], then a
//	        random state with DDPM, then returns [batch] with guidance
//	result: [batch, H, S], normalised
func (s *sampler) graph(scope *model.Scope, inputs []*Node) *Node {
	task := diffusion.Task{Known: inputs[0], Mask: inputs[1], Noise: inputs[2]}
	rest := inputs[3:]
	if s.process.Kind == diffusion.DDPM {
		task.Random, rest = rest[0], rest[1:]
	}
	if s.config.Guidance != nil {
		task.Return = rest[0]
	}
	return diffusion.Sample(scope.At(execution.WeightsScope), s.config, s.process, task)
}

func (s *sampler) finalize() {
	if s.exec != nil {
		s.exec.Finalize()
	}
	if s.store != nil {
		s.store.Finalize()
	}
}

// sample is Session.Sample.
func (s *sampler) sample(known, mask []float32, seeds []uint64) ([]float32, error) {
	horizon, n := s.config.UNet.Horizon, len(seeds)
	window := horizon * s.config.UNet.StateDim
	if len(known) != n*window || len(mask) != n*horizon {
		return nil, fmt.Errorf("%d known and %d mask values, want %d and %d a window", len(known), len(mask), window, horizon)
	}
	result := make([]float32, 0, n*window)
	for start := 0; start < n; start += s.batch {
		end := min(start+s.batch, n)
		states, err := s.run(known[start*window:end*window], mask[start*horizon:end*horizon], seeds[start:end])
		if err != nil {
			return nil, err
		}
		result = append(result, states...)
	}
	return result, nil
}

// run samples at most one batch. Padding windows are known throughout.
func (s *sampler) run(known, mask []float32, seeds []uint64) ([]float32, error) {
	horizon, stateDim := s.config.UNet.Horizon, s.config.UNet.StateDim
	states := make([]float32, s.batch*horizon*stateDim)
	known = onlyKnown(known, mask)
	s.normalizer.Apply(states, known)
	padded := make([]float32, s.batch*horizon)
	for i := copy(padded, mask); i < len(padded); i++ {
		padded[i] = 1
	}
	inputs := []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(states, s.batch, horizon, stateDim),
		tensors.FromFlatDataAndDimensions(padded, s.batch, horizon),
		tensors.FromFlatDataAndDimensions(noise(seeds, s.batch, horizon*stateDim), s.batch, horizon, stateDim),
	}
	if s.process.Kind == diffusion.DDPM {
		random, err := RNGStateFromSeed(joint(seeds))
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, random)
	}
	if s.config.Guidance != nil {
		inputs = append(inputs, tensors.FromScalarAndDimensions(s.target, s.batch))
	}
	sampled, err := execution.Call(s.engine, s.exec, inputs...)
	if err != nil {
		return nil, err
	}
	sampled = sampled[:len(known)]
	s.normalizer.Invert(sampled, sampled)
	for i, m := range mask {
		if m > 0 {
			copy(sampled[i*stateDim:(i+1)*stateDim], known[i*stateDim:])
		}
	}
	return sampled, nil
}

// onlyKnown is known with zeros where the mask hides, so that nothing there, not
// even a NaN, reaches the net.
func onlyKnown(known, mask []float32) []float32 {
	clean := make([]float32, len(known))
	stateDim := len(known) / len(mask)
	for i, m := range mask {
		if m > 0 {
			copy(clean[i*stateDim:(i+1)*stateDim], known[i*stateDim:])
		}
	}
	return clean
}

// noise draws each window's noise from its own stream; padding gets none.
//
//	result: [batch, window]
func noise(seeds []uint64, batch, window int) []float32 {
	values := make([]float32, batch*window)
	for row, seed := range seeds {
		var key [32]byte
		binary.LittleEndian.PutUint64(key[:], seed)
		rng := rand.New(rand.NewChaCha8(key))
		for i := range window {
			values[row*window+i] = float32(rng.NormFloat64())
		}
	}
	return values
}

// joint is one seed made of those of a batch.
func joint(seeds []uint64) int64 {
	h := fnv.New64a()
	for _, seed := range seeds {
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, seed))
	}
	return int64(h.Sum64())
}
