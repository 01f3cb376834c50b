package training

import "slices"

// Method is a way to make more data: DiffStitch, or one of the baselines it is
// compared with.
type Method string

// The methods.
const (
	MethodDiffStitch Method = "diffstitch"
	MethodSynthER    Method = "synther" // Lu et al., 2023: whole transitions by diffusion
)

// Methods lists the methods, and what models each runs.
var (
	Methods = []Method{MethodDiffStitch, MethodSynthER}

	methodKinds = map[Method][]Kind{
		MethodDiffStitch: {Denoiser, InverseDynamics, Reward, Dynamics},
		MethodSynthER:    {SynthER},
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
