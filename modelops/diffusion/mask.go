package diffusion

import (
	"fmt"
	"math/rand/v2"
)

// Masks is a kind of training mask.
type Masks string

const (
	// TwoHidden hides two random intervals, one of which reaches the end
	// (equation 12).
	TwoHidden Masks = "two_hidden"
	// OneKnown shows the first state and one random interval, as the authors'
	// code does.
	OneKnown Masks = "one_known"
)

// TrainingMask draws a mask, 1 = known: the first state is always known, the
// last always hidden. A horizon has at least 2 states.
//
//	result: [horizon]
func TrainingMask(rng *rand.Rand, masks Masks, horizon int) []float32 {
	switch masks {
	case TwoHidden:
		return twoHidden(rng, horizon)
	case OneKnown:
		return oneKnown(rng, horizon)
	default:
		panic(fmt.Sprintf("diffusion: unknown masks %q", masks))
	}
}

// twoHidden hides [1, i) and [j, horizon): what inpainting meets, which is s_T,
// the bridge, s′_1 and what follows, and, where i = j, what step estimation
// meets, which is s_T alone.
func twoHidden(rng *rand.Rand, horizon int) []float32 {
	mask := make([]float32, horizon)
	mask[0] = 1
	if horizon < 4 {
		return mask
	}
	i := 2 + rng.IntN(horizon-2)
	j := i + rng.IntN(horizon-i)
	fill(mask[i:j])
	return mask
}

// oneKnown shows a random interval of random length, which may touch the first
// state or be empty.
func oneKnown(rng *rand.Rand, horizon int) []float32 {
	mask := make([]float32, horizon)
	mask[0] = 1
	from := 1 + rng.IntN(horizon-1)
	fill(mask[from : from+rng.IntN(horizon-from)])
	return mask
}

func fill(known []float32) {
	for i := range known {
		known[i] = 1
	}
}
