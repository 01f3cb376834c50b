package training

import (
	"fmt"
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/nets"
	"diffstitch/modelops/training/execution"
)

// regressorRows is the number of rows that one call of a perceptron takes; the
// last call is padded.
const regressorRows = 1024

// Regressor runs a trained perceptron, or the elites of an ensemble, which of the
// dynamics are those that judge. It is safe for concurrent use once made.
type Regressor struct {
	mapping mapping
	members []int // those in use
	net     *execution.Net
}

// NewRegressor compiles a model that was trained as an inverse, a reward or a
// dynamics model.
func NewRegressor(engine compute.Backend, m checkpoint.Model, weights []checkpoint.Tensor) (*Regressor, error) {
	var cfg RegressorConfig
	var details Details
	if err := m.Decode(&cfg, &details); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	r, err := newRegressor(engine, Kind(m.Kind), cfg, details.Statistics, details.Elites, weights)
	if err != nil {
		return nil, fmt.Errorf("training: compiling the %s model: %w", m.Kind, err)
	}
	return r, nil
}

func newRegressor(engine compute.Backend, kind Kind, cfg RegressorConfig, stats Statistics, members []int, weights []checkpoint.Tensor) (*Regressor, error) {
	r := &Regressor{mapping: newMapping(kind, stats, cfg.Terminals), members: members}
	shape := cfg.net(r.mapping.inputs, r.mapping.outputs)
	// features: [rows, inputs], result: [members, rows, outputs]
	var err error
	r.net, err = execution.NewNet(engine, weights, func(scope *model.Scope, features *Node) *Node {
		outputs := make([]*Node, len(r.members))
		for i, m := range r.members {
			outputs[i] = nets.MLP(memberScope(scope.At(execution.WeightsScope), m), shape, features)
		}
		return Stack(outputs, 0)
	})
	if err != nil {
		return nil, err
	}
	r.net.OneShape()
	return r, r.net.Compile(shapes.Make(dtypes.Float32, regressorRows, r.mapping.inputs))
}

// Warm runs the compiled graph once, so that what an engine does at the first run
// is done.
func (r *Regressor) Warm() error {
	if _, err := r.run(make([]float32, r.mapping.inputs)); err != nil {
		return fmt.Errorf("training: %s model: %w", r.mapping.kind, err)
	}
	return nil
}

// Finalize frees the compiled graph and the weights.
func (r *Regressor) Finalize() { r.net.Finalize() }

// Predict is the result for rows of the kind's two arguments, as the mean of the
// members, and for each row how far the members disagree: the largest L2
// distance of one from their mean, in the units of the result.
//
//	states:  [n, S]
//	second:  [n, S] next states for an inverse model, else [n, A] actions
//	results: [n, A] actions, [n, S] next states, or [n, 1] rewards; with
//	         terminals [n, 2], the probability that the step ends in one beside it
func (r *Regressor) Predict(states, second []float32) (results, disagreement []float32, err error) {
	outputs, err := r.outputs(states, second)
	if err != nil {
		return nil, nil, err
	}
	results, disagreement = r.agree(states, outputs)
	return results, disagreement, nil
}

// Pick is Predict with, beside the mean of the members, the result of one of those
// in use for each row: which are [n].
//
//	picked: as results
func (r *Regressor) Pick(states, second []float32, which []int) (results, picked, disagreement []float32, err error) {
	outputs, err := r.outputs(states, second)
	if err != nil {
		return nil, nil, nil, err
	}
	dim, stateDim := r.mapping.outputs, len(r.mapping.stats.ObservationMean)
	picked = make([]float32, len(outputs[0]))
	for row, m := range which {
		if m < 0 || m >= len(outputs) {
			return nil, nil, nil, fmt.Errorf("training: %s model: net %d of %d asked for", r.mapping.kind, m, len(outputs))
		}
		r.mapping.result(picked[row*dim:(row+1)*dim], states[row*stateDim:], outputs[m][row*dim:])
	}
	results, disagreement = r.agree(states, outputs)
	return results, picked, disagreement, nil
}

// outputs are the members' for rows of the kind's two arguments.
func (r *Regressor) outputs(states, second []float32) ([][]float32, error) {
	stateDim, secondDim := len(r.mapping.stats.ObservationMean), r.mapping.second()
	n := len(states) / stateDim
	if len(states) != n*stateDim || len(second) != n*secondDim {
		return nil, fmt.Errorf("training: %s model: %d and %d values are not rows of %d and %d", r.mapping.kind, len(states), len(second), stateDim, secondDim)
	}
	features := make([]float32, n*r.mapping.inputs)
	for row := range n {
		r.mapping.features(features[row*r.mapping.inputs:], states[row*stateDim:(row+1)*stateDim], second[row*secondDim:(row+1)*secondDim])
	}
	outputs, err := r.run(features)
	if err != nil {
		return nil, fmt.Errorf("training: %s model: %w", r.mapping.kind, err)
	}
	return outputs, nil
}

// agree gives the result of the outputs' mean, and how far they disagree.
func (r *Regressor) agree(states []float32, outputs [][]float32) (results, disagreement []float32) {
	results = r.results(states, average(outputs, upTo(len(outputs))))
	disagreement = make([]float32, len(results)/r.mapping.outputs)
	for _, output := range outputs {
		for row, distance := range Distances(results, r.results(states, output), r.mapping.outputs) {
			disagreement[row] = max(disagreement[row], distance)
		}
	}
	return results, disagreement
}

// results turns outputs, [n, outputs], into results for n states.
func (r *Regressor) results(states, outputs []float32) []float32 {
	dim, stateDim := r.mapping.outputs, len(r.mapping.stats.ObservationMean)
	results := make([]float32, len(outputs))
	for row := range len(outputs) / dim {
		r.mapping.result(results[row*dim:(row+1)*dim], states[row*stateDim:], outputs[row*dim:])
	}
	return results
}

// run puts features, [n, inputs], through the members and returns the outputs of
// each, [members][n, outputs].
func (r *Regressor) run(features []float32) ([][]float32, error) {
	width, outputs := r.mapping.inputs, make([][]float32, len(r.members))
	n := len(features) / width
	chunk := make([]float32, regressorRows*width)
	for start := 0; start < n; start += regressorRows {
		rows := min(regressorRows, n-start)
		clear(chunk[copy(chunk, features[start*width:(start+rows)*width]):])
		flat, err := r.net.Call(tensors.FromFlatDataAndDimensions(chunk, regressorRows, width))
		if err != nil {
			return nil, err
		}
		stride := regressorRows * r.mapping.outputs
		for m := range outputs {
			outputs[m] = append(outputs[m], flat[m*stride:m*stride+rows*r.mapping.outputs]...)
		}
	}
	return outputs, nil
}

// average is the mean of some of the rows of arrays.
func average(arrays [][]float32, of []int) []float32 {
	mean := make([]float32, len(arrays[of[0]]))
	for _, i := range of {
		for k, v := range arrays[i] {
			mean[k] += v / float32(len(of))
		}
	}
	return mean
}

// Distances is ‖a − b‖₂ of each row of dim values.
func Distances(a, b []float32, dim int) []float32 {
	result := make([]float32, len(a)/dim)
	for row := range result {
		sum := 0.0
		for k := row * dim; k < (row+1)*dim; k++ {
			difference := float64(a[k]) - float64(b[k])
			sum += difference * difference
		}
		result[row] = float32(math.Sqrt(sum))
	}
	return result
}
