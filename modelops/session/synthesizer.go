package session

import (
	"cmp"
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/edm"
	"diffstitch/modelops/training"
	"diffstitch/modelops/training/execution"
)

// synthesizer is SynthER's denoiser with its whole sampler compiled for one batch
// size, and for halves of it once the device lacked the memory for more.
type synthesizer struct {
	*execution.Net
	config edm.Config
	layout training.Layout
	steps  int
	portion
}

func newSynthesizer(k key, m checkpoint.Model, weights []checkpoint.Tensor) (*synthesizer, error) {
	var cfg training.SynthERConfig
	var details training.Details
	if err := m.Decode(&cfg, &details); err != nil {
		return nil, err
	}
	s := &synthesizer{
		config: cfg.Diffusion, layout: training.NewLayout(details.Statistics),
		steps: cmp.Or(k.steps, cfg.Diffusion.Steps),
	}
	if s.layout.Width() != cfg.Diffusion.Net.Dim {
		return nil, fmt.Errorf("the %s model has rows of %d values, its statistics make %d", m.Kind, cfg.Diffusion.Net.Dim, s.layout.Width())
	}
	if err := edm.ValidateSteps(s.steps); err != nil {
		return nil, err
	}
	s.portion.begin(k.batch)
	var err error
	// noise: [steps+1, rows, width], result: [rows, width], normalised
	s.Net, err = execution.NewNet(k.engine, weights, func(scope *model.Scope, noise *Node) *Node {
		return edm.Sample(scope.At(execution.WeightsScope), s.config, noise)
	})
	return s, err
}

// prepare compiles the graph and runs it once, which on XLA takes many times what
// later runs do. On pure Go all runs are alike.
func (s *synthesizer) prepare(rows int) error {
	err := s.compile(rows)
	if err != nil || backend.IsGo(s.Engine) {
		return err
	}
	_, err = s.inParts(make([]uint64, 1), rows)
	return err
}

// compile prepares runs of so many rows.
func (s *synthesizer) compile(rows int) error {
	return s.Compile(shapes.Make(dtypes.Float32, s.steps+1, rows, s.layout.Width()))
}

// sample is Session.Synthesize, in rows of the layout.
func (s *synthesizer) sample(seeds []uint64) (values []float32, halvings int, err error) {
	return s.batches(len(seeds), func(from, to, rows int) ([]float32, error) { return s.inParts(seeds[from:to], rows) })
}

// inParts samples at most one batch, so many rows at a time.
func (s *synthesizer) inParts(seeds []uint64, rows int) (values []float32, err error) {
	width := s.layout.Width()
	for first := 0; first < len(seeds); first += rows {
		if err := s.scarce(rows); err != nil {
			return nil, err
		}
		part := seeds[first:min(first+rows, len(seeds))]
		noise := tensors.FromFlatDataAndDimensions(edm.Draw(part, rows, width, s.steps), s.steps+1, rows, width)
		sampled, err := s.Call(noise)
		if err != nil {
			return nil, err
		}
		values = append(values, sampled[:len(part)*width]...)
	}
	return values, nil
}

// runBatch samples a whole batch, to be measured.
func (s *synthesizer) runBatch() error {
	_, err := s.inParts(make([]uint64, s.batch), s.batch)
	return err
}
