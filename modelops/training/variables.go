package training

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"

	. "github.com/gomlx/gomlx/core/graph"

	"diffstitch/modelops/checkpoint"
)

// The scopes of a store.
const (
	weightsScope  = "model" // the weights, trainable
	averagesScope = "ema"   // their averages, below the same names
)

// NewStore holds saved weights below Weights.
func NewStore(weights []checkpoint.Tensor) (*model.Store, error) {
	store := model.NewStore()
	for _, w := range weights {
		value := tensors.FromFlatDataAndDimensions(w.Data, w.Shape...)
		if _, err := store.CreateVariable("/"+weightsScope+"/"+w.Name, value); err != nil {
			return nil, fmt.Errorf("loading weights %q: %w", w.Name, err)
		}
	}
	return store, nil
}

// Weights is the scope below which NewStore puts the weights.
func Weights(scope *model.Scope) *model.Scope { return scope.At(weightsScope) }

// Complete reports a variable without a value, which the weights of the file did
// not have. Call it once the graph is compiled: running it would set the
// variable at random.
func Complete(store *model.Store) error {
	for v := range store.IterVariables() {
		if !v.HasValue() {
			return fmt.Errorf("the saved weights lack %q", v.Path())
		}
	}
	return nil
}

// averageWeights adds one step of the exponential average of every weight.
//
//	decay: scalar
func averageWeights(scope *model.Scope, decay *Node) {
	kept := OneMinus(decay)
	for v := range scope.At(weightsScope).IterVariables() {
		if !v.Trainable {
			continue
		}
		path := averagesScope + strings.TrimPrefix(v.Path(), "/"+weightsScope)
		average := scope.Store().VariableWithShape(path, v.Shape(), initializer.Zero).SetTrainable(false)
		old := average.NodeValue(decay)
		average.SetNodeValue(Add(old, Mul(Sub(v.NodeValue(decay), old), kept)))
	}
}

// snapshot copies the float32 variables below a path, which becomes no part of
// their names. Others are counters that the loop sets itself.
func snapshot(store *model.Store, below string) ([]checkpoint.Tensor, error) {
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

// restore sets the variables of a snapshot of the whole store, which must be the
// float32 variables that the compiled graph uses, all of them.
func restore(store *model.Store, list []checkpoint.Tensor) error {
	values := make(map[string]checkpoint.Tensor, len(list))
	for _, t := range list {
		values["/"+t.Name] = t
	}
	for v := range store.IterVariables() {
		if v.DType() != dtypes.Float32 {
			continue
		}
		t, found := values[v.Path()]
		value := tensors.FromFlatDataAndDimensions(t.Data, t.Shape...)
		if !found || !value.Shape().Equal(v.Shape()) {
			return fmt.Errorf("the training state does not fit the model at %q", v.Path())
		}
		if err := v.SetValue(value); err != nil {
			return fmt.Errorf("restoring %q: %w", v.Path(), err)
		}
	}
	return nil
}
