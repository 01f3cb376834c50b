package estimate

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Kinds of similarity and the spaces they compare in.
const (
	Cosine     = "cosine"   // the paper
	Distance   = "distance" // negative L2 distance
	Raw        = "raw"
	Normalised = "normalised" // by the moments of the data
	Denoiser   = "denoiser"   // as the denoiser has them: the authors' code
)

// Similarity compares two states.
type Similarity struct {
	Kind  string `json:"kind"`
	Space string `json:"space"`
}

// Validate reports an unknown kind or space.
func (s Similarity) Validate() error {
	if s.Kind != Cosine && s.Kind != Distance {
		return fmt.Errorf("estimate: unknown similarity %q: want %s or %s", s.Kind, Cosine, Distance)
	}
	if s.Space != Raw && s.Space != Normalised && s.Space != Denoiser {
		return fmt.Errorf("estimate: unknown space %q: want %s, %s or %s", s.Space, Raw, Normalised, Denoiser)
	}
	return nil
}

// of compares two states of equal length; more is more similar.
func (s Similarity) of(a, b []float32) float64 {
	if s.Kind == Distance {
		sum := 0.0
		for i := range a {
			d := float64(a[i] - b[i])
			sum += d * d
		}
		return -math.Sqrt(sum)
	}
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return dot / math.Sqrt(aa*bb)
}

// match is the best agreement of a target with a step of an imagined rollout.
type match struct {
	target     int
	step       int // of the rollout; step 0 is s_T itself
	similarity float64
}

// best searches steps [first, last] of a rollout, [H, S], for the state most
// similar to one of the targets, [n, S]: the earliest and first among equals.
// Where nothing can be compared, as with states that are not finite, that is the
// first step and target, for qualification to reject.
func (s Similarity) best(rollout, targets []float32, stateDim, first, last int) match {
	found := match{step: first, similarity: math.Inf(-1)}
	for target := range len(targets) / stateDim {
		wanted := targets[target*stateDim : (target+1)*stateDim]
		for step := first; step <= last; step++ {
			if v := s.of(rollout[step*stateDim:(step+1)*stateDim], wanted); v > found.similarity {
				found = match{target: target, step: step, similarity: v}
			}
		}
	}
	return found
}

// oneOf draws one of the targets whose best agreement with a step of the rollout comes to
// the threshold; where none does it is the best one.
func (s Similarity) oneOf(rng *rand.Rand, threshold float64, rollout, targets []float32, stateDim, first, last int) match {
	best := match{step: first, similarity: math.Inf(-1)}
	var similar []match
	for target := range len(targets) / stateDim {
		m := s.best(rollout, targets[target*stateDim:(target+1)*stateDim], stateDim, first, last)
		m.target = target
		if m.similarity > best.similarity {
			best = m
		}
		if m.similarity >= threshold {
			similar = append(similar, m)
		}
	}
	if len(similar) == 0 {
		return best
	}
	return similar[rng.IntN(len(similar))]
}
