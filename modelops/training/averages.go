package training

import (
	"strings"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"

	"diffstitch/modelops/training/execution"
)

// averagesScope holds the averages of the weights, below the weights' names.
const averagesScope = "ema"

// averageWeights adds one step to the exponential average of every weight.
//
//	decay: scalar
func averageWeights(scope *model.Scope, decay *Node) {
	kept := OneMinus(decay)
	for v := range scope.At(execution.WeightsScope).IterVariables() {
		path := averagesScope + strings.TrimPrefix(v.Path(), "/"+execution.WeightsScope)
		average := scope.Store().VariableWithShape(path, v.Shape(), initializer.Zero).SetTrainable(false)
		old := average.NodeValue(decay)
		average.SetNodeValue(Add(old, Mul(Sub(v.NodeValue(decay), old), kept)))
	}
}
