package method_test

import (
	"fmt"

	"diffstitch/pipelines/augment/method"
)

func ExampleParseDelta() {
	for _, given := range []string{"off", "0.5", "auto:0.9", "-1"} {
		delta, err := method.ParseDelta(given)
		fmt.Println(given, "→", delta, err)
	}
	// Output:
	// off → off <nil>
	// 0.5 → 0.5 <nil>
	// auto:0.9 → 0 (the 0.9 quantile of the held-out dynamics error) <nil>
	// -1 → 0 δ "-1" is none: want auto, auto:QUANTILE, off or a positive number
}
