package trajectory_test

import (
	"fmt"

	"diffstitch/io/trajectory"
)

// The random numbers of a pair follow from the run's seed, the pair's index in the plan
// and the stage that draws them, and from nothing else.
func ExampleStream() {
	fmt.Printf("%#x\n", trajectory.StreamSeed(0, 0, trajectory.StagePair))
	fmt.Printf("%#x\n", trajectory.StreamSeed(7, 123_456_789, trajectory.StageRollout))
	fmt.Printf("%#x\n", trajectory.Stream(7, 42, trajectory.StageMix).Uint64())
	// Output:
	// 0x44e5b98100c67fb0
	// 0x3f8adea09ae46713
	// 0x21c3ee605438e3f7
}

// An episode of 2 steps, of states of 2 numbers and actions of 1. It has a third state,
// the one that its last step leads to.
func ExampleFromStates() {
	states := []float32{0, 0, 1, 0, 2, 1}
	e := trajectory.FromStates(5, states, []float32{0.5, -0.5}, []float32{0, 1})
	last, known := e.NextObservation(e.Len() - 1)
	fmt.Println(e.Len(), "steps, return", e.Return(), e.End, last, known, e.Validate())
	// Output: 2 steps, return 1 timeout [2 1] true <nil>
}
