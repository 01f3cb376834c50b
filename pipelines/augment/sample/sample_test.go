package sample_test

import (
	"fmt"

	"diffstitch/pipelines/augment/sample"
)

func ExampleSpread() {
	fmt.Println(sample.Spread([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 4))
	fmt.Println(sample.Spread([]int{0, 1}, 4))
	// Output:
	// [0 2 5 7]
	// [0 1]
}
