package learners

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"diffstitch/modelops/checkpoint"
)

// Data is N transitions in episodes, which lie one after the other.
type Data struct {
	ObservationDim int // O
	ActionDim      int // A

	Observations []float32 // [N, O]
	Actions      []float32 // [N, A]
	Rewards      []float32 // [N]
	Next         []float32 // [N, O], the observations after
	Terminals    []bool    // [N], whether the state after is terminal: no reward comes from there

	Starts    []int  // the first row of each episode, rising from 0
	Augmented []bool // [N], the same within an episode
}

// rows is N.
func (d *Data) rows() int { return len(d.Rewards) }

// end is the row after the last of an episode.
func (d *Data) end(episode int) int {
	if episode+1 < len(d.Starts) {
		return d.Starts[episode+1]
	}
	return d.rows()
}

// Validate reports what does not fit together.
func (d *Data) Validate() error {
	n := d.rows()
	switch {
	case d.ObservationDim < 1 || d.ActionDim < 1 || n == 0:
		return fmt.Errorf("learners: the data has %d transitions, %d observation and %d action dimensions; none may be 0", n, d.ObservationDim, d.ActionDim)
	case n > math.MaxInt32:
		return fmt.Errorf("learners: the data has %d transitions, more than the %d that a device can number", n, math.MaxInt32)
	case len(d.Observations) != n*d.ObservationDim || len(d.Next) != len(d.Observations) || len(d.Actions) != n*d.ActionDim || len(d.Terminals) != n || len(d.Augmented) != n:
		return fmt.Errorf("learners: %d rewards, %d values of observations, %d of next ones and %d of actions, %d terminals and %d marks do not fit each other",
			n, len(d.Observations), len(d.Next), len(d.Actions), len(d.Terminals), len(d.Augmented))
	case len(d.Starts) == 0 || d.Starts[0] != 0:
		return fmt.Errorf("learners: the first episode does not start at row 0")
	}
	for e, start := range d.Starts {
		if start >= d.end(e) {
			return fmt.Errorf("learners: episode %d ends where it starts, at row %d", e, start)
		}
		for row := start; row < d.end(e); row++ {
			if d.Augmented[row] != d.Augmented[start] {
				return fmt.Errorf("learners: episode %d is augmented in part: row %d differs from the first, %d", e, row, start)
			}
		}
	}
	return nil
}

// fingerprint tells data apart.
func (d *Data) fingerprint() string {
	h := sha256.New()
	for _, part := range []any{
		int64(d.ObservationDim), int64(d.ActionDim), d.Observations, d.Actions, d.Rewards, d.Next, d.Terminals, d.Augmented, int64(len(d.Starts)),
	} {
		_ = binary.Write(h, binary.LittleEndian, part) // a hash takes everything
	}
	for _, start := range d.Starts {
		_ = binary.Write(h, binary.LittleEndian, int64(start))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// drawn is which rows a ratio draws from.
func (r Ratio) drawn(augmented bool) bool {
	if augmented {
		return r.Augmented > 0
	}
	return r.Original > 0
}

// scaling is how raw values become what nets see.
type scaling struct {
	ObservationMean  []float32 `json:"observation_mean"`  // [O]
	ObservationScale []float32 `json:"observation_scale"` // [O], divided by
	RewardScale      float32   `json:"reward_scale"`      // multiplied with
	MaxAction        float32   `json:"max_action"`        // divided by
}

// scaling measures the rows that are drawn from.
func (d *Data) scaling(cfg Config) (scaling, error) {
	var seen []float32
	for row, augmented := range d.Augmented {
		if cfg.Ratio.drawn(augmented) {
			seen = append(seen, d.Observations[row*d.ObservationDim:(row+1)*d.ObservationDim]...)
		}
	}
	s := scaling{RewardScale: float32(cfg.Rewards.Scale), MaxAction: float32(cfg.MaxAction)}
	s.ObservationMean, s.ObservationScale = checkpoint.Moments(seen, d.ObservationDim)
	for i := range s.ObservationScale {
		s.ObservationScale[i] += float32(cfg.ObservationEpsilon)
	}
	if cfg.Rewards.ByReturns {
		low, high := d.returns(cfg.Ratio)
		if !(high > low) {
			return scaling{}, fmt.Errorf("rewards.by_returns divides by the range of the returns, but every episode returns %v", low)
		}
		s.RewardScale = float32(cfg.Rewards.Scale / (high - low))
	}
	return s, nil
}

// returns is the range of the episodes' returns: the original ones' where those are
// drawn from, so that what is added to the data does not scale its rewards.
func (d *Data) returns(ratio Ratio) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for e, start := range d.Starts {
		if d.Augmented[start] == (ratio.Original > 0) {
			continue
		}
		low, high = min(low, d.episodeReturn(e)), max(high, d.episodeReturn(e))
	}
	return low, high
}

// bestReturn is the highest of the episodes that are drawn from.
func (d *Data) bestReturn(ratio Ratio) float64 {
	best := math.Inf(-1)
	for e, start := range d.Starts {
		if ratio.drawn(d.Augmented[start]) {
			best = max(best, d.episodeReturn(e))
		}
	}
	return best
}

func (d *Data) episodeReturn(episode int) float64 {
	sum := 0.0
	for _, reward := range d.Rewards[d.Starts[episode]:d.end(episode)] {
		sum += float64(reward)
	}
	return sum
}

// observation writes a normalised observation.
func (s scaling) observation(dst, src []float32) {
	for i := range dst {
		dst[i] = (src[i] - s.ObservationMean[i]) / s.ObservationScale[i]
	}
}

// action writes an action scaled to [-1, 1].
func (s scaling) action(dst, src []float32) {
	for i := range dst {
		dst[i] = src[i] / s.MaxAction
	}
}
