package training

import (
	"math"
	"slices"

	"diffstitch/modelops/checkpoint"
)

// Statistics describe the data that a model was trained on. The four models of a
// folder have equal ones.
type Statistics struct {
	Episodes    int `json:"episodes"`
	Transitions int `json:"transitions"`

	ObservationMean  []float32 `json:"observation_mean"`  // [S]
	ObservationScale []float32 `json:"observation_scale"` // [S], standard deviation
	ObservationLow   []float32 `json:"observation_low"`   // [S], the least value; none of models of earlier versions
	ObservationHigh  []float32 `json:"observation_high"`  // [S], the largest
	DeltaScale       []float32 `json:"delta_scale"`       // [S], σ_Δ: see deltaScale

	// Constant lists the dimensions of the states that have one value throughout the
	// data, up to float32's rounding: ObservationMean. Every generated state has it.
	Constant []int `json:"constant,omitempty"`
	// EpisodeConstant lists those that no step changes, up to rounding, although they
	// differ between episodes, as a goal in the observation does. Generated states take
	// them from a known state: see diffusion.Limits.
	EpisodeConstant []int `json:"episode_constant,omitempty"`

	ActionMean  []float32 `json:"action_mean"`  // [A]
	ActionScale []float32 `json:"action_scale"` // [A]
	ActionLow   []float32 `json:"action_low"`   // [A]
	ActionHigh  []float32 `json:"action_high"`  // [A]

	RewardMean  float32 `json:"reward_mean"`
	RewardScale float32 `json:"reward_scale"`
	RewardLow   float32 `json:"reward_low"`
	RewardHigh  float32 `json:"reward_high"`
	// SparseRewards is whether rewards only ever are RewardLow or RewardHigh. Then
	// the reward is learned as the probability of the latter.
	SparseRewards bool `json:"sparse_rewards"`
}

// statistics goes over all the data, held-out episodes included.
func (d *Data) statistics() Statistics {
	states := d.column(func(t Trajectory) []float32 { return t.States })
	actions := d.column(func(t Trajectory) []float32 { return t.Actions })
	rewards := d.column(func(t Trajectory) []float32 { return t.Rewards })
	stats := Statistics{Episodes: len(d.Trajectories), Transitions: len(rewards)}
	stats.ObservationMean, stats.ObservationScale = checkpoint.Moments(states, d.ObservationDim)
	stats.ObservationLow, stats.ObservationHigh = bounds(states, d.ObservationDim)
	stats.Constant = checkpoint.Constant(states, d.ObservationDim)
	stats.EpisodeConstant = d.episodeConstant(stats)
	stats.DeltaScale = d.deltaScale(stats)
	stats.ActionMean, stats.ActionScale = checkpoint.Moments(actions, d.ActionDim)
	stats.ActionLow, stats.ActionHigh = bounds(actions, d.ActionDim)
	mean, scale := checkpoint.Moments(rewards, 1)
	low, high := bounds(rewards, 1)
	stats.RewardMean, stats.RewardScale = mean[0], scale[0]
	stats.RewardLow, stats.RewardHigh = low[0], high[0]
	stats.SparseRewards = low[0] < high[0]
	for _, r := range rewards {
		stats.SparseRewards = stats.SparseRewards && (r == low[0] || r == high[0])
	}
	return stats
}

// column joins an array of all episodes.
func (d *Data) column(of func(Trajectory) []float32) []float32 {
	parts := make([][]float32, len(d.Trajectories))
	for i, t := range d.Trajectories {
		parts[i] = of(t)
	}
	return slices.Concat(parts...)
}

// deltaFloor is the least σ_Δ, as a share of a dimension's standard deviation. What a
// model generates is off by more than that: divided by less it would say nothing.
const deltaFloor = 1e-3

// deltaScale is the root mean square of each dimension's change in a step, but no less
// than deltaFloor of its standard deviation or what float32 can tell apart. Where no
// step changes a dimension nothing is divided by it, see Statistics.still.
func (d *Data) deltaScale(stats Statistics) []float32 {
	squares, count := make([]float64, d.ObservationDim), 0
	for _, t := range d.Trajectories {
		for i := d.ObservationDim; i < len(t.States); i++ {
			delta := float64(t.States[i]) - float64(t.States[i-d.ObservationDim])
			squares[i%d.ObservationDim] += delta * delta
		}
		count += len(t.States)/d.ObservationDim - 1
	}
	scale := make([]float32, d.ObservationDim)
	for dim, sum := range squares {
		least := max(deltaFloor*float64(stats.ObservationScale[dim]), stats.resolution(dim))
		scale[dim] = float32(max(math.Sqrt(sum/float64(max(count, 1))), least))
	}
	return scale
}

// resolution is what float32 can tell apart in a dimension of the states.
func (s Statistics) resolution(dim int) float64 {
	return checkpoint.Resolution(max(-s.ObservationLow[dim], s.ObservationHigh[dim]))
}

// episodeConstant finds Statistics.EpisodeConstant. Episodes of one state tell nothing.
func (d *Data) episodeConstant(stats Statistics) (list []int) {
	moves, seen := make([]bool, d.ObservationDim), false
	for _, t := range d.Trajectories {
		if len(t.States) <= d.ObservationDim {
			continue
		}
		seen = true
		low, high := bounds(t.States, d.ObservationDim)
		for dim := range moves {
			moves[dim] = moves[dim] || float64(high[dim]-low[dim]) > stats.resolution(dim)
		}
	}
	for dim := range moves {
		if seen && !moves[dim] && !slices.Contains(stats.Constant, dim) {
			list = append(list, dim)
		}
	}
	return list
}

// still is which dimensions of the states no step changes, [S].
func (s Statistics) still() []bool {
	still := make([]bool, len(s.ObservationMean))
	for _, dim := range slices.Concat(s.Constant, s.EpisodeConstant) {
		still[dim] = true
	}
	return still
}

// bounds is the least and the largest value of each column.
func bounds(values []float32, dim int) (low, high []float32) {
	low = append(low, values[:dim]...)
	high = append(high, values[:dim]...)
	for i, v := range values {
		low[i%dim], high[i%dim] = min(low[i%dim], v), max(high[i%dim], v)
	}
	return low, high
}
