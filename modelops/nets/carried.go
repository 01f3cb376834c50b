package nets

import (
	"fmt"
	"slices"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Carried are the variables of a net that a loop's body runs. They go along as
// the loop's state, since a body can't reach outside on XLA; so the store mustn't
// embed variables as constants.
type Carried []*model.Variable

// Carry lists the variables below a scope, by their paths. They must exist.
func Carry(scope *model.Scope) Carried {
	var all Carried
	for variable := range scope.IterVariables() {
		all = append(all, variable)
	}
	if len(all) == 0 {
		panic(fmt.Errorf("nets: the scope %q holds no net to sample from", scope.Scope()))
	}
	slices.SortFunc(all, func(a, b *model.Variable) int { return strings.Compare(a.Path(), b.Path()) })
	return all
}

// Weights are the variables' values, in their order.
func (c Carried) Weights(g *Graph) []*Node {
	weights := make([]*Node, len(c))
	for i, variable := range c {
		weights[i] = variable.NodeValue(g)
	}
	return weights
}

// Use has the net built from nodes of the function that is being built, until
// restore is called.
func (c Carried) Use(weights []*Node) (restore func()) {
	outside := make([]*Node, len(c))
	for i, variable := range c {
		outside[i] = variable.NodeValue(weights[i])
		variable.SetNodeValue(weights[i])
	}
	return func() {
		for i, variable := range c {
			variable.SetNodeValue(outside[i])
		}
	}
}
