// Package rank sorts episodes by return into a low and a high pool, from which
// pairs are drawn (DiffStitch, section 4: low-reward and high-reward
// trajectories). Only metadata is ranked, never the arrays.
package rank

import (
	"errors"
	"fmt"
	"slices"

	"diffstitch/io/trajectory"
)

// Sentinels for a dataset that cannot be split into two pools.
var (
	ErrNoLow  = errors.New("no low-return episode")
	ErrNoHigh = errors.New("no high-return episode")
)

// Config says where the pools end.
type Config struct {
	// Low is the quantile of the score at or under which an episode is low.
	Low float64 `json:"low"`
	// High is the quantile of the score at or above which an episode is high.
	High float64 `json:"high"`
}

// Validate reports quantiles that overlap or lie outside [0, 1].
func (c Config) Validate() error {
	if c.Low < 0 || c.High > 1 || c.Low > c.High {
		return fmt.Errorf("rank: want 0 ≤ low quantile ≤ high quantile ≤ 1, got %v and %v", c.Low, c.High)
	}
	return nil
}

// Pools are the two sides of every stitch, each in the order of the data. They
// refer to the metadata they were made of.
type Pools struct {
	Low, High []*trajectory.Meta
}

// Split parts metas, in the data's order, at the quantiles. An episode that ties
// with the low threshold is never high.
func Split(cfg Config, metas []trajectory.Meta) (Pools, error) {
	if len(metas) == 0 {
		return Pools{}, fmt.Errorf("rank: the data holds no usable episode: %w", ErrNoLow)
	}
	scores := make([]float64, len(metas))
	for i, m := range metas {
		scores[i] = m.Score
	}
	slices.Sort(scores)
	low, high := quantile(scores, cfg.Low), quantile(scores, cfg.High)

	var pools Pools
	for i := range metas {
		switch m := &metas[i]; {
		case m.Score <= low:
			pools.Low = append(pools.Low, m)
		case m.Score >= high:
			pools.High = append(pools.High, m)
		}
	}
	span := fmt.Sprintf("the scores of %d episodes run from %g to %g", len(scores), scores[0], scores[len(scores)-1])
	if len(pools.High) == 0 {
		return Pools{}, fmt.Errorf("rank: %w above the low quantile %g (score %g): %s", ErrNoHigh, cfg.Low, low, span)
	}
	if len(pools.Low) == 0 {
		return Pools{}, fmt.Errorf("rank: %w at quantile %g: %s", ErrNoLow, cfg.Low, span)
	}
	return pools, nil
}

// ByLocation orders episodes as the data does.
func ByLocation(a, b trajectory.Meta) int { return a.Location.Compare(b.Location) }

// quantile is the smallest of the sorted values with at least a share q of them
// at or under it.
func quantile(sorted []float64, q float64) float64 {
	i := int(float64(len(sorted)-1)*q + 0.5)
	return sorted[i]
}
