// Package rank sorts episodes by return into a low and a high pool, from which
// pairs are drawn (DiffStitch, section 4: low-reward and high-reward
// trajectories). Only metadata is ranked, never the arrays.
package rank

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

// Sentinels for a dataset that cannot be split into two pools.
var (
	ErrNoLow  = errors.New("no low-return episode")
	ErrNoHigh = errors.New("no high-return episode")
)

var (
	lowEpisodes  = beam.NewCounter("rank", "episodes_low")
	highEpisodes = beam.NewCounter("rank", "episodes_high")
)

func init() {
	beam.RegisterDoFn(&poolFn{})
	register.Iter1[trajectory.Meta]()
	register.Emitter1[trajectory.Meta]()
}

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

// Pools are the two sides of every stitch, each in the order of the data.
type Pools struct {
	Low, High []trajectory.Meta
}

// Episodes parts a PCollection<trajectory.Meta> into those of the low pool and
// those of the high one. Pools as such are never elements: they grow with the
// data.
func Episodes(s beam.Scope, cfg Config, metas beam.PCollection) (low, high beam.PCollection) {
	s = s.Scope("rank.Episodes")
	return beam.ParDo2(s, &poolFn{Config: cfg}, beam.GroupByKey(s, beam.AddFixedKey(s, metas)))
}

type poolFn struct {
	Config Config `json:"config"`
}

func (fn *poolFn) ProcessElement(ctx context.Context, _ int, metas func(*trajectory.Meta) bool, low, high func(trajectory.Meta)) error {
	var all []trajectory.Meta
	var m trajectory.Meta
	for metas(&m) {
		all = append(all, m)
	}
	pools, err := Split(fn.Config, all)
	if err != nil {
		return err
	}
	lowEpisodes.Inc(ctx, int64(len(pools.Low)))
	highEpisodes.Inc(ctx, int64(len(pools.High)))
	for _, m := range pools.Low {
		low(m)
	}
	for _, m := range pools.High {
		high(m)
	}
	return nil
}

// Split sorts metas into the data's order and parts them at the quantiles. An
// episode that ties with the low threshold is never high.
func Split(cfg Config, metas []trajectory.Meta) (Pools, error) {
	metas = slices.SortedFunc(slices.Values(metas), ByLocation)
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
	for _, m := range metas {
		switch {
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
func ByLocation(a, b trajectory.Meta) int {
	return cmp.Or(cmp.Compare(a.Location.File, b.Location.File), cmp.Compare(a.Location.Row, b.Location.Row))
}

// quantile is the smallest of the sorted values with at least a share q of them
// at or under it.
func quantile(sorted []float64, q float64) float64 {
	i := int(float64(len(sorted)-1)*q + 0.5)
	return sorted[i]
}
