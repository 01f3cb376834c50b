package diffusion_test

import (
	"fmt"
	"math/rand/v2"

	"diffstitch/modelops/diffusion"
)

// DDIM takes as many of the denoiser's steps as it is told, DDPM takes all.
func ExampleSampler_Validate() {
	fmt.Println(diffusion.Sampler{Kind: diffusion.DDIM, Steps: 20}.Validate(100))
	fmt.Println(diffusion.Sampler{Kind: diffusion.DDPM}.Validate(100))
	fmt.Println(diffusion.Sampler{Kind: diffusion.DDIM, Steps: 200}.Validate(100))
	// Output:
	// <nil>
	// <nil>
	// diffusion: sampler takes 200 steps of a denoiser of 100
}

// In training the first state is always known and the last always hidden. Where an
// episode ends within the window, what is past its end is marked.
func ExampleTrainingMask() {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, states := range []int{12, 12, 9} {
		fmt.Println(diffusion.TrainingMask(rng, diffusion.TwoHidden, states, 12))
	}
	// Output:
	// [1 0 0 0 0 0 0 0 0 1 0 0]
	// [1 0 0 0 0 0 0 0 0 1 1 0]
	// [1 0 0 0 0 0 0 0 0 -1 -1 -1]
}
