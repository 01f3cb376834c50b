package method

import (
	"fmt"
	"strings"

	"diffstitch/modelops/diffusion"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/qualify"
)

// StitchingWords are DiffStitch's settings as pages have them.
type StitchingWords struct {
	Pairing    string `json:"pairing"`
	Similarity string `json:"similarity"`
	Sampler    string `json:"sampler"`
	Steps      string `json:"steps"` // Δ
	Delta      string `json:"delta"` // δ
}

// Words are the settings for a reader.
func (s StitchingSettings) Words() StitchingWords {
	return StitchingWords{
		Pairing: s.Pairing, Similarity: s.similarity(), Sampler: samplerWords(s.Sampler), Steps: stepsWords(s.Estimate), Delta: s.delta(),
	}
}

// similarity is that of step estimation: none where the plan has chosen the entries,
// and Δ is a constant.
func (s StitchingSettings) similarity() string {
	if s.Estimate.Constant > 0 && s.Pairing == pair.Uniform {
		return "none"
	}
	similarity := s.Estimate.Similarity
	return fmt.Sprintf("%s of %s states", similarity.Kind, map[string]string{
		estimate.Raw: "raw", estimate.Normalised: "normalised", estimate.Denoiser: "the denoiser's",
	}[similarity.Space])
}

func samplerWords(s diffusion.Sampler) string {
	words := s.Kind + ", all steps"
	if s.Steps > 0 {
		words = fmt.Sprintf("%s, %d steps", s.Kind, s.Steps)
	}
	if s.NoiseScale > 0 && s.NoiseScale != 1 {
		words += fmt.Sprintf(", noise × %g", s.NoiseScale)
	}
	return words
}

func stepsWords(c estimate.Config) string {
	if c.Constant > 0 {
		return fmt.Sprintf("constant %d", c.Constant)
	}
	var bounds []string
	if c.MinSteps > 0 {
		bounds = append(bounds, fmt.Sprintf("from %d", c.MinSteps))
	}
	if c.MaxSteps > 0 {
		bounds = append(bounds, fmt.Sprintf("to %d", c.MaxSteps))
	}
	return strings.TrimSpace("estimated " + strings.Join(bounds, " "))
}

func (s StitchingSettings) delta() string {
	if s.Measure == qualify.Squared && !s.Delta.Off {
		return s.Delta.String() + " of the square, of the denoiser's states"
	}
	return s.Delta.String()
}
