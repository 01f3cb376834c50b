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
	DeltaScale       []float32 `json:"delta_scale"`       // [S], σ_Δ: root mean square of s_{t+1} − s_t

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
	stats.DeltaScale = d.deltaScale()
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

// deltaScale is the root mean square of each dimension's change in a step, 1
// where it never changes.
func (d *Data) deltaScale() []float32 {
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
		scale[dim] = 1
		if sum > 0 {
			scale[dim] = float32(math.Sqrt(sum / float64(count)))
		}
	}
	return scale
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
