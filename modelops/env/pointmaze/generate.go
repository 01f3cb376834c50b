package pointmaze

import (
	"iter"
	"math"
	"math/rand/v2"
)

// Episode is one generated trajectory of T steps, ended by its time limit.
type Episode struct {
	Observations []float32 // [T+1, ObservationDim], the last one after the last step
	Actions      []float32 // [T, ActionDim]
	Rewards      []float32 // [T]
}

// One episode of each expertEvery consecutive ones, at a random place among
// them, heads for the goal; the others wander from one random cell to another.
const expertEvery = 8

// The time limit of an episode, in steps, is drawn from this range.
const minSteps, maxSteps = 100, 200

// Generate yields episodes 0 … n−1 of a seed; each depends on the seed and its
// own index alone.
func (m *Maze) Generate(n int, seed uint64) iter.Seq[Episode] {
	return each(n, seed, m.Episode)
}

func each(n int, seed uint64, episode func(seed uint64, index int) Episode) iter.Seq[Episode] {
	return func(yield func(Episode) bool) {
		for i := range n {
			if !yield(episode(seed, i)) {
				return
			}
		}
	}
}

// Episode generates one episode of a seed.
func (m *Maze) Episode(seed uint64, index int) Episode {
	rng := stream(seed, index, 0)
	p := m.newPilot(rng, expert(seed, index))
	return p.fly(minSteps + rng.IntN(maxSteps-minSteps+1))
}

// fly is an episode of so many steps.
func (p *pilot) fly(steps int) Episode {
	e := Episode{
		Observations: make([]float32, 0, (steps+1)*ObservationDim),
		Actions:      make([]float32, 0, steps*ActionDim),
		Rewards:      make([]float32, 0, steps),
	}
	obs := p.start()
	e.Observations = append(e.Observations, obs[:]...)
	for range steps {
		action := p.act(obs)
		next, reward := p.maze.Step(obs, action)
		e.Observations = append(e.Observations, next[:]...)
		e.Actions = append(e.Actions, action[:]...)
		e.Rewards = append(e.Rewards, reward)
		obs = next
	}
	return e
}

func expert(seed uint64, index int) bool {
	block := index / expertEvery
	return index%expertEvery == stream(seed, block, 1).IntN(expertEvery)
}

// stream is the random stream of an index for one of several uses.
func stream(seed uint64, index, use int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(index)<<1|uint64(use)))
}

// How the pilot flies, in cells and seconds.
const (
	slowest, fastest = 1.2, 1.8 // cruising speeds, one per episode
	spread           = 0.2      // largest offset of a leg from the corridors' middle, by axis
	turnIn           = 0.35     // distance to a waypoint at which the next one is aimed for
	arrived          = 0.15     // distance at which a leg's last waypoint is reached
	braking          = 1.5      // speed for each cell left before the last waypoint, 1/s
	stiffness        = 4.0      // how fast a wrong velocity is put right, 1/s
	actionNoise      = 0.1      // standard deviation
)

// pilot flies an episode: along the shortest path to a target cell, waypoint by
// waypoint, then to the next target.
type pilot struct {
	maze      *Maze
	cells     []cell // where it begins and where its legs lead
	passes    []cell // slowly
	keepsLane bool   // every leg has the offset of the first
	rng       *rand.Rand
	expert    bool // the target is the goal, and stays so
	cruise    float64
	target    cell
	waypoint  cell       // on the path to target
	offset    [2]float64 // of this leg from the cells' centres
}

func (m *Maze) newPilot(rng *rand.Rand, expert bool) *pilot {
	return &pilot{maze: m, cells: m.free, rng: rng, expert: expert, cruise: slowest + (fastest-slowest)*rng.Float64()}
}

// begin is the pilot of a policy's episode, which starts in the start's cell.
func (m *Maze) begin(rng *rand.Rand) *pilot {
	p := m.newPilot(rng, false)
	p.cells = []cell{m.start}
	return p
}

// start draws the first state, at rest, and the first leg. An expert starts at
// the one of two random cells that is farther from the goal.
func (p *pilot) start() [ObservationDim]float32 {
	p.waypoint = p.anyCell()
	if other, toGoal := p.anyCell(), p.maze.steps[p.maze.goal]; p.expert && toGoal[other] > toGoal[p.waypoint] {
		p.waypoint = other
	}
	p.newLeg()
	at := p.aim()
	return [ObservationDim]float32{float32(at[0]), float32(at[1])}
}

func (p *pilot) anyCell() cell { return p.cells[p.rng.IntN(len(p.cells))] }

func (p *pilot) newLeg() {
	p.target = p.anyCell()
	if p.expert {
		p.target = p.maze.goal
	}
	if p.keepsLane {
		return
	}
	p.offset = [2]float64{spread * (2*p.rng.Float64() - 1), spread * (2*p.rng.Float64() - 1)}
}

// aim is the waypoint's position on this leg.
func (p *pilot) aim() [2]float64 {
	c := p.waypoint.centre()
	return [2]float64{c[0] + p.offset[0], c[1] + p.offset[1]}
}

// act is the force that brings the velocity towards the one wanted.
func (p *pilot) act(obs [ObservationDim]float32) (action [ActionDim]float32) {
	p.advance(position(obs))
	wanted := p.wantedVelocity(position(obs))
	for axis := range action {
		v := float64(obs[2+axis])
		a := (stiffness*(wanted[axis]-v) + drag*v) / force
		a += actionNoise * p.rng.NormFloat64()
		action[axis] = float32(min(max(a, -1), 1))
	}
	return action
}

// advance takes up the next waypoint, or a new leg, once the present one is
// close enough.
func (p *pilot) advance(at [2]float64) {
	left := distance(at, p.aim())
	switch {
	case p.waypoint == p.target && !p.expert && left < arrived:
		p.newLeg()
		if p.keepsLane { // else it is first aimed at the same place again, from any side
			p.waypoint = p.maze.towards(p.waypoint, p.target)
		}
	case p.waypoint != p.target && left < turnIn:
		p.waypoint = p.maze.towards(p.waypoint, p.target)
	}
}

// towards is the next cell on a shortest path.
func (m *Maze) towards(from, to cell) cell {
	steps := m.steps[to]
	for _, next := range from.neighbours() {
		if d, ok := steps[next]; ok && d < steps[from] {
			return next
		}
	}
	return from
}

// wantedVelocity heads for the waypoint, slowing down before the last one.
func (p *pilot) wantedVelocity(at [2]float64) [2]float64 {
	aim := p.aim()
	left := distance(at, aim)
	if left == 0 {
		return [2]float64{}
	}
	speed := p.cruise
	if p.waypoint == p.target {
		speed = math.Min(speed, braking*left)
	}
	for _, c := range p.passes {
		if distance(at, c.centre()) < nearby {
			speed = math.Min(speed, passing*p.cruise)
		}
	}
	return [2]float64{speed * (aim[0] - at[0]) / left, speed * (aim[1] - at[1]) / left}
}
