package method

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/transforms/estimate"
)

// Delta is the threshold of the qualification.
type Delta struct {
	Off bool `json:"off,omitempty"`
	// Quantile, if positive, sets δ to that quantile of the dynamics model's largest
	// error on held-out real stretches: as many of those would be kept.
	Quantile float64 `json:"quantile,omitempty"`
	// WrongActions, if positive, bounds δ by what another transition's action changes at
	// most in that share of the real transitions, by the dynamics model, over √2: a bridge
	// that is off by more could as well have wrong actions, and the error of the model that
	// says so comes on top, about as large and in a direction of its own.
	WrongActions float64 `json:"wrong_actions,omitempty"`
	Value        float64 `json:"value,omitempty"` // in the units of the observations
	// Normalised has errors measured in standard deviations of the observations, and the
	// value too.
	Normalised bool `json:"normalised,omitempty"`
}

// The spaces in which errors are measured.
const (
	SpaceRaw        = estimate.Raw
	SpaceNormalised = estimate.Normalised
)

// In is δ in a space.
func (d Delta) In(space string) (Delta, error) {
	if space != SpaceRaw && space != SpaceNormalised {
		return d, fmt.Errorf("δ in the space %q: want %s or %s", space, SpaceRaw, SpaceNormalised)
	}
	d.Normalised = space == SpaceNormalised
	return d, nil
}

// heldOutError is what δ may be a quantile of.
var heldOutError = fmt.Sprintf("the worst dynamics error in %d held-out steps", training.StretchSteps)

// settled is δ by a dynamics model: the quantile or the bound, whichever is less, alone.
func (d Delta) settled(models session.Info) Delta {
	if d.Quantile <= 0 {
		return d
	}
	d.Value = d.at(models.StretchError, d.Quantile)
	effect := models.Models[training.Dynamics].Details.ActionEffect
	if d.WrongActions > 0 && effect != nil { // models of earlier versions don't say
		if bound := d.at(*effect, d.WrongActions) / math.Sqrt2; bound > 0 && bound < d.Value {
			d.Value, d.Quantile = bound, 0
			return d
		}
	}
	d.WrongActions = 0
	return d
}

func (d Delta) at(errors training.ErrorQuantiles, share float64) float64 {
	if d.Normalised {
		return errors.QuantileNormalized(share)
	}
	return errors.Quantile(share)
}

// AutoDelta is what "auto" means.
func AutoDelta() Delta { return Delta{Quantile: 0.99, WrongActions: 0.05} }

// ParseDelta reads "auto", "auto:0.99", "off" or a number.
func ParseDelta(s string) (Delta, error) {
	name, quantile, given := strings.Cut(s, ":")
	switch {
	case s == "off":
		return Delta{Off: true}, nil
	case s == "auto":
		return AutoDelta(), nil
	case name == "auto" && given:
		q, err := strconv.ParseFloat(quantile, 64)
		if err != nil || !(q > 0 && q <= 1) {
			return Delta{}, fmt.Errorf("δ %q: the quantile must lie in (0, 1]", s)
		}
		return Delta{Quantile: q}, nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return Delta{}, fmt.Errorf("δ %q is none: want auto, auto:QUANTILE, off or a positive number", s)
	}
	return Delta{Value: v}, nil
}

// Passed says what accepted attempts had to pass, where there is anything.
func (d Delta) Passed() string {
	if d == (Delta{}) {
		return ""
	}
	return fmt.Sprintf(" δ = %v", d)
}

func (d Delta) String() string {
	unit := ""
	if d.Normalised {
		unit = " standard deviations"
	}
	switch {
	case d.Off:
		return "off"
	case d.Quantile == 0 && d.WrongActions > 0:
		return fmt.Sprintf("%.4g%s (what one in %.0f wrong actions changes at most, over √2)", d.Value, unit, 1/d.WrongActions)
	case d.Quantile > 0:
		return fmt.Sprintf("%.4g%s (the %g quantile of "+heldOutError+")", d.Value, unit, d.Quantile)
	}
	return fmt.Sprintf("%g%s", d.Value, unit)
}
