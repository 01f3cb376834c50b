// Package pointmaze is a deterministic point-mass maze: the built-in
// environment, whose true next state judges what the learned models generate.
//
// A state is the float32 observation x, y, vx, vy itself (cells and cells per
// second), so Step on a stored observation gives the stored next observation
// bit for bit. The maze is a grid of unit cells with y pointing up.
package pointmaze

import (
	"fmt"
	"math"
	"slices"
)

// Sizes of an observation and an action.
const (
	ObservationDim = 4 // x, y, vx, vy
	ActionDim      = 2 // force on x and y, each in [-1, 1]
)

// GoalRadius is the distance, in cells, within which a step is rewarded.
const GoalRadius = 0.5

// The point mass: v ← v + (force·a − drag·v)·timestep, then p ← p + v·timestep.
// Full force settles at topSpeed, a fifth of a cell a step.
const (
	timestep = 0.1 // seconds
	force    = 4.0 // cells/s² at an action of 1
	drag     = 2.0 // 1/s
	topSpeed = force / drag
	// skin is the distance kept from a wall that is touched: far more than the
	// rounding of a float32 position, so that no rounding ends inside a wall.
	skin = 1.0 / 64
)

const (
	wallCell = '#'
	freeCell = '.'
	goalCell = 'G'
)

// Maze is a grid of walls and free cells with one goal.
type Maze struct {
	rows  []string // rows[0] is the top of the picture
	goal  cell
	start cell
	free  []cell
	steps map[cell]map[cell]int // steps[to][from]: cells on the shortest path
}

// cell is a unit square by its lower left corner.
type cell struct{ column, row int }

func (c cell) centre() [2]float64 {
	return [2]float64{float64(c.column) + 0.5, float64(c.row) + 0.5}
}

func cellAt(x, y float64) cell {
	return cell{int(math.Floor(x)), int(math.Floor(y))}
}

// Default is the maze of the built-in dataset: a spine with six branches, two
// of them joined to a loop, and the goal at the end of one.
func Default() *Maze {
	m, err := New(
		"#########",
		"#.##.##G#",
		"#.##.##.#",
		"#.##.##.#",
		"#.......#",
		"#.##.##.#",
		"#.##.##.#",
		"#....##.#",
		"#########",
	)
	if err != nil {
		panic(err) // a constant: TestDefault holds it
	}
	return m
}

// New makes a maze from its rows, top row first: '#' a wall, 'G' the goal, '.'
// free. It must be walled in, and every free cell must reach the goal.
func New(rows ...string) (*Maze, error) {
	m := &Maze{rows: rows, steps: map[cell]map[cell]int{}}
	if err := m.readCells(); err != nil {
		return nil, fmt.Errorf("pointmaze: %w", err)
	}
	for _, c := range m.free {
		m.steps[c] = m.distances(c)
	}
	if reached := len(m.steps[m.goal]); reached != len(m.free) {
		return nil, fmt.Errorf("pointmaze: the goal is reached from %d of %d free cells", reached, len(m.free))
	}
	m.start = slices.MaxFunc(m.free, func(a, b cell) int { return m.steps[m.goal][a] - m.steps[m.goal][b] })
	return m, nil
}

// readCells checks the rows, and finds the free cells and the goal.
func (m *Maze) readCells() error {
	goals := 0
	for i, line := range m.rows {
		if len(line) != len(m.rows[0]) {
			return fmt.Errorf("row %d has %d cells, want %d", i, len(line), len(m.rows[0]))
		}
		for column, kind := range line {
			c := cell{column, len(m.rows) - 1 - i}
			switch kind {
			case wallCell:
				continue
			case goalCell:
				m.goal = c
				goals++
			case freeCell:
			default:
				return fmt.Errorf("row %d column %d holds %q", i, column, kind)
			}
			if i == 0 || i == len(m.rows)-1 || column == 0 || column == len(line)-1 {
				return fmt.Errorf("the border is open at row %d column %d", i, column)
			}
			m.free = append(m.free, c)
		}
	}
	if goals != 1 {
		return fmt.Errorf("%d goals, want 1", goals)
	}
	return nil
}

// distances is the number of cells on the shortest path to a cell from every
// cell that reaches it.
func (m *Maze) distances(to cell) map[cell]int {
	steps := map[cell]int{to: 0}
	for queue := []cell{to}; len(queue) > 0; queue = queue[1:] {
		c := queue[0]
		for _, next := range c.neighbours() {
			if _, seen := steps[next]; !seen && !m.wall(next) {
				steps[next] = steps[c] + 1
				queue = append(queue, next)
			}
		}
	}
	return steps
}

func (c cell) neighbours() [4]cell {
	return [4]cell{
		{c.column + 1, c.row}, {c.column, c.row + 1},
		{c.column - 1, c.row}, {c.column, c.row - 1},
	}
}

// wall is whether a cell is a wall; everything outside the grid is.
func (m *Maze) wall(c cell) bool {
	if c.column < 0 || c.row < 0 || c.row >= len(m.rows) || c.column >= len(m.rows[0]) {
		return true
	}
	return m.rows[len(m.rows)-1-c.row][c.column] == wallCell
}

// Width is the number of cells from left to right, walls included.
func (m *Maze) Width() float64 { return float64(len(m.rows[0])) }

// Height is the number of cells from bottom to top, walls included.
func (m *Maze) Height() float64 { return float64(len(m.rows)) }

