package diffusion_test

import (
	"fmt"

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
