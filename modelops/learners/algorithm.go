package learners

import (
	"math/rand/v2"
	"slices"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"

	"diffstitch/modelops/checkpoint"
)

// algorithm is what differs between the learners.
type algorithm interface {
	// first draws all arrays of one seed as they are before the first update.
	first(rng *rand.Rand) []checkpoint.Tensor
	// stride is how many updates go together.
	stride() int
	// perCall is how many updates a call of the graph makes at most.
	perCall() int
	// metrics names what an update reports.
	metrics() []string
	// update builds one update.
	update(u *update)
}

func newAlgorithm(cfg Config, r replay) algorithm {
	switch cfg.Learner {
	case IQL:
		return newIQL(cfg, r)
	case TD3BC:
		return newTD3BC(cfg, r)
	default: // a valid configuration has no other
		return newDT(cfg, r)
	}
}

// update is what an update is built from. It may use nothing made outside of it, since
// a loop's body can't on XLA.
type update struct {
	done    *Node // scalar int32, updates before this one
	last    bool  // of a whole stride
	streams streams
	table   *Node  // of the data, see the learner's replay
	values  arrays // weights, targets and moments: replaced by the update

	reported []*Node // [seeds] each
}

// report sets the update's metrics.
//
//	metrics: [seeds] each
func (u *update) report(metrics ...*Node) { u.reported = metrics }

// under lists the weights of a net.
func (u *update) under(net string) []string { return u.named(net + "/") }

// named lists the arrays that begin with a prefix.
func (u *update) named(prefix string) []string {
	var names []string
	for name := range u.values {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
