package method_test

import (
	"fmt"

	"diffstitch/pipelines/augment/method"
)

// A squared distance of 1.5, as the authors' code compares, is a distance of 1.2247.
func ExampleDelta_In() {
	delta, _ := method.ParseDelta("1.2247") // a squared distance of 1.5
	fmt.Println(delta.In(method.SpaceRaw))
	fmt.Println(delta.In(method.SpaceNormalised))
	_, err := delta.In("scaled")
	fmt.Println(err)
	// Output:
	// 1.2247 <nil>
	// 1.2247 standard deviations <nil>
	// δ in the space "scaled": want raw or normalised
}

func ExampleParseDelta() {
	for _, given := range []string{"off", "0.5", "auto:0.9", "-1"} {
		delta, err := method.ParseDelta(given)
		fmt.Println(given, "→", delta, err)
	}
	// Output:
	// off → off <nil>
	// 0.5 → 0.5 <nil>
	// auto:0.9 → 0 (the 0.9 quantile of the worst dynamics error in 10 held-out steps) <nil>
	// -1 → 0 δ "-1" is none: want auto, auto:QUANTILE, off or a positive number
}
