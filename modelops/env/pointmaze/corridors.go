package pointmaze

import (
	"iter"
	"slices"
)

// corridors of the default maze, by the cells in which their pilots begin and stop.
// The first holds the start, the last the goal. The one between ends at the junctions
// with them, in cells that their pilots pass without a stop.
var corridors = [][]cell{
	{{1, 7}, {1, 6}, {1, 2}},
	{{1, 4}, {2, 4}, {3, 4}, {4, 4}, {5, 4}, {6, 4}, {7, 4}},
	{{7, 7}, {7, 6}, {7, 2}},
}

var junctions = []cell{{1, 4}, {7, 4}}

// A pilot that passes a junction flies at half its cruising speed within that many cells
// of it.
const passing, nearby = 0.5, 0.9

// The time limit of an episode in a corridor, in steps, is drawn from these ranges.
const (
	minCorridorSteps, maxCorridorSteps = 80, 150
	minGoalSteps, maxGoalSteps         = 50, 80 // in the goal's corridor
)

// goalExpertEvery is one in how many episodes of the goal's corridor heads for the goal.
const goalExpertEvery = 2

// GenerateCorridors yields episodes of the default maze in which each pilot works one
// straight corridor, in a lane of its own, and never turns into another. At a junction
// those of one corridor pass and those of the other stop, so that their states lie
// close by, a few steps' change of velocity apart, and yet none that is recorded leads
// from one to the other, nor does any recorded action lead there. Short episodes in the
// goal's corridor alone see a reward. A way from the start to the goal takes three
// corridors, and so two bridges.
func GenerateCorridors(n int, seed uint64) iter.Seq[Episode] {
	return each(n, seed, Default().corridorEpisode)
}

func (m *Maze) corridorEpisode(seed uint64, index int) Episode {
	rng := stream(seed, index, 0)
	cells := corridors[rng.IntN(len(corridors))]
	low, high, expert := minCorridorSteps, maxCorridorSteps, false
	if slices.Contains(cells, m.goal) {
		low, high, expert = minGoalSteps, maxGoalSteps, rng.IntN(goalExpertEvery) == 0
	}
	p := m.newPilot(rng, expert)
	p.cells = cells
	p.newLeg()
	p.keepsLane = true
	if !slices.Contains(cells, junctions[0]) {
		p.passes = junctions
	}
	return p.fly(low + rng.IntN(high-low+1))
}
