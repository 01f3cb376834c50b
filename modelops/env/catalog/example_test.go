package catalog_test

import (
	"context"
	"fmt"

	"diffstitch/modelops/env/catalog"
)

// Two copies of the built-in maze are stepped together.
func ExampleOpen() {
	maze, err := catalog.Open(context.Background(), "", "pointmaze", nil, 2)
	if err != nil {
		fmt.Println(err)
	}
	defer maze.Close()
	spec := maze.Spec()
	observations, err := maze.Reset([]uint64{1, 2})
	fmt.Println(len(observations)/spec.ObservationDim, "observations", err)
	step, err := maze.Step(make([]float32, 2*spec.ActionDim))
	fmt.Println(step.Rewards, step.Timeouts, err)
	// Output:
	// 2 observations <nil>
	// [0 0] [false false] <nil>
}
