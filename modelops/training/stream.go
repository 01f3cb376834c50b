package training

import (
	"math/rand/v2"

	"diffstitch/modelops/random"
)

// Uses of randomness, each with streams of its own.
const (
	splitStream    = "split"    // which episodes are held out
	weightsStream  = "weights"  // initial weights
	examplesStream = "examples" // an optimizer step's examples and noise
	partsStream    = "parts"    // which episodes the nets that judge and those that refine learn from
	heldOutStream  = "held-out" // the examples of held-out losses
	actionsStream  = "actions"  // whose actions held-out transitions are tried with
)

// stream is the random stream of one use by one kind, counted by index.
func stream(seed uint64, kind Kind, use string, index int) *rand.Rand {
	return random.Stream(seed, string(kind)+"/"+use, index)
}
