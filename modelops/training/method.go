package training

import (
	"fmt"
	"slices"
)

// Method is a way to make more data: DiffStitch, or one of the baselines it is
// compared with.
type Method string

// The methods.
const (
	MethodDiffStitch Method = "diffstitch"
	MethodSynthER    Method = "synther" // Lu et al., 2023: whole transitions by diffusion
	MethodTATU       Method = "tatu"    // Zhang et al., 2023: truncated rollouts of an ensemble
)

// Methods lists the methods, and what models each runs.
var (
	Methods = []Method{MethodDiffStitch, MethodSynthER, MethodTATU}

	methodKinds = map[Method][]Kind{
		MethodDiffStitch: {Denoiser, InverseDynamics, Reward, Dynamics},
		MethodSynthER:    {SynthER},
		MethodTATU:       {Reward, Dynamics, RolloutPolicy},
	}
)

// KindsOf are the models that methods run, in the order of Kinds.
func KindsOf(methods ...Method) (kinds []Kind) {
	for _, kind := range Kinds {
		if slices.ContainsFunc(methods, func(m Method) bool { return slices.Contains(methodKinds[m], kind) }) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// The ensemble that TATU rolls out in, which is DiffStitch's reference too.
const ensembleNets, ensembleElites = 7, 5

// For is the configuration with what methods ask of the models that they share:
// TATU needs an ensemble, and to know where its rollouts end.
func (c Config) For(methods ...Method) Config {
	if slices.Contains(methods, MethodTATU) {
		c.Dynamics.Members, c.Dynamics.Elites = ensembleNets, ensembleElites
		c.Reward.Terminals = true
	}
	return c
}

// Validate reports a method that there is not.
func (m Method) Validate() error {
	if !slices.Contains(Methods, m) {
		return fmt.Errorf("unknown method %q: it is one of %v", m, Methods)
	}
	return nil
}
