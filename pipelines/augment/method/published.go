package method

import (
	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/qualify"
	"diffstitch/transforms/rank"
)

// PaperHorizon is the denoiser's in the paper, but for pen.
const PaperHorizon = 100

// OfHorizon is a step of PaperHorizon's, in another horizon.
func OfHorizon(step, horizon int) int { return step * horizon / PaperHorizon }

// AsPaper are the settings of section 4 read literally: ends drawn uniformly, the step
// of the most similar state of all that are imagined, and the sampler of section 3.1.
func (s StitchingSettings) AsPaper() StitchingSettings {
	s.Pairing = pair.Uniform
	s.Estimate = estimate.Config{Similarity: estimate.Similarity{Kind: estimate.Cosine, Space: estimate.Raw}}
	s.Sampler = diffusion.Sampler{Kind: diffusion.DDPM}
	s.Measure = qualify.Distance
	return s
}

// The authors' code looks for s′_1 among referenceCandidates states of the best
// referenceHigh, at the imagined states [referenceFirst, referenceEnd) of PaperHorizon.
const (
	referenceCandidates          = 512
	referenceHigh                = 0.98
	referenceFirst, referenceEnd = 10, 40
	referenceDiscount            = 0.99
	referenceNoise               = 0.5
)

// AsReference are the settings of the authors' code, with models of a horizon. It
// takes the entry and the step by the cosine of states as the denoiser has them, and
// keeps a bridge where the square of the dynamics error is at most δ, no state is
// terminal, which models of terminals alone tell, and the return gains.
func (s StitchingSettings) AsReference(delta float64, horizon int, terminals bool) StitchingSettings {
	s.Scoring = trajectory.Scoring{Kind: trajectory.ScoreDiscounted, Discount: referenceDiscount}
	s.Pools = rank.Config{Low: s.Pools.Low, High: referenceHigh}
	s.Pairing, s.Candidates = pair.Reference, referenceCandidates
	s.Estimate = estimate.Config{
		Similarity: estimate.Similarity{Kind: estimate.Cosine, Space: estimate.Denoiser},
		MinSteps:   max(0, OfHorizon(referenceFirst, horizon)-1), // s′_1 stands after Δ states
		MaxSteps:   max(1, OfHorizon(referenceEnd-1, horizon)-1),
	}
	s.Sampler = diffusion.Sampler{Kind: diffusion.DDPM, NoiseScale: referenceNoise}
	s.Delta, s.Measure = Delta{Value: delta}, qualify.Squared
	s.RejectTerminal, s.RequireGain = terminals, true
	return s
}

// WithoutEstimation puts a constant Δ in the place of the estimation, and draws entries
// as the paper does: those that are retrieved are chosen by what is imagined.
func (s StitchingSettings) WithoutEstimation(constant int) StitchingSettings {
	s.Pairing = pair.Uniform
	s.Estimate = estimate.Config{Similarity: s.Estimate.Similarity, Constant: constant}
	return s
}