// Goal is the centre of the rewarded disc of GoalRadius.
func (m *Maze) Goal() [2]float64 { return m.goal.centre() }

// Start is the centre of the cell that a policy starts in: of those farthest from
// the goal, by the path between them, the first one, top row first.
func (m *Maze) Start() [2]float64 { return m.start.centre() }

// Walls lists the wall cells, each a unit square, by their lower left corners.
func (m *Maze) Walls() [][2]float64 {
	var walls [][2]float64
	for row := range len(m.rows) {
		for column := range len(m.rows[0]) {
			if m.wall(cell{column, row}) {
				walls = append(walls, [2]float64{float64(column), float64(row)})
			}
		}
	}
	return walls
}

// Step is the state that follows obs under an action, clipped to [-1, 1], and
// its reward: 1 within GoalRadius of the goal, else 0. From a free state it
// moves along a straight line that crosses no wall.
func (m *Maze) Step(obs [ObservationDim]float32, action [ActionDim]float32) (next [ObservationDim]float32, reward float32) {
	vx, vy := velocity(obs[2], action[0]), velocity(obs[3], action[1])
	x, y := float64(obs[0]), float64(obs[1])

	// One axis after the other: what is blocked stops, the rest slides on. Each
	// is rounded to float32 before anything is decided by it.
	nextX, hitX := m.slide(x, vx, func(x float64) cell { return cellAt(x, y) })
	nextY, hitY := m.slide(y, vy, func(y float64) cell { return cellAt(nextX, y) })
	if hitX {
		vx = 0
	}
	if !hitY && m.crosses([2]float64{x, y}, [2]float64{nextX, nextY}) { // a corner lies between
		nextY, hitY = y, true
	}
	if hitY {
		vy = 0
	}
	next = [ObservationDim]float32{float32(nextX), float32(nextY), float32(vx), float32(vy)}
	if distance([2]float64{nextX, nextY}, m.goal.centre()) <= GoalRadius {
		reward = 1
	}
	return next, reward
}

// velocity is one axis' speed after a step. The conversions keep a compiler
// from fusing multiplication and addition, which would round differently from
// one processor to another.
func velocity(v, a float32) float64 {
	push := force * float64(min(max(a, -1), 1))
	next := float64(v) + float64(timestep*float64(push-float64(drag*float64(v))))
	return min(max(next, -topSpeed), topSpeed)
}

// slide moves a coordinate by a step at speed v, up to the first wall; at says
// in which cell a coordinate lies.
func (m *Maze) slide(from, v float64, at func(float64) cell) (to float64, hit bool) {
	to = float64(float32(from + float64(v*timestep)))
	switch {
	case v > 0 && m.wall(at(to+skin)):
		return float64(float32(math.Floor(to+skin) - skin)), true
	case v < 0 && m.wall(at(to-skin)):
		return float64(float32(math.Floor(to-skin) + 1 + skin)), true
	}
	return to, false
}

// CrossesWall is whether the straight line between two positions touches a
// wall, or either lies in one or outside the maze.
func (m *Maze) CrossesWall(a, b [2]float32) bool {
	return m.crosses([2]float64{float64(a[0]), float64(a[1])}, [2]float64{float64(b[0]), float64(b[1])})
}

func (m *Maze) crosses(a, b [2]float64) bool {
	from, to := cellAt(a[0], a[1]), cellAt(b[0], b[1])
	if m.wall(from) || m.wall(to) {
		return true
	}
	for row := min(from.row, to.row); row <= max(from.row, to.row); row++ {
		for column := min(from.column, to.column); column <= max(from.column, to.column); column++ {
			c := cell{column, row}
			if m.wall(c) && c.touches(a, b) {
				return true
			}
		}
	}
	return false
}

// touches is whether the segment from a to b meets the cell's closed square:
// the part of it between the square's sides on x and on y is not empty.
func (c cell) touches(a, b [2]float64) bool {
	enter, leave := 0.0, 1.0
	for axis, low := range [2]float64{float64(c.column), float64(c.row)} {
		d := b[axis] - a[axis]
		if d == 0 {
			if a[axis] < low || a[axis] > low+1 {
				return false
			}
			continue
		}
		near, far := (low-a[axis])/d, (low+1-a[axis])/d
		enter, leave = max(enter, min(near, far)), min(leave, max(near, far))
	}
	return enter <= leave
}

// StepErrors is the distance, for each of n transitions, between the true next
// position and the one they claim: ‖pos(Step(s, a)) − pos(s′)‖₂, in cells.
//
//	observations, next: [n, ObservationDim]
//	actions:            [n, ActionDim]
//	result:             [n]
func (m *Maze) StepErrors(observations, actions, next []float32) []float64 {
	errors := make([]float64, len(actions)/ActionDim)
	for i := range errors {
		truth, _ := m.Step(observation(observations, i), [ActionDim]float32(actions[i*ActionDim:]))
		claim := observation(next, i)
		errors[i] = distance(position(truth), position(claim))
	}
	return errors
}

// observation is row i of flat observations.
func observation(flat []float32, i int) [ObservationDim]float32 {
	return [ObservationDim]float32(flat[i*ObservationDim:])
}

func position(obs [ObservationDim]float32) [2]float64 {
	return [2]float64{float64(obs[0]), float64(obs[1])}
}

func distance(a, b [2]float64) float64 {
	return math.Hypot(a[0]-b[0], a[1]-b[1])
}
