// Package edm is the diffusion of flat rows of values after Karras et al. (2022,
// "Elucidating the Design Space of Diffusion-Based Generative Models"), as
// SynthER (Lu et al., 2023, arXiv 2303.06614) uses it on whole transitions: the
// preconditioning, the training noise, and the stochastic Heun sampler. Tables,
// algorithms and equations that are cited are Karras et al.'s.
//
// Rows are normalised: each of their values has a standard deviation of about 1.
package edm

import (
	"fmt"

	"diffstitch/modelops/nets"
)

// The constants of the method, which are SynthER's too.
const (
	dataDeviation = 1.0 // σ_data

	// Training noise is log-normal: ln σ ~ N(logMean, logDeviation²).
	logMean, logDeviation = -1.2, 1.2

	// The sampler's noise levels, equation 5.
	leastNoise, mostNoise = 0.002, 80.0
	curvature             = 7.0 // ρ

	// Stochasticity, algorithm 2: while σ is within [churnFrom, churnTo], noise is
	// added before a step.
	churn              = 80.0 // S_churn
	churnFrom, churnTo = 0.05, 50.0
	churnScale         = 1.003 // S_noise
)

// Config describes a denoiser of rows.
type Config struct {
	Net nets.ResidualConfig `json:"net"`
	// Steps is how many steps its sampler takes where nothing else is said.
	Steps int `json:"steps"`
}

// Validate tells what is wrong with the configuration.
func (c Config) Validate() error {
	if err := c.Net.Validate(); err != nil {
		return fmt.Errorf("edm: %w", err)
	}
	return ValidateSteps(c.Steps)
}

// ValidateSteps tells whether a sampler can take so many steps.
func ValidateSteps(steps int) error {
	if steps < 2 {
		return fmt.Errorf("edm: a sampler of %d steps: at least 2 are needed", steps)
	}
	return nil
}
