package nets

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// UNetConfig is the shape of the temporal U-Net.
type UNetConfig struct {
	StateDim     int   `json:"state_dim"`     // S, numbers in a state
	ConditionDim int   `json:"condition_dim"` // C, numbers in a position's condition
	Horizon      int   `json:"horizon"`       // H, states in a window
	Channels     int   `json:"channels"`      // channels of the first level
	Multipliers  []int `json:"multipliers"`   // each level's channels, in units of Channels
	Kernel       int   `json:"kernel"`        // taps of a convolution, odd
	Groups       int   `json:"groups"`        // groups of the normalisation
	// WithReturn makes the net take a return that guides the denoising.
	WithReturn bool `json:"with_return,omitempty"`
}

// Validate tells what is wrong with the configuration.
func (c UNetConfig) Validate() error {
	if c.StateDim < 1 || c.ConditionDim < 0 || c.Horizon < 2 || c.Channels < 2 || len(c.Multipliers) == 0 {
		return fmt.Errorf("nets: U-Net: state_dim, horizon, channels and multipliers must be set: %+v", c)
	}
	if c.Kernel < 1 || c.Kernel%2 == 0 {
		return fmt.Errorf("nets: U-Net: kernel must be odd, not %d", c.Kernel)
	}
	if c.Channels%2 != 0 {
		return fmt.Errorf("nets: U-Net: channels must be even, not %d", c.Channels)
	}
	for _, multiplier := range c.Multipliers {
		if multiplier < 1 || c.Groups < 1 || c.Channels*multiplier%c.Groups != 0 {
			return fmt.Errorf("nets: U-Net: %d channels × %d can't be cut into %d groups", c.Channels, multiplier, c.Groups)
		}
	}
	return nil
}

// paddedHorizon is the horizon rounded up so that every level halves evenly.
func (c UNetConfig) paddedHorizon() int {
	multiple := 1 << (len(c.Multipliers) - 1)
	return (c.Horizon + multiple - 1) / multiple * multiple
}

// UNetInputs are what the U-Net denoises.
type UNetInputs struct {
	X         *Node // [batch, horizon, stateDim], noisy states
	Condition *Node // [batch, horizon, conditionDim]
	Step      *Node // [batch] int32, the denoising step
	// Return and Guided are nil unless the net was made WithReturn.
	Return *Node // [batch], normalised return
	Guided *Node // [batch], 1 where the return is to be heard, 0 where not
}

// UNet predicts the noise in X: residual temporal blocks at a horizon halved
// from level to level, and back up with skip connections (Janner et al. 2022).
//
//	result: [batch, horizon, stateDim]
func UNet(scope *model.Scope, cfg UNetConfig, in UNetInputs) *Node {
	check(cfg.Validate())
	in.X.AssertDims(-1, cfg.Horizon, cfg.StateDim)
	in.Condition.AssertDims(-1, cfg.Horizon, cfg.ConditionDim)

	top := signals{horizon: cfg.paddedHorizon(), gap: cfg.Kernel / 2}
	x := top.extend(TransposeAllAxes(Concatenate([]*Node{in.X, in.Condition}, -1), 2, 1, 0))
	u := unet{cfg: cfg, step: stepEmbedding(scope.At("step"), cfg, in)}
	x = u.levels(scope, top, x, 0)
	x = u.convNormMish(scope.At("head"), top, x, cfg.Channels, nil)
	x = top.crop(pointwise(scope.At("output"), x, cfg.StateDim))
	x = addColumn(x, biasVariable(scope.At("output"), cfg.StateDim, 1).NodeValue(x))
	return TransposeAllAxes(SliceAxis(x, 1, AxisRange(0, cfg.Horizon)), 2, 1, 0)
}

// unet carries what every block needs.
type unet struct {
	cfg  UNetConfig
	step *Node // [channels, batch], the embedded denoising step
}

// levels descends from one level to the deepest and comes back up to it.
//
//	x:      [inChannels, length, batch], zero on the gap
//	result: [channels of the level, length, batch], zero on the gap
func (u unet) levels(scope *model.Scope, s signals, x *Node, level int) *Node {
	channels := u.cfg.Channels * u.cfg.Multipliers[level]
	here := scope.At("level_%d", level)
	x = u.residual(here.At("down_0"), s, x, channels)
	x = u.residual(here.At("down_1"), s, x, channels)
	if level == len(u.cfg.Multipliers)-1 {
		x = u.residual(here.At("middle_0"), s, x, channels)
		return u.residual(here.At("middle_1"), s, x, channels)
	}
	below := s.halve(here.At("halve"), x, channels)
	below = u.levels(scope, s.half(), below, level+1)
	below = s.double(here.At("double"), below, channels)
	x = Concatenate([]*Node{below, x}, 0)
	x = u.residual(here.At("up_0"), s, x, channels)
	return u.residual(here.At("up_1"), s, x, channels)
}

// residual convolves over the horizon twice, conditioned on the denoising step.
//
//	x:      [inChannels, length, batch], zero on the gap
//	result: [channels, length, batch], zero on the gap
func (u unet) residual(scope *model.Scope, s signals, x *Node, channels int) *Node {
	step := columns(scope.At("step"), u.step, channels)
	h := u.convNormMish(scope.At("conv_0"), s, x, channels, step)
	h = u.convNormMish(scope.At("conv_1"), s, h, channels, nil)
	if x.Shape().Dim(0) != channels {
		x = pointwise(scope.At("skip"), x, channels)
	}
	return Add(h, x)
}

// convNormMish is one convolution, its normalisation and its activation. The
// embedded step is added to the normalised channels, where it costs nothing:
// it joins the normalisation's own shift.
//
//	x:      [inChannels, length, batch], zero on the gap
//	step:   [channels, batch], or nil
//	result: [channels, length, batch], zero on the gap
func (u unet) convNormMish(scope *model.Scope, s signals, x *Node, channels int, step *Node) *Node {
	x = s.convolve(scope, x, channels, u.cfg.Kernel)
	return Mish(s.groupNorm(scope.At("norm"), x, u.cfg.Groups, step))
}
