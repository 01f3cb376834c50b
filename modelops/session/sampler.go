package session

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/nets"
	"diffstitch/modelops/random"
	"diffstitch/modelops/training"
	"diffstitch/modelops/training/execution"
)

// sampler is G_θ with its whole reverse process compiled for one batch size, and
// for halves of it once the device lacked the memory for more.
type sampler struct {
	*execution.Net
	config     diffusion.Config
	process    diffusion.Sampler
	precision  backend.Precision
	normalizer checkpoint.Normalizer
	limits     diffusion.Limits
	states     int     // of a window, at most the net's horizon: see Info.Horizon
	target     float32 // return, of a guided denoiser
	portion
}

func newSampler(k key, m checkpoint.Model, weights []checkpoint.Tensor) (*sampler, error) {
	var cfg training.DenoiserConfig
	var details training.Details
	if err := m.Decode(&cfg, &details); err != nil {
		return nil, err
	}
	if err := k.sampler.Validate(cfg.Diffusion.DenoisingSteps); err != nil {
		return nil, err
	}
	if err := details.Normalizer.Validate(); err != nil {
		return nil, err
	}
	if details.Normalizer.Dim() != m.ObservationDim || cfg.Diffusion.UNet.StateDim != m.ObservationDim {
		return nil, fmt.Errorf("the denoiser has %d state dimensions and a normaliser of %d, want %d", cfg.Diffusion.UNet.StateDim, details.Normalizer.Dim(), m.ObservationDim)
	}
	if err := current(details); err != nil {
		return nil, err
	}
	s := &sampler{
		config: cfg.Diffusion, process: k.sampler, precision: k.precision, target: k.target,
		normalizer: details.Normalizer, limits: limits(cfg.Diffusion, details), states: windowStates(cfg, details),
	}
	s.portion.begin(k.batch)
	var err error
	s.Net, err = execution.NewNet(k.engine, weights, s.graph)
	return s, err
}

// prepare compiles the graph and runs it once, which on XLA takes many times what
// later runs do. On pure Go all runs are alike.
func (s *sampler) prepare(rows int) error {
	if err := s.compile(rows); err != nil || backend.IsGo(s.Engine) {
		return err
	}
	_, err := s.inParts(s.blank(1), rows)
	return err
}

// compile prepares runs of so many windows.
func (s *sampler) compile(rows int) error {
	horizon, stateDim := s.config.UNet.Horizon, s.config.UNet.StateDim
	states := shapes.Make(dtypes.Float32, rows, horizon, stateDim)
	inputs := []shapes.Shape{states, shapes.Make(dtypes.Float32, rows, horizon), states}
	if s.process.Kind == diffusion.DDPM {
		inputs = append(inputs, RNGStateShape)
		if rows < s.batch {
			inputs = append(inputs, shapes.Make(dtypes.Int32))
		}
	}
	if s.config.Guidance != nil {
		inputs = append(inputs, shapes.Make(dtypes.Float32, rows))
	}
	return s.Compile(inputs...)
}

// graph is the reverse process.
//
//	inputs: known [rows, H, S], mask [rows, H], noise [rows, H, S], then with DDPM a
//	        random state and, for a part of a batch, where in it the part begins,
//	        then returns [rows] with guidance
//	result: [rows, H, S], normalised
func (s *sampler) graph(scope *model.Scope, inputs []*Node) *Node {
	task := diffusion.Task{Known: inputs[0], Mask: inputs[1], Noise: inputs[2], Limits: s.limits}
	rest := inputs[3:]
	if s.process.Kind == diffusion.DDPM {
		task.Random, rest = rest[0], rest[1:]
		if task.Known.Shape().Dim(0) < s.batch {
			task.Part = &diffusion.Part{Batch: s.batch, First: rest[0]}
			rest = rest[1:]
		}
	}
	if s.config.Guidance != nil {
		task.Return = rest[0]
	}
	weights := scope.At(execution.WeightsScope)
	if s.precision == backend.BF16 {
		nets.Halve(weights)
	}
	return diffusion.Sample(weights, s.config, s.process, task)
}

// windows are what the sampler completes, of s.states states each.
type windows struct {
	known, mask []float32 // [n, states, S] and [n, states]
	seeds       []uint64  // [n]
}

// blank windows know no state.
func (s *sampler) blank(n int) windows {
	return windows{make([]float32, n*s.states*s.config.UNet.StateDim), make([]float32, n*s.states), make([]uint64, n)}
}

// slice is the windows [from, to).
func (w windows) slice(from, to int) windows {
	n := len(w.seeds)
	window, horizon := len(w.known)/n, len(w.mask)/n
	return windows{w.known[from*window : to*window], w.mask[from*horizon : to*horizon], w.seeds[from:to]}
}

