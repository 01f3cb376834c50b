package estimate_test

import (
	"fmt"

	"diffstitch/transforms/estimate"
)

// Of 16 imagined states the first is s_T itself. With 2 to 5 states between the ends,
// s′_1 may stand at the steps from 3 to 6.
func ExampleConfig_Bounds() {
	fmt.Println(estimate.Config{}.Bounds(16))
	fmt.Println(estimate.Config{MinSteps: 2, MaxSteps: 5}.Bounds(16))
	fmt.Println(estimate.Config{Constant: 15}.Bounds(16))
	// Output:
	// 1 15 <nil>
	// 3 6 <nil>
	// 0 0 estimate: 15 steps between the ends do not fit the model's horizon 16: at most 14 do
}
