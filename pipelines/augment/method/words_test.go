package method

import (
	"strings"
	"testing"

	"diffstitch/modelops/diffusion"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/qualify"

	"github.com/google/go-cmp/cmp"
)

func TestWords(t *testing.T) {
	tests := []struct {
		name   string
		change func(*StitchingSettings)
		want   StitchingWords
	}{
		{"defaults", func(*StitchingSettings) {}, StitchingWords{
			"reference", "distance of normalised states", "ddim, 20 steps", "estimated", "0 (the 0.99 quantile of the held-out dynamics error)",
		}},
		{"the paper's", func(s *StitchingSettings) {
			s.Pairing, s.Delta, s.Sampler = pair.Uniform, Delta{Value: 2}, diffusion.Sampler{Kind: diffusion.DDPM}
			s.Estimate.Similarity = estimate.Similarity{Kind: estimate.Cosine, Space: estimate.Raw}
		}, StitchingWords{"uniform", "cosine of raw states", "ddpm, all steps", "estimated", "2"}},
		{"without step estimation", func(s *StitchingSettings) {
			s.Pairing, s.Delta, s.Estimate.Constant = pair.Uniform, Delta{Value: 2}, 40
		}, StitchingWords{"uniform", "none", "ddim, 20 steps", "constant 40", "2"}},
		{"a constant at an entry that is imagined", func(s *StitchingSettings) {
			s.Delta, s.Estimate.Constant = Delta{Off: true}, 40
		}, StitchingWords{"reference", "distance of normalised states", "ddim, 20 steps", "constant 40", "off"}},
		{"the authors'", func(s *StitchingSettings) {
			s.Delta, s.Measure, s.Sampler = Delta{Value: 1.5}, qualify.Squared, diffusion.Sampler{Kind: diffusion.DDPM, NoiseScale: 0.5}
			s.Estimate = estimate.Config{Similarity: estimate.Similarity{Kind: estimate.Cosine, Space: estimate.Denoiser}, MinSteps: 9, MaxSteps: 38}
		}, StitchingWords{
			"reference", "cosine of the denoiser's states", "ddpm, all steps, noise × 0.5", "estimated from 9 to 38", "1.5 of the square, of the denoiser's states",
		}},
	}
	for _, test := range tests {
		s := defaultStitching()
		test.change(&s)
		if d := cmp.Diff(test.want, s.Words()); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
	}
}

// TestMeasureWithoutQuantile: the held-out errors are distances.
func TestMeasureWithoutQuantile(t *testing.T) {
	s := DefaultSettings()
	s.Measure = qualify.Squared
	if err := (stitching{}).Validate(s, 1, 64); err == nil {
		t.Error("a quantile of distances bounds squares")
	}
	s.Delta = Delta{Value: 1.5}
	if err := (stitching{}).Validate(s, 1, 64); err != nil {
		t.Error(err)
	}
}

// TestStepsBeyondTheHorizon names the flags that contradict a model.
func TestStepsBeyondTheHorizon(t *testing.T) {
	w := &Work{Settings: DefaultSettings()}
	w.Models.Horizon, w.Models.DenoisingSteps = 8, 100
	w.Settings.Estimate.Constant = 7
	err := (stitching{}).Settle(w)
	if err == nil || !strings.Contains(err.Error(), "--constant-steps") || !strings.Contains(err.Error(), "--horizon") {
		t.Errorf("a constant Δ of 7 in a horizon of 8: error %v", err)
	}
}
