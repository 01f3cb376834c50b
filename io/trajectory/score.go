package trajectory

import "fmt"

// Ways to score an episode for ranking.
const (
	ScoreReturn     = "return"     // the sum of rewards
	ScoreDiscounted = "discounted" // Σ γ^step · reward
	ScorePerStep    = "per-step"   // the return divided by the length
)

// Scoring says what episodes are ranked by.
type Scoring struct {
	Kind     string  `json:"kind"`
	Discount float64 `json:"discount,omitempty"` // γ, for ScoreDiscounted
}

// Validate reports an unknown kind or a discount out of range.
func (s Scoring) Validate() error {
	switch s.Kind {
	case ScoreReturn, ScorePerStep:
		return nil
	case ScoreDiscounted:
		if s.Discount <= 0 || s.Discount > 1 {
			return fmt.Errorf("trajectory: discount %v is not in (0, 1]", s.Discount)
		}
		return nil
	}
	return fmt.Errorf("trajectory: unknown score %q: want %s, %s or %s", s.Kind, ScoreReturn, ScoreDiscounted, ScorePerStep)
}

// Of is the score of an episode.
func (s Scoring) Of(e *Episode) float64 {
	switch s.Kind {
	case ScoreDiscounted:
		sum, weight := 0.0, 1.0
		for _, r := range e.Rewards {
			sum += weight * float64(r)
			weight *= s.Discount
		}
		return sum
	case ScorePerStep:
		return e.Return() / float64(e.Len())
	default:
		return e.Return()
	}
}