// sample is Session.Sample.
func (s *sampler) sample(w windows) (states []float32, halvings int, err error) {
	n := len(w.seeds)
	window := s.states * s.config.UNet.StateDim
	if len(w.known) != n*window || len(w.mask) != n*s.states {
		return nil, 0, fmt.Errorf("%d known and %d mask values, want %d and %d a window", len(w.known), len(w.mask), window, s.states)
	}
	return s.batches(n, func(from, to, rows int) ([]float32, error) { return s.inParts(w.slice(from, to), rows) })
}

// inParts samples at most one batch, so many rows at a time.
func (s *sampler) inParts(batch windows, rows int) ([]float32, error) {
	shared := joint(batch.seeds)
	var states []float32
	for first := 0; first < len(batch.seeds); first += rows {
		part := batch.slice(first, min(first+rows, len(batch.seeds)))
		sampled, err := s.run(part, rows, first, shared)
		if err != nil {
			return nil, err
		}
		states = append(states, sampled...)
	}
	return states, nil
}

// runBatch samples a whole batch, to be measured.
func (s *sampler) runBatch() error {
	_, err := s.inParts(s.blank(s.batch), s.batch)
	return err
}

// run runs the graph on at most so many windows, which begin at first in a batch
// with a random state of this seed. Padding windows are known throughout.
func (s *sampler) run(w windows, rows, first int, seed int64) ([]float32, error) {
	if err := s.scarce(rows); err != nil {
		return nil, err
	}
	stateDim := s.config.UNet.StateDim
	known := onlyKnown(w.known, w.mask)
	inputs, err := s.inputs(windows{known, w.mask, w.seeds}, rows, first, seed)
	if err != nil {
		return nil, err
	}
	sampled, err := s.Call(inputs...)
	if err != nil {
		return nil, err
	}
	sampled = s.cut(sampled, len(w.seeds))
	s.normalizer.Invert(sampled, sampled)
	for i, m := range w.mask {
		if m > 0 {
			copy(sampled[i*stateDim:(i+1)*stateDim], known[i*stateDim:])
		}
	}
	s.hold(sampled, w.mask)
	return sampled, nil
}

// inputs are the graph's.
func (s *sampler) inputs(w windows, rows, first int, seed int64) ([]*tensors.Tensor, error) {
	horizon, stateDim := s.config.UNet.Horizon, s.config.UNet.StateDim
	states, padded := s.lay(w, rows)
	inputs := []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(states, rows, horizon, stateDim),
		tensors.FromFlatDataAndDimensions(padded, rows, horizon),
		tensors.FromFlatDataAndDimensions(noise(w.seeds, rows, horizon*stateDim), rows, horizon, stateDim),
	}
	if s.process.Kind == diffusion.DDPM {
		state, err := RNGStateFromSeed(seed)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, state)
		if rows < s.batch {
			inputs = append(inputs, tensors.FromScalar(int32(first)))
		}
	}
	if s.config.Guidance != nil {
		inputs = append(inputs, tensors.FromScalarAndDimensions(s.target, rows))
	}
	return inputs, nil
}

// lay makes the windows as long as the net's horizon, past the end of which they
// have nothing, and adds the padding windows.
//
//	states: [rows, H, S], normalised
//	mask:   [rows, H]
func (s *sampler) lay(w windows, rows int) (states, mask []float32) {
	horizon, stateDim := s.config.UNet.Horizon, s.config.UNet.StateDim
	states, mask = make([]float32, rows*horizon*stateDim), make([]float32, rows*horizon)
	for row := range rows {
		of := mask[row*horizon : (row+1)*horizon]
		if row >= len(w.seeds) {
			fill(of, 1)
			continue
		}
		fill(of[copy(of, w.mask[row*s.states:(row+1)*s.states]):], diffusion.Past)
		s.normalizer.Apply(states[row*horizon*stateDim:], w.known[row*s.states*stateDim:(row+1)*s.states*stateDim])
	}
	return states, mask
}

func fill(values []float32, with float32) {
	for i := range values {
		values[i] = with
	}
}

// cut takes the windows out of the graph's result, [rows, H, S].
//
//	result: [n, states, S]
func (s *sampler) cut(sampled []float32, n int) []float32 {
	whole, window := s.config.UNet.Horizon*s.config.UNet.StateDim, s.states*s.config.UNet.StateDim
	for row := range n {
		copy(sampled[row*window:(row+1)*window], sampled[row*whole:])
	}
	return sampled[:n*window]
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
		random.FillNormal(values[row*window:(row+1)*window], seed)
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
