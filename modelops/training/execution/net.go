package execution

import (
	"errors"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/checkpoint"
)

// Net is a trained net on its device: a graph with one float32 output, and the saved
// weights that the graph finds below WeightsScope. Once compiled it is safe for
// concurrent use.
type Net struct {
	Engine compute.Backend

	store *model.Store
	exec  *model.Exec
}

// NewNet gives a graph its weights. Nothing is compiled yet.
func NewNet[F model.ExecGraphFn](engine compute.Backend, weights []checkpoint.Tensor, graph F) (*Net, error) {
	store, err := NewStore(weights)
	if err != nil {
		return nil, err
	}
	exec, err := model.NewExec(engine, store, graph)
	if err != nil {
		return nil, err
	}
	return &Net{Engine: engine, store: store, exec: exec}, nil
}

// OneShape has inputs of another shape than the compiled one fail: to compile in the
// middle of a run would be a slow surprise.
func (n *Net) OneShape() { n.exec.SetMaxCache(1) }

// Compile compiles the graph for inputs of these shapes, and checks that the weights
// are all there.
func (n *Net) Compile(inputs ...shapes.Shape) error {
	if err := Compile(n.exec, inputs...); err != nil {
		return err
	}
	return Complete(n.store)
}

// Call runs the graph, and frees the inputs.
func (n *Net) Call(inputs ...*tensors.Tensor) ([]float32, error) {
	return Call(n.Engine, n.exec, inputs...)
}

// Read runs the graph, frees the inputs, and shows what comes of it, which is gone
// afterwards.
func (n *Net) Read(see func(flat []float32), inputs ...*tensors.Tensor) (err error) {
	defer func() { err = errors.Join(err, Finalize(inputs)) }()
	outputs, err := Run(n.Engine, n.exec, inputs...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, Finalize(outputs)) }()
	if err := tensors.ConstFlatData(outputs[0], see); err != nil {
		return engineError(err)
	}
	return nil
}

// Finalize frees the graph and the weights.
func (n *Net) Finalize() {
	n.exec.Finalize()
	n.store.Finalize()
}
