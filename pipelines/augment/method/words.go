package method

import (
	"cmp"
	"fmt"
	"strconv"

	"diffstitch/modelops/diffusion"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/pair"
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
		Pairing: s.pairing(), Similarity: s.similarity(), Sampler: samplerWords(s.Sampler), Steps: stepsWords(s.Estimate), Delta: s.delta(),
	}
}

// pairing is how entries are chosen; what models of other presets than paper and reference
// take where nothing is said.
func (s StitchingSettings) pairing() string {
	if strategy := cmp.Or(s.Pairing, pair.Crossings); strategy != pair.Crossings {
		return strategy
	}
	return fmt.Sprintf("%s, at most %d bridges", pair.Crossings, s.Hops)
}

// similarity is that of step estimation: none where the plan has chosen the entries,
// and Δ is a constant.
func (s StitchingSettings) similarity() string {
	if s.Estimate.Constant > 0 && s.Pairing == pair.Uniform {
		return "none"
	}
	similarity := s.Estimate.Similarity
	words := fmt.Sprintf("%s of %s states", similarity.Kind, map[string]string{
		estimate.Raw: "raw", estimate.Normalised: "normalised", estimate.Denoiser: "the denoiser's",
	}[similarity.Space])
	if s.Estimate.Threshold != 0 && s.Pairing != pair.Uniform {
		words += fmt.Sprintf(", one at random from %g on", s.Estimate.Threshold)
	}
	return words
}

func samplerWords(s diffusion.Sampler) string {
	words := s.Kind + ", all steps"
	if s.Steps > 0 {
		words = fmt.Sprintf("%s, %d steps", s.Kind, s.Steps)
	}
	if s.NoiseScale > 0 && s.NoiseScale != 1 {
		words += fmt.Sprintf(", noise × %g", s.NoiseScale)
	}
	if s.Variance != "" {
		words += ", variance " + s.Variance
	}
	return words
}

// stepsWords has i* for the step of the most similar imagined state.
func stepsWords(c estimate.Config) string {
	if c.Constant > 0 {
		return fmt.Sprintf("constant %d", c.Constant)
	}
	words := "i* − 1"
	if c.Argmax {
		words = "i*"
	}
	if c.MinSteps > 0 {
		words += fmt.Sprintf(", at least %d", c.MinSteps)
	}
	if c.MaxSteps > 0 {
		words += fmt.Sprintf(", at most %d", c.MaxSteps)
	}
	return words
}

func (s StitchingSettings) delta() string {
	d := s.Delta
	if d.Quantile > 0 && d.Value == 0 { // no model has settled it
		quantile := fmt.Sprintf("the %g quantile of "+heldOutError, d.Quantile)
		if d.WrongActions > 0 {
			quantile += ", or what few wrong actions change over √2, if that is less"
		}
		return quantile
	}
	if rounded, err := strconv.ParseFloat(fmt.Sprintf("%.4g", d.Value), 64); err == nil {
		d.Value = rounded
	}
	return d.String()
}
