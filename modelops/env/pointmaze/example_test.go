package pointmaze_test

import (
	"fmt"

	"diffstitch/modelops/env/pointmaze"
)

// The maze generates its own data. A stored observation is the whole state, so a step
// from it gives the one stored next.
func ExampleMaze_Generate() {
	maze := pointmaze.Default()
	for e := range maze.Generate(2, 1) {
		from, to := [4]float32(e.Observations[:4]), [4]float32(e.Observations[4:8])
		next, _ := maze.Step(from, [2]float32(e.Actions[:2]))
		fmt.Println(len(e.Rewards), "steps, repeated:", next == to)
	}
	// Output:
	// 109 steps, repeated: true
	// 162 steps, repeated: true
}
