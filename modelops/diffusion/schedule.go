package diffusion

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// cosineOffset keeps the first steps' noise from vanishing (Nichol and Dhariwal
// 2021, equation 17).
const cosineOffset = 0.008

// maxBeta bounds a step's noise near the end of the schedule.
const maxBeta = 0.999

// signal is ᾱ of the cosine schedule, the share of the signal's variance left
// at each denoising step: signal(K)[k] for k = 0 … K-1, falling.
func signal(steps int) []float64 {
	f := func(step int) float64 {
		cos := math.Cos((float64(step)/float64(steps) + cosineOffset) / (1 + cosineOffset) * math.Pi / 2)
		return cos * cos
	}
	left := make([]float64, steps)
	product := 1.0
	for step := range left {
		beta := min(1-f(step+1)/f(step), maxBeta)
		product *= 1 - beta
		left[step] = product
	}
	return left
}

// Kinds of sampler.
const (
	DDPM = "ddpm" // ancestral sampling, the paper's (Ho et al. 2020)
	DDIM = "ddim" // deterministic, good in few steps (Song et al. 2021)
	DPM  = "dpm"  // DPM-Solver++(2M): deterministic, of second order (Lu et al. 2022)
)

// samplers lists the kinds.
var samplers = []string{DDPM, DDIM, DPM}

// Sampler says how to run the reverse process.
type Sampler struct {
	Kind  string `json:"kind"`            // ddpm, ddim or dpm
	Steps int    `json:"steps,omitempty"` // denoising steps taken, spread over K; 0 for all
	// NoiseScale multiplies the noise, the initial one too; 0 means 1.
	NoiseScale float64 `json:"noise_scale,omitempty"`
	// Variance of the noise that DDPM adds at each step: posterior, or beta; "" is
	// posterior.
	Variance string `json:"variance,omitempty"`
}

// Variances of DDPM, between which Ho et al. (2020, section 3.2) found no difference.
const (
	VariancePosterior = "posterior" // that of the step before, given the clean state: the authors' code
	VarianceBeta      = "beta"      // that of the noise the step takes off: the paper
)

// Validate tells what is wrong with the sampler for a denoiser of K steps.
func (s Sampler) Validate(denoisingSteps int) error {
	if !slices.Contains(samplers, s.Kind) {
		return fmt.Errorf("diffusion: unknown sampler %q: it is one of %s", s.Kind, strings.Join(samplers, ", "))
	}
	if s.Steps < 0 || s.Steps > denoisingSteps {
		return fmt.Errorf("diffusion: sampler takes %d steps of a denoiser of %d", s.Steps, denoisingSteps)
	}
	if s.NoiseScale < 0 {
		return fmt.Errorf("diffusion: noise scale must not be negative: %g", s.NoiseScale)
	}
	if !slices.Contains([]string{"", VariancePosterior, VarianceBeta}, s.Variance) {
		return fmt.Errorf("diffusion: unknown variance %q: it is posterior or beta", s.Variance)
	}
	if s.Kind != DDPM && s.Variance != "" {
		return fmt.Errorf("diffusion: the %s sampler adds no noise, whose variance is to be %s", s.Kind, s.Variance)
	}
	return nil
}

func (s Sampler) noiseScale() float64 {
	if s.NoiseScale == 0 {
		return 1
	}
	return s.NoiseScale
}

// update holds the coefficients of one reverse step at denoising step k, with
// which all samplers are the same two lines:
//
//	clean = (x - noiseShare·ε) / signalShare
//	x     ← fromClean·(clean + ahead·(clean - the clean of the step before)) + fromState·x + fresh·z, z ~ N(0, 1)
type update struct {
	step                    int
	signalShare, noiseShare float64 // √ᾱ and √(1-ᾱ)
	fromClean, fromState    float64
	ahead                   float64
	fresh                   float64
}

// updates lists the reverse steps, from the noisiest to the clean one.
func (s Sampler) updates(denoisingSteps int) []update {
	left := signal(denoisingSteps)
	steps := s.steps(denoisingSteps)
	list := make([]update, len(steps))
	for i, step := range steps {
		now, next := left[step], 1.0
		if i+1 < len(steps) {
			next = left[steps[i+1]]
		}
		u := update{step: step, signalShare: math.Sqrt(now), noiseShare: math.Sqrt(1 - now)}
		if s.Kind != DDPM {
			u.fromState = math.Sqrt((1 - next) / (1 - now))
			u.fromClean = math.Sqrt(next) - u.fromState*u.signalShare
			if s.Kind == DPM && i > 0 {
				u.ahead = ahead(left[steps[i-1]], now, next)
			}
		} else {
			alpha := now / next
			u.fromState = (1 - next) * math.Sqrt(alpha) / (1 - now)
			u.fromClean = (1 - alpha) * math.Sqrt(next) / (1 - now)
			u.fresh = s.noiseScale() * math.Sqrt(s.variance(now, next))
		}
		list[i] = u
	}
	return list
}

// ahead is by how much of what the clean state changed from ᾱ = before to ᾱ = now
// DPM-Solver++(2M) goes ahead in the step to ᾱ = next (Lu et al. 2022, algorithm 2):
// 1/(2r), r the ratio of the steps in half the logarithm of signal over noise. The step to
// the clean state, which is infinite, is DDIM's.
func ahead(before, now, next float64) float64 {
	if next == 1 {
		return 0
	}
	lambda := func(signal float64) float64 { return math.Log(signal/(1-signal)) / 2 }
	return (lambda(next) - lambda(now)) / (lambda(now) - lambda(before)) / 2
}

// variance of the noise that a DDPM step from ᾱ = now to ᾱ = next adds. The step to the
// clean state, next = 1, adds none.
func (s Sampler) variance(now, next float64) float64 {
	beta := 1 - now/next
	switch {
	case next == 1:
		return 0
	case s.Variance == VarianceBeta:
		return beta
	}
	return beta * (1 - next) / (1 - now)
}

// steps spreads the sampler's steps evenly over the denoiser's, the noisiest
// always among them.
func (s Sampler) steps(denoisingSteps int) []int {
	count := s.Steps
	if count == 0 {
		count = denoisingSteps
	}
	steps := make([]int, count)
	for i := range steps {
		steps[i] = denoisingSteps*(count-i)/count - 1
	}
	return steps
}
