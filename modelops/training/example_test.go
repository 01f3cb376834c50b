package training_test

import (
	"fmt"

	"diffstitch/modelops/training"
)

func ExamplePreset() {
	cfg, err := training.Preset("paper")
	fmt.Println(cfg.Denoiser.Steps, "steps of", cfg.Denoiser.Batch, "windows of", cfg.Denoiser.Diffusion.UNet.Horizon, "states", err)
	// Output: 1000000 steps of 32 windows of 100 states <nil>
}

// Methods that share a folder share the models that both run.
func ExampleKindsOf() {
	fmt.Println(training.KindsOf(training.MethodDiffStitch))
	fmt.Println(training.KindsOf(training.MethodTATU))
	fmt.Println(training.KindsOf(training.MethodDiffStitch, training.MethodTATU))
	// Output:
	// [denoiser inverse reward dynamics]
	// [reward dynamics policy]
	// [denoiser inverse reward dynamics policy]
}
