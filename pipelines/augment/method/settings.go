package method

import (
	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/rank"
	tatu "diffstitch/transforms/rollout"
	"diffstitch/transforms/synthesize"
)

// Settings are those of all methods. Those of others than the run's are left out of
// what a run records.
type Settings struct {
	StitchingSettings
	SynthER synthesize.Config `json:"synther,omitzero"`
	TATU    tatu.Config       `json:"tatu,omitzero"`
}

// DefaultSettings are those that flags change.
func DefaultSettings() Settings {
	return Settings{StitchingSettings: defaultStitching(), TATU: tatu.DefaultConfig()}
}

// Of are the settings of one method alone, so that the run's configuration says what
// mattered.
func (s Settings) Of(name training.Method) Settings {
	if name != training.MethodDiffStitch {
		// Reading scores episodes all the same.
		s.StitchingSettings = StitchingSettings{Scoring: trajectory.Scoring{Kind: trajectory.ScoreReturn}}
	}
	if name != training.MethodSynthER {
		s.SynthER = synthesize.Config{}
	}
	if name != training.MethodTATU {
		s.TATU = tatu.Config{}
	}
	return s
}

// StitchingSettings are the settings of DiffStitch alone.
type StitchingSettings struct {
	Scoring trajectory.Scoring `json:"scoring,omitzero"`
	Pools   rank.Config        `json:"pools,omitzero"`
	// Pairing is a strategy of package pair; "" takes crossings, or with models of the
	// presets paper and reference the authors' retrieval.
	Pairing string `json:"pairing,omitempty"`
	// Hops is how many bridges a stitched episode has, at most, with crossings.
	Hops int `json:"hops,omitempty"`
	// Candidates is how many high-return states a batch chooses its entries from.
	Candidates int `json:"candidates,omitempty"`
	// MinLeft is how many steps of its episode an entry must have left.
	MinLeft  int32           `json:"min_left,omitempty"`
	Estimate estimate.Config `json:"estimate,omitzero"`

	Sampler diffusion.Sampler `json:"sampler,omitzero"`
	// GuidedReturn is what a denoiser guided by the return aims at, from 0 to 1, the
	// highest return-to-go in the data. Others ignore it.
	GuidedReturn float64 `json:"guided_return,omitempty"`
	// Refine is RefineOn or RefineOff; "" has the models decide, which refine where they
	// have nets for that.
	Refine string `json:"refine,omitempty"`
	Delta  Delta  `json:"delta,omitzero"`
	// MaxDisagreement, RejectTerminal, RequireGain and AcceptTies are those of
	// qualify.Config.
	MaxDisagreement float64 `json:"max_disagreement,omitempty"`
	RejectTerminal  bool    `json:"reject_terminal,omitempty"`
	RequireGain     bool    `json:"require_gain,omitempty"`
	AcceptTies      bool    `json:"accept_ties,omitempty"`
}

// Whether bridges are refined.
const (
	RefineOn  = "on"
	RefineOff = "off"
)

func defaultStitching() StitchingSettings {
	return StitchingSettings{
		Scoring:    trajectory.Scoring{Kind: trajectory.ScoreReturn},
		Pools:      rank.Config{Low: 0.7, High: 0.9},
		Hops:       3,
		Candidates: 2048,
		Estimate:   estimate.Config{Similarity: estimate.Similarity{Kind: estimate.Distance, Space: estimate.Normalised}},
		Sampler:    diffusion.Sampler{Kind: diffusion.DDIM, Steps: 20},
		// Near the top of the range that the authors' code uses.
		GuidedReturn: 0.9,
		Delta:        AutoDelta(),
	}
}
