package random_test

import (
	"fmt"

	"diffstitch/modelops/random"
)

// A stream is told by its seed, what it is for, and a number such as the training step.
func ExampleStream() {
	fmt.Printf("%#x\n", random.Stream(0, "", 0).Uint64())
	fmt.Printf("%#x\n", random.Stream(11, "denoiser/examples", 40).Uint64())
	// Output:
	// 0x7177c532a51355d5
	// 0x2275c7c93eaab22f
}

func ExampleFillNormal() {
	noise := make([]float32, 2)
	random.FillNormal(noise, 5)
	fmt.Println(noise)
	// Output: [-1.9796443 -0.577728]
}
