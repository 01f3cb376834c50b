package rollout_test

import (
	"fmt"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rollout"
)

// Three rollouts in batches of two, each from a state of the data.
func ExamplePlan() {
	metas := []trajectory.Meta{{ID: 1, Steps: 100}, {ID: 2, Steps: 100}}
	for _, batch := range rollout.Plan(metas, 7, 0, 3, 2) {
		for _, start := range batch.Starts {
			fmt.Println("batch", batch.Index, "starts in episode", start.Episode.ID, "step", start.Step)
		}
	}
	// Output:
	// batch 0 starts in episode 1 step 79
	// batch 0 starts in episode 1 step 93
	// batch 1 starts in episode 2 step 80
}
