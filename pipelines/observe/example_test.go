package observe_test

import (
	"fmt"
	"time"

	"diffstitch/pipelines/observe"
)

// A rate is taken from when a task was first seen, not from when it began.
func ExampleMeter_Rate() {
	now := time.Unix(0, 0)
	meter := observe.Meter{Now: func() time.Time { return now }}
	fmt.Println(meter.Rate("stitching", 500))
	now = now.Add(10 * time.Second)
	fmt.Println(meter.Rate("stitching", 800), "stitches per second")
	// Output:
	// 0
	// 30 stitches per second
}
