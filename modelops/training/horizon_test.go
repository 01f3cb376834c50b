package training

import (
	"strings"
	"testing"
)

// TestWithHorizon changes the window of a preset and nothing else, and refuses one
// without room for a bridge.
func TestWithHorizon(t *testing.T) {
	for _, name := range PresetNames {
		cfg, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		before := cfg.Denoiser.Diffusion.UNet.Horizon
		for states, fits := range map[int]bool{-1: false, 0: false, 3: false, 4: true, 55: true} {
			changed, err := cfg.WithHorizon(states)
			if fits != (err == nil) || err != nil && !strings.Contains(err.Error(), "take 4 or more") {
				t.Errorf("%s with windows of %d states: error %v", name, states, err)
			}
			if got := changed.Denoiser.Diffusion.UNet.Horizon; fits && got != states || !fits && got != before {
				t.Errorf("%s with windows of %d states has %d", name, states, got)
			}
		}
	}
}
