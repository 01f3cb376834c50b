package pair_test

import (
	"fmt"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/rank"
)

// A plan of 4 pairs in batches of 2: each leaves an episode of the low pool at its last
// state and enters one of the high pool at its first.
func ExampleConfig_Plan() {
	pools := rank.Pools{
		Low:  []*trajectory.Meta{{ID: 1, Steps: 10}, {ID: 2, Steps: 20}},
		High: []*trajectory.Meta{{ID: 8, Steps: 30}, {ID: 9, Steps: 40}},
	}
	cfg := pair.Config{Strategy: pair.Uniform, Seed: 1, Count: 4, BatchSize: 2}
	for partition := range cfg.Plan(pools) {
		for _, batch := range partition {
			for _, p := range batch.Pairs {
				fmt.Printf("batch %d pair %d: episode %d step %d to episode %d step %d\n",
					batch.Index, p.Index, p.Low.Episode.ID, p.Low.Step, p.High.Episode.ID, p.High.Step)
			}
		}
	}
	// Output:
	// batch 0 pair 0: episode 1 step 9 to episode 8 step 0
	// batch 0 pair 1: episode 1 step 9 to episode 9 step 0
	// batch 1 pair 2: episode 1 step 9 to episode 9 step 0
	// batch 1 pair 3: episode 2 step 19 to episode 9 step 0
}
