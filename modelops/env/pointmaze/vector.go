package pointmaze

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"diffstitch/modelops/env"
)

// Name of the built-in maze among environments.
const Name = "pointmaze"

// EpisodeSteps is the time limit of an episode that a policy flies: that of the
// longest ones in the dataset.
const EpisodeSteps = maxSteps

// Returns of an episode in the default maze, from the start region, means
// over referenceEpisodes. TestReference measures them.
const (
	randomReturn = 0     // actions drawn evenly
	expertReturn = 119.1 // the pilot of the dataset's experts
)

func (m *Maze) spec() env.Spec {
	return env.Spec{
		Name: Name, ObservationDim: ObservationDim, ActionDim: ActionDim, MaxSteps: EpisodeSteps,
		ActionLow: []float32{-1, -1}, ActionHigh: []float32{1, 1},
		Reference:     &env.Reference{Random: randomReturn, Expert: expertReturn},
		TellsSuccess:  true, // within GoalRadius of the goal
		TargetReturns: []float64{120, 60},
	}
}

// Vector is copies of the maze that are stepped together.
type Vector struct {
	maze   *Maze
	states [][ObservationDim]float32 // of each copy
	there  []bool                    // at the goal, each
	steps  int                       // taken since Reset; every copy has taken as many
}

// NewVector makes n copies of the default maze.
func NewVector(n int) *Vector {
	return &Vector{maze: Default(), states: make([][ObservationDim]float32, n), there: make([]bool, n), steps: EpisodeSteps}
}

// Spec is what the maze is.
func (v *Vector) Spec() env.Spec { return v.maze.spec() }

// Reset begins an episode in each copy: in the start's cell, at rest.
func (v *Vector) Reset(seeds []uint64) ([]float32, error) {
	if len(seeds) != len(v.states) {
		return nil, fmt.Errorf("pointmaze: %d seeds for %d copies", len(seeds), len(v.states))
	}
	for i, seed := range seeds {
		v.states[i] = v.maze.begin(startStream(seed)).start()
	}
	v.steps = 0
	clear(v.there)
	return v.observations(), nil
}

// startStream is not one that the dataset is made from.
func startStream(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, math.MaxUint64)) }

func (v *Vector) observations() []float32 {
	flat := make([]float32, 0, len(v.states)*ObservationDim)
	for _, s := range v.states {
		flat = append(flat, s[:]...)
	}
	return flat
}

// Step takes an action in each copy. Episodes end by their time limit alone.
func (v *Vector) Step(actions []float32) (env.Step, error) {
	n := len(v.states)
	if len(actions) != n*ActionDim {
		return env.Step{}, fmt.Errorf("pointmaze: %d action values for %d copies", len(actions), n)
	}
	s := env.Step{Rewards: make([]float32, n), Terminals: make([]bool, n)}
	if v.steps < EpisodeSteps {
		v.steps++
		for i := range v.states {
			v.states[i], s.Rewards[i] = v.maze.Step(v.states[i], [ActionDim]float32(actions[i*ActionDim:]))
			v.there[i] = s.Rewards[i] > 0
		}
	}
	s.Successes = slices.Clone(v.there)
	s.Observations = v.observations()
	s.Timeouts = slices.Repeat([]bool{v.steps == EpisodeSteps}, n)
	return s, nil
}

// Close does nothing: a maze holds nothing open.
func (v *Vector) Close() error { return nil }

// Simulator judges transitions of the default maze, whose observations are its
// states.
type Simulator struct{ maze *Maze }

// NewSimulator opens the default maze.
func NewSimulator() *Simulator { return &Simulator{Default()} }

// Spec is what the maze is.
func (s *Simulator) Spec() env.Spec { return s.maze.spec() }

// StepFrom takes an action from each of m states.
//
//	observations: [m, ObservationDim]
//	actions:      [m, ActionDim]
func (s *Simulator) StepFrom(observations, actions []float32) (next, rewards []float32, err error) {
	m := len(actions) / ActionDim
	if len(actions) != m*ActionDim || len(observations) != m*ObservationDim {
		return nil, nil, fmt.Errorf("pointmaze: %d observation and %d action values do not fit each other", len(observations), len(actions))
	}
	next, rewards = make([]float32, 0, len(observations)), make([]float32, m)
	for i := range m {
		state, reward := observation(observations, i), nan
		if !slices.ContainsFunc(state[:], notFinite) {
			state, reward = s.maze.Step(state, [ActionDim]float32(actions[i*ActionDim:]))
		} else {
			state = [ObservationDim]float32{nan, nan, nan, nan}
		}
		next, rewards[i] = append(next, state[:]...), reward
	}
	return next, rewards, nil
}

var nan = float32(math.NaN())

func notFinite(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }

// Close does nothing: a maze holds nothing open.
func (s *Simulator) Close() error { return nil }
