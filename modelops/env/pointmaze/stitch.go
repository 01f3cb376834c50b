package pointmaze

import (
	"iter"
	"slices"
)

// The time limit of an episode in a corridor, in steps, is drawn from these ranges.
const (
	minCorridorSteps, maxCorridorSteps = 80, 150
	minGoalSteps, maxGoalSteps         = 50, 80 // in the goal's corridor
)

// expertShare is one in how many episodes of the goal's corridor heads for the goal.
const expertShare = 2

// corridors of the default maze, by the cells in which their pilots begin and stop.
// The first holds the start, the last the goal. The second ends in the other two,
// where their pilots pass.
var corridors = [][]cell{
	{{1, 7}, {1, 6}, {1, 2}, {1, 1}},
	{{1, 4}, {2, 4}, {3, 4}, {4, 4}, {5, 4}, {6, 4}, {7, 4}},
	{{7, 7}, {7, 6}, {7, 2}, {7, 1}},
}

// crossing is the share of the cruising speed at which a pilot passes a junction, from
// nearby cells on.
const crossing, nearby = 0.5, 0.9

// GenerateCorridors yields episodes of the default maze in which each pilot works one
// corridor, back and forth, and never turns into another.
func GenerateCorridors(n int, seed uint64) iter.Seq[Episode] {
	m := Default()
	return each(n, seed, func(seed uint64, index int) Episode {
		rng := stream(seed, index, 0)
		cells := corridors[rng.IntN(len(corridors))]
		low, high, expert := minCorridorSteps, maxCorridorSteps, false
		if slices.Contains(cells, m.goal) {
			low, high, expert = minGoalSteps, maxGoalSteps, rng.IntN(expertShare) == 0
		}
		p := m.newPilot(rng, expert)
		p.cells = cells
		p.newLeg()
		p.lane = true
		if !slices.Contains(cells, cell{7, 4}) {
			p.slow = []cell{{1, 4}, {7, 4}}
		}
		return p.fly(low + rng.IntN(high-low+1))
	})
}
