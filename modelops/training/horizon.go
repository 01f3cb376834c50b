package training

import "fmt"

// leastHorizon is the first at which a window has a bridge to learn: s_T, a hidden
// state, s′_1, and the last, which is always hidden (equation 12).
const leastHorizon = 4

// WithHorizon is the configuration with windows of so many states for the denoiser,
// in place of the preset's.
func (c Config) WithHorizon(states int) (Config, error) {
	if states < leastHorizon {
		return c, fmt.Errorf("training: a window of %d states has no room for a bridge: take %d or more", states, leastHorizon)
	}
	c.Denoiser.Diffusion.UNet.Horizon = states
	return c, nil
}
