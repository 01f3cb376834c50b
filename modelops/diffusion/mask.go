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
	// OneKnown shows the first state and one random interval of a state or more, as the
	// authors' code does. So the net never learns from the first state alone, although
	// step estimation has it go on from there.
	OneKnown Masks = "one_known"
)

// TrainingMask draws a mask of a window in which the episode has so many states, at
// least 2 and at most the horizon: 1 = known, 0 = hidden, Past = past the end. The first
// state is always known, the last always hidden.
//
//	result: [horizon]
func TrainingMask(rng *rand.Rand, masks Masks, states, horizon int) []float32 {
	var mask []float32
	switch masks {
	case TwoHidden:
		mask = twoHidden(rng, states)
	case OneKnown:
		mask = oneKnown(rng, states)
	default:
		panic(fmt.Sprintf("diffusion: unknown masks %q", masks))
	}
	for len(mask) < horizon {
		mask = append(mask, Past)
	}
	return mask
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
// state, where there is room for it.
func oneKnown(rng *rand.Rand, horizon int) []float32 {
	mask := make([]float32, horizon)
	mask[0] = 1
	if horizon < 3 {
		return mask
	}
	from := 1 + rng.IntN(horizon-2)
	fill(mask[from : from+1+rng.IntN(horizon-1-from)])
	return mask
}

func fill(known []float32) {
	for i := range known {
		known[i] = 1
	}
}
