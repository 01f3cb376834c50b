package method

import (
	"strings"
	"testing"

	"diffstitch/transforms/pair"

	"github.com/google/go-cmp/cmp"
)

func TestWords(t *testing.T) {
	tests := []struct {
		name   string
		change func(*StitchingSettings)
		want   StitchingWords
	}{
		{"defaults", func(*StitchingSettings) {}, StitchingWords{
			"crossings, at most 3 bridges", "distance of normalised states", "ddim, 20 steps", "i* − 1", "the 0.99 quantile of the worst dynamics error in 10 held-out steps, or what few wrong actions change over √2, if that is less",
		}},
		{"the paper's", func(s *StitchingSettings) { *s = s.AsPaper(); s.Delta = Delta{Value: 2} }, StitchingWords{
			"uniform", "cosine of raw states", "ddpm, all steps, variance beta", "i*", "2",
		}},
		{"without step estimation", func(s *StitchingSettings) {
			s.Pairing, s.Delta, s.Estimate.Constant = pair.Uniform, Delta{Value: 2}, 40
		}, StitchingWords{"uniform", "none", "ddim, 20 steps", "constant 40", "2"}},
		{"a constant at an entry that is imagined", func(s *StitchingSettings) {
			s.Delta, s.Estimate.Constant = Delta{Off: true}, 40
		}, StitchingWords{"crossings, at most 3 bridges", "distance of normalised states", "ddim, 20 steps", "constant 40", "off"}},
		{"the authors'", func(s *StitchingSettings) { *s = s.AsReference(Authors{Delta: 2.25, Similarity: 0.9}, 100, true) }, StitchingWords{
			"reference", "cosine of the denoiser's states, one at random from 0.9 on", "ddpm, all steps, noise × 0.5",
			"i* − 1, at least 9, at most 38", "1.5 standard deviations",
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

// TestRefinementByTheModels has them decide where nothing is said.
func TestRefinementByTheModels(t *testing.T) {
	for _, test := range []struct {
		asked    string
		refiners int
		want     string
	}{{"", 0, RefineOff}, {"", 2, RefineOn}, {RefineOff, 2, RefineOff}, {RefineOn, 0, RefineOn}} {
		w := &Work{Settings: DefaultSettings()}
		w.Models.Horizon, w.Models.DenoisingSteps, w.Models.Refiners = 8, 100, test.refiners
		w.Settings.Refine, w.Settings.Delta = test.asked, Delta{Value: 1}
		if err := (stitching{}).Settle(w); err != nil || w.Settings.Refine != test.want || w.Session.Refine != (test.want == RefineOn) {
			t.Errorf("%q with %d nets that refine: %q, error %v", test.asked, test.refiners, w.Settings.Refine, err)
		}
	}
}

// TestRolloutsInOneNet have none to disagree with.
func TestRolloutsInOneNet(t *testing.T) {
	w := &Work{}
	w.Models.DynamicsNets = 1
	if err := (rolling{}).Settle(w); err == nil || !strings.Contains(err.Error(), "is one net") {
		t.Errorf("error %v", err)
	}
}

// TestDisagreementOfOneNet is asked for in vain.
func TestDisagreementOfOneNet(t *testing.T) {
	w := &Work{Settings: DefaultSettings()}
	w.Models.Horizon, w.Models.DenoisingSteps, w.Models.DynamicsNets = 8, 100, 1
	w.Settings.Delta, w.Settings.MaxDisagreement = Delta{Value: 1}, 0.1
	if err := (stitching{}).Settle(w); err == nil || !strings.Contains(err.Error(), "--max-disagreement") {
		t.Errorf("error %v", err)
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
