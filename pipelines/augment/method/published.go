package method

import (
	"math"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/rank"
)

// PaperHorizon is the denoiser's in the paper, but for pen.
const PaperHorizon = 100

// OfHorizon is a step of PaperHorizon's, in another horizon.
func OfHorizon(step, horizon int) int { return step * horizon / PaperHorizon }

// AsPaper are the settings of section 4 read literally: ends drawn uniformly, the step
// of the most similar state of all that are imagined, the sampler of section 3.1, and
// bridges as they were inpainted.
func (s StitchingSettings) AsPaper() StitchingSettings {
	s.Pairing = pair.Uniform
	s.Estimate = estimate.Config{Similarity: estimate.Similarity{Kind: estimate.Cosine, Space: estimate.Raw}, Argmax: true}
	s.Sampler = diffusion.Sampler{Kind: diffusion.DDPM, Variance: diffusion.VarianceBeta}
	s.Refine = RefineOff
	return s
}

// Authors are what the authors' code has for each data set.
type Authors struct {
	Delta      float64 // bounds the square of the dynamics error
	Similarity float64 // that an entry has, at least
}

// The authors' code looks for s′_1 among referenceCandidates states of the best
// referenceHigh that have more than referenceLeft steps left, at the imagined states
// [referenceFirst, referenceEnd) of PaperHorizon.
const (
	referenceCandidates          = 512
	referenceHigh                = 0.98
	referenceLeft                = 100
	referenceFirst, referenceEnd = 10, 40
	referenceDiscount            = 0.99
	referenceNoise               = 0.5
)

// AsReference are the settings of the authors' code, with models of a horizon: entries
// are retrieved by the cosine of states as the denoiser has them, and a bridge is kept
// where the dynamics error is at most δ, no state is terminal, which models of
// terminals alone tell, and the return does not fall.
func (s StitchingSettings) AsReference(of Authors, horizon int, terminals bool) StitchingSettings {
	s.Scoring = trajectory.Scoring{Kind: trajectory.ScoreDiscounted, Discount: referenceDiscount}
	s.Pools = rank.Config{Low: s.Pools.Low, High: referenceHigh}
	s.Pairing, s.Candidates, s.MinLeft = pair.Reference, referenceCandidates, int32(OfHorizon(referenceLeft, horizon)+1)
	s.Estimate = estimate.Config{
		Similarity: estimate.Similarity{Kind: estimate.Cosine, Space: estimate.Denoiser},
		Threshold:  of.Similarity,
		MinSteps:   max(0, OfHorizon(referenceFirst, horizon)-1), // s′_1 stands after Δ states
		MaxSteps:   max(1, OfHorizon(referenceEnd-1, horizon)-1),
	}
	s.Sampler = diffusion.Sampler{Kind: diffusion.DDPM, NoiseScale: referenceNoise}
	s.Delta = Delta{Value: math.Sqrt(of.Delta), Normalised: true}
	s.Refine = RefineOff
	s.RejectTerminal, s.RequireGain, s.AcceptTies = terminals, true, true
	return s
}

// WithoutEstimation puts a constant Δ in the place of the estimation, and draws entries
// as the paper does: those that are retrieved are chosen by what is imagined.
func (s StitchingSettings) WithoutEstimation(constant int) StitchingSettings {
	s = s.WithPairing(pair.Uniform)
	s.Estimate = estimate.Config{Similarity: s.Estimate.Similarity, Constant: constant}
	return s
}

// WithPairing draws pairs otherwise, without what is asked of entries that uniform pairs
// do not choose.
func (s StitchingSettings) WithPairing(pairing string) StitchingSettings {
	s.Pairing = pairing
	if pairing == pair.Uniform {
		s.MinLeft, s.Estimate.Threshold = 0, 0
	}
	return s
}
