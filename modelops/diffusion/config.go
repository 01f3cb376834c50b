// Package diffusion is the denoising diffusion of states (sections 3.1 and 3.2
// of the paper): the noise schedule, the conditioning on known states, the
// training masks and loss of equation 12, and the samplers.
package diffusion

import (
	"fmt"
	"slices"

	"diffstitch/modelops/nets"
)

// Conditioning is how the known states are shown to the net.
type Conditioning string

const (
	// ConditionZeros shows the known states with zeros between them, as the paper does.
	ConditionZeros Conditioning = "zeros"
	// ConditionInterpolated shows lines from each known state to the next over the hidden
	// positions, flat before the first and after the last.
	ConditionInterpolated Conditioning = "interpolated"
	// ConditionDeviation shows the same lines, and denoises the deviations from
	// them instead of the states. Next to a known state a deviation is small, so
	// that even a briefly trained net goes on from it without a jump.
	ConditionDeviation Conditioning = "deviation"
)

// Validate reports an unknown conditioning.
func (c Conditioning) Validate() error {
	if !slices.Contains([]Conditioning{ConditionZeros, ConditionInterpolated, ConditionDeviation}, c) {
		return fmt.Errorf("diffusion: unknown conditioning %q: it is zeros, interpolated or deviation", c)
	}
	return nil
}

// Config describes a denoiser.
type Config struct {
	UNet           nets.UNetConfig `json:"unet"`
	DenoisingSteps int             `json:"denoising_steps"` // K
	Conditioning   Conditioning    `json:"conditioning"`
	// Masks is which states the training shows.
	Masks Masks `json:"masks"`
	// Loss is which positions it counts; "" is LossHidden.
	Loss Counted `json:"loss,omitempty"`
	// Margin is how far past the data's range the predicted clean states may lie before
	// they are clipped, in each dimension, as a share of the range's width.
	Margin float64 `json:"margin"`
	// Guidance is nil without guidance by the return.
	Guidance *Guidance `json:"guidance,omitempty"`
}

// Guidance is classifier-free guidance by the return of a window.
type Guidance struct {
	// Dropout is the share of training windows that hide their return.
	Dropout float64 `json:"dropout"`
	// Weight of the guided prediction in sampling: 0 ignores the return, 1
	// follows it, more exaggerates it.
	Weight float64 `json:"weight"`
}

// NewConfig completes the net's shape by what the diffusion asks of it: the
// condition's width, and the room for the return.
func NewConfig(unet nets.UNetConfig, cfg Config) Config {
	unet.ConditionDim = unet.StateDim + 1
	unet.WithReturn = cfg.Guidance != nil
	cfg.UNet = unet
	return cfg
}

// Validate tells what is wrong with the configuration.
func (c Config) Validate() error {
	if err := c.UNet.Validate(); err != nil {
		return fmt.Errorf("diffusion: %w", err)
	}
	if c.UNet.ConditionDim != c.UNet.StateDim+1 {
		return fmt.Errorf("diffusion: condition_dim must be state_dim + 1 = %d, not %d", c.UNet.StateDim+1, c.UNet.ConditionDim)
	}
	if c.DenoisingSteps < 2 {
		return fmt.Errorf("diffusion: denoising_steps must be at least 2, not %d", c.DenoisingSteps)
	}
	if err := c.Conditioning.Validate(); err != nil {
		return err
	}
	if c.Masks != TwoHidden && c.Masks != OneKnown {
		return fmt.Errorf("diffusion: unknown masks %q: they are two_hidden or one_known", c.Masks)
	}
	if err := c.Loss.Validate(); err != nil {
		return err
	}
	if !(c.Margin >= 0) {
		return fmt.Errorf("diffusion: margin must not be negative: %g", c.Margin)
	}
	return c.validateGuidance()
}

func (c Config) validateGuidance() error {
	if c.UNet.WithReturn != (c.Guidance != nil) {
		return fmt.Errorf("diffusion: with_return and guidance go together")
	}
	if c.Guidance != nil && (c.Guidance.Dropout < 0 || c.Guidance.Dropout > 1) {
		return fmt.Errorf("diffusion: guidance dropout must be within [0, 1], not %g", c.Guidance.Dropout)
	}
	return nil
}
