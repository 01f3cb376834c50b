package training

import (
	"fmt"
	"math"
	"slices"
)

// heldOutShare of the episodes is kept from training.
const heldOutShare = 0.05

// example points at a step of an episode: a transition, or the first state of a
// window.
type example struct {
	episode, step int32
}

// examples is the data of a kind, split by episode.
type examples struct {
	train, heldOut []example
	// tooShort counts the episodes without any example.
	tooShort int
}

// split lists the examples of the episodes, of which episode i has count(i), and
// holds out a share of the episodes that have any. The choice depends on the
// seed alone, so that the four models hold out the same episodes as far as they
// can.
func split(data *Data, seed uint64, count func(Trajectory) int) (examples, error) {
	usable := make([]int, 0, len(data.Trajectories))
	for _, i := range stream(seed, "", splitStream, 0).Perm(len(data.Trajectories)) {
		if count(data.Trajectories[i]) > 0 {
			usable = append(usable, i)
		}
	}
	if len(usable) < 2 {
		return examples{}, fmt.Errorf("%d of %d episodes can be used, of which one must be held out: at least 2 are needed", len(usable), len(data.Trajectories))
	}
	held := max(1, int(math.Round(heldOutShare*float64(len(usable)))))
	list := func(episodes []int) (found []example) {
		for _, i := range slices.Sorted(slices.Values(episodes)) {
			for step := range count(data.Trajectories[i]) {
				found = append(found, example{int32(i), int32(step)})
			}
		}
		return found
	}
	return examples{train: list(usable[held:]), heldOut: list(usable[:held]), tooShort: len(data.Trajectories) - len(usable)}, nil
}

// transitions is the number of steps whose next state is known.
func (d *Data) transitions(t Trajectory) int {
	return min(len(t.Rewards), len(t.States)/d.ObservationDim-1)
}

// windows splits the data into windows of horizon states.
func windows(data *Data, seed uint64, horizon int) (examples, error) {
	longest := 0
	for _, t := range data.Trajectories {
		longest = max(longest, len(t.States)/data.ObservationDim)
	}
	if longest < horizon {
		return examples{}, fmt.Errorf("no episode has the %d states of a horizon, the longest has %d: train with a --horizon of at most that", horizon, longest)
	}
	found, err := split(data, seed, func(t Trajectory) int { return max(0, len(t.States)/data.ObservationDim-horizon+1) })
	if err != nil {
		return examples{}, fmt.Errorf("windows of %d states: %w", horizon, err)
	}
	return found, nil
}
