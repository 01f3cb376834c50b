package study

import (
	"strings"

	"diffstitch/modelops/learners"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment/method"
	"diffstitch/transforms/mix"
)

// Whose settings DiffStitch has in a study.
const (
	ours        = "ours"      // the defaults of augment
	asPaper     = "paper"     // section 4 read literally
	asReference = "reference" // the authors' code, where it differs
)

// Stitching are the settings of an augmentation by DiffStitch.
type Stitching struct {
	method.StitchingSettings
	Emit string `json:"emit"` // one of mix's
}

// stitchingOf are DiffStitch's settings before a study changes one of them.
func stitchingOf(s Settings, models training.Config) Stitching {
	usual := method.DefaultSettings().StitchingSettings
	usual.Delta = thresholdsOf(s.Env).usual
	switch s.Scale.Stitching {
	case asPaper:
		return Stitching{usual.AsPaper(), mix.EmitTrajectory}
	case asReference:
		horizon := models.Denoiser.Diffusion.UNet.Horizon
		return Stitching{usual.AsReference(authorsDelta(s.LearnerSettings), horizon, models.Reward.Terminals), mix.EmitBridge}
	}
	return Stitching{usual, mix.EmitTrajectory}
}

// authorsDeltas are those of the authors' files of settings, by data set. They have
// none of walker2d-medium-replay, which gets that of its neighbours, nor of pen.
var authorsDeltas = map[string]float64{
	"halfcheetah-medium": 1.5, "halfcheetah-medium-replay": 1, "halfcheetah-medium-expert": 1.5,
	"hopper-medium": 1.5, "hopper-medium-replay": 0.8, "hopper-medium-expert": 1,
	"walker2d-medium": 1.2, "walker2d-medium-expert": 1.2,
}

// authorsUsual is most of the authors' δ, for other data.
const authorsUsual = 1.5

// authorsDelta is the δ of the data set whose name is the longest that begins a name.
func authorsDelta(name string) float64 {
	longest, delta := "", float64(authorsUsual)
	for dataset, value := range authorsDeltas {
		if strings.HasPrefix(name, dataset) && len(dataset) > len(longest) {
			longest, delta = dataset, value
		}
	}
	return delta
}

// deltasOf are those that the study of δ compares.
func deltasOf(s Settings) []method.Delta {
	if s.Scale.Stitching == asReference {
		return values(0.8, 1, 1.2, 1.5) // all that the authors' files have
	}
	return thresholdsOf(s.Env).compared
}

// paperConstant is the constant Δ of the paper's ablation; horizons other than the
// paper's get the same share.
const paperConstant = 40

func constantSteps(horizon int) int { return max(1, method.OfHorizon(paperConstant, horizon)) }

// penHorizon is the denoiser's on pen, in the paper.
const penHorizon = 55

// horizonOf is what a scale has in place of its preset's horizon; 0 for nothing.
func horizonOf(scale Scale, learnerSettings string) int {
	if scale.Stitching != ours && learners.PresetOf(learnerSettings) == "pen" {
		return penHorizon
	}
	return 0
}
