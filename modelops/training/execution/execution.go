// Package execution runs GoMLX graphs with saved weights, for training and for
// inference: it compiles and calls them, copies weights from and to a store, and tells
// the engine's errors from others. What the graphs compute is none of its business.
package execution

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
)

// WeightsScope is the scope of a store below which the weights are.
const WeightsScope = "model"

// ErrEngine is wrapped by the errors of Compile and Call: the engine failed, whatever the input
// held.
var ErrEngine = errors.New("the engine failed")

// ErrOutOfMemory is wrapped, along with ErrEngine, where the device lacks the memory.
var ErrOutOfMemory = fmt.Errorf("%w: out of memory", ErrEngine)

// NewStore holds saved weights below WeightsScope.
func NewStore(weights []checkpoint.Tensor) (*model.Store, error) {
	store := model.NewStore()
	for _, w := range weights {
		value := tensors.FromFlatDataAndDimensions(w.Data, w.Shape...)
		if _, err := store.CreateVariable("/"+WeightsScope+"/"+w.Name, value); err != nil {
			return nil, fmt.Errorf("loading weights %q: %w", w.Name, err)
		}
	}
	return store, nil
}

// Complete reports a variable without a value, which the saved weights did not
// have. Check it once the graph is compiled: running it would set the variable at
// random.
func Complete(store *model.Store) error {
	for v := range store.IterVariables() {
		if !v.HasValue() {
			return fmt.Errorf("the saved weights lack %q", v.Path())
		}
	}
	return nil
}

// Snapshot copies the float32 variables below a path, which becomes no part of
// their names.
func Snapshot(store *model.Store, below string) ([]checkpoint.Tensor, error) {
	var list []checkpoint.Tensor
	for v := range store.IterVariables() {
		name, found := strings.CutPrefix(v.Path(), below)
		if !found || v.DType() != dtypes.Float32 {
			continue
		}
		value, err := v.Value()
		if err != nil {
			return nil, fmt.Errorf("copying %q: %w", v.Path(), err)
		}
		data, err := tensors.CopyFlatData[float32](value)
		if err != nil {
			return nil, fmt.Errorf("copying %q: %w", v.Path(), err)
		}
		list = append(list, checkpoint.Tensor{Name: name, Shape: v.Shape().Dimensions, Data: data})
	}
	return list, nil
}

// Restore sets every float32 variable of the store from a Snapshot of all of it.
func Restore(store *model.Store, list []checkpoint.Tensor) error {
	return restore(store, list, func(string) bool { return true })
}

// restore sets the float32 variables of some paths.
func restore(store *model.Store, list []checkpoint.Tensor, of func(path string) bool) error {
	values := make(map[string]checkpoint.Tensor, len(list))
	for _, t := range list {
		values["/"+t.Name] = t
	}
	for v := range store.IterVariables() {
		if v.DType() != dtypes.Float32 || !of(v.Path()) {
			continue
		}
		t, found := values[v.Path()]
		if !found {
			return fmt.Errorf("the saved variables lack %q", v.Path())
		}
		value := tensors.FromFlatDataAndDimensions(t.Data, t.Shape...)
		if !value.Shape().Equal(v.Shape()) {
			return fmt.Errorf("the saved %q has shape %v, want %v", v.Path(), t.Shape, v.Shape())
		}
		if err := v.SetValue(value); err != nil {
			return fmt.Errorf("restoring %q: %w", v.Path(), err)
		}
	}
	return nil
}

// SetWeights gives the weights of a store, all of them, the values of saved ones.
func SetWeights(store *model.Store, weights []checkpoint.Tensor) error {
	values := make([]checkpoint.Tensor, len(weights))
	for i, w := range weights {
		values[i] = checkpoint.Tensor{Name: WeightsScope + "/" + w.Name, Shape: w.Shape, Data: w.Data}
	}
	return restore(store, values, func(path string) bool { return strings.HasPrefix(path, "/"+WeightsScope+"/") })
}

// Compile compiles a graph for inputs of these shapes.
func Compile(exec *model.Exec, inputs ...shapes.Shape) error {
	err := Catch(func() error {
		_, err := exec.Compile(inputs...)
		return err
	})
	if err != nil {
		return engineError(err)
	}
	return nil
}

// Call runs a graph that has one float32 output, and frees the inputs.
func Call(engine compute.Backend, exec *model.Exec, inputs ...*tensors.Tensor) (flat []float32, err error) {
	defer func() { err = errors.Join(err, Finalize(inputs)) }()
	outputs, err := Run(engine, exec, inputs...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, Finalize(outputs)) }()
	return Copy(outputs[0])
}

// Copy fetches a float32 tensor from the device. What failed while a graph ran may
// show here.
func Copy(t *tensors.Tensor) ([]float32, error) {
	flat, err := tensors.CopyFlatData[float32](t)
	if err != nil {
		return nil, engineError(err)
	}
	return flat, nil
}

// Run runs a graph and leaves its outputs on the device; the inputs stay as they are.
func Run(engine compute.Backend, exec *model.Exec, inputs ...*tensors.Tensor) (outputs []*tensors.Tensor, err error) {
	arguments := make([]any, len(inputs))
	for i, input := range inputs {
		arguments[i] = input
	}
	err = backend.Serialize(engine, func() error {
		return Catch(func() (err error) {
			outputs, err = exec.Call(arguments...)
			return err
		})
	})
	if err != nil {
		return nil, engineError(err)
	}
	return outputs, nil
}

// Move brings tensors to the device, and keeps nothing of them outside of it.
func Move(engine compute.Backend, list []*tensors.Tensor) error {
	for _, t := range list {
		if err := t.MaterializeOnDevice(engine, true, 0); err != nil {
			return engineError(err)
		}
		t.FinalizeLocal() // nothing, where host and device share memory
	}
	return nil
}

// Finalize frees tensors.
func Finalize(list []*tensors.Tensor) error {
	var failures []error
	for _, t := range list {
		failures = append(failures, t.FinalizeAll())
	}
	return errors.Join(failures...)
}

// engineError wraps an error of compiling or running a graph with ErrEngine, and
// with ErrOutOfMemory where that is what it says.
func engineError(err error) error {
	if backend.OutOfMemory(err) {
		return fmt.Errorf("%w: %w", ErrOutOfMemory, err)
	}
	return fmt.Errorf("%w: %w", ErrEngine, err)
}

// Catch turns a panic of GoMLX, which panics while a graph is built, into an
// error.
func Catch(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if cause, ok := p.(error); ok {
				err = fmt.Errorf("running a graph: %w", cause)
				return
			}
			err = fmt.Errorf("running a graph: %v", p)
		}
	}()
	return f()
}
