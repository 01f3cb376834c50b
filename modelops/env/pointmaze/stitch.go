package pointmaze

import (
	"iter"
	"slices"
)

// sections is how many parts a maze is cut into, from left to right.
const sections = 3

// The time limit of an episode in a section, in steps, is drawn from these ranges.
const (
	minSectionSteps, maxSectionSteps = 80, 150
	minGoalSteps, maxGoalSteps       = 50, 80 // in the goal's section
)

// lean is by how much, in cells, a target in a cell at a section's border is moved
// towards the border. The offsets of the legs are added to it, so that pilots aim at
// 0.15 cells from the border at the least.
const lean = 0.15

// expertSections is one in how many episodes of the goal's section heads for the goal.
const expertSections = 2

// GenerateSections yields episodes of a maze in which each pilot works one section:
// it flies within one third of the columns and turns back at the border to the next.
// So no two sections share a state, no recorded transition leads from one to another,
// and short episodes near the goal alone see a reward. A way from the start to the
// goal has to be put together of episodes of every section.
func (m *Maze) GenerateSections(n int, seed uint64) iter.Seq[Episode] {
	return each(n, seed, m.sectionEpisode)
}

func (m *Maze) sectionEpisode(seed uint64, index int) Episode {
	rng := stream(seed, index, 0)
	section := rng.IntN(sections)
	low, high := minSectionSteps, maxSectionSteps
	rewarded := section == m.section(m.goal)
	if rewarded {
		low, high = minGoalSteps, maxGoalSteps
	}
	p := m.newPilot(rng, rewarded && rng.IntN(expertSections) == 0)
	p.cells, p.lean = m.worked(section)
	return p.fly(low + rng.IntN(high-low+1))
}

// section is the number of the section that a cell lies in, from the left.
func (m *Maze) section(c cell) int { return c.column * sections / len(m.rows[0]) }

// worked are the free cells of a section, and how those at its borders lean.
func (m *Maze) worked(section int) (cells []cell, leaning map[cell]float64) {
	leaning = map[cell]float64{}
	for _, c := range m.free {
		if m.section(c) != section {
			continue
		}
		cells = append(cells, c)
		for _, side := range []int{-1, 1} {
			next := cell{c.column + side, c.row}
			if slices.Contains(m.free, next) && m.section(next) != section {
				leaning[c] = lean * float64(side)
			}
		}
	}
	return cells, leaning
}
