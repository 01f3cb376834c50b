package study

import (
	"math"
	"strings"

	"diffstitch/modelops/learners"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment/method"
	"diffstitch/transforms/mix"
	"diffstitch/transforms/pair"
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
	usual.Pairing = method.DefaultPairing(models.Denoiser.Diffusion.Conditioning)
	if s.Study == Stitch { // what is accepted is to be true
		usual.Delta = method.AutoDelta()
	}
	switch s.Scale.Stitching {
	case asPaper:
		return Stitching{usual.AsPaper(), mix.EmitTrajectory}
	case asReference:
		horizon := models.Denoiser.Diffusion.UNet.Horizon
		return Stitching{usual.AsReference(authorsOf(s.LearnerSettings), horizon, models.Reward.Terminals), mix.EmitBridge}
	}
	return Stitching{usual, mix.EmitTrajectory}
}

// authors are the authors' files of settings, by data set. They have none of
// walker2d-medium-replay, which gets that of its neighbour, nor of pen.
var authors = map[string]method.Authors{
	"halfcheetah-medium":        {Delta: 1.5, Similarity: 0.9},
	"halfcheetah-medium-replay": {Delta: 1, Similarity: 0.9},
	"halfcheetah-medium-expert": {Delta: 1.5, Similarity: 0.9},
	"hopper-medium":             {Delta: 1.5, Similarity: 0.8},
	"hopper-medium-replay":      {Delta: 0.8, Similarity: 0.9},
	"hopper-medium-expert":      {Delta: 1, Similarity: 0.8},
	"walker2d-medium":           {Delta: 1.2, Similarity: 0.9},
	"walker2d-medium-expert":    {Delta: 1.2, Similarity: 0.9},
}

// authorsOf are those of the data set whose name is the longest that begins a name,
// and what most of the files have for other data.
func authorsOf(name string) method.Authors {
	longest, found := "", method.Authors{Delta: 1.5, Similarity: 0.9}
	for dataset, settings := range authors {
		if strings.HasPrefix(name, dataset) && len(dataset) > len(longest) {
			longest, found = dataset, settings
		}
	}
	return found
}

// deltasOf are those that the study of δ compares: at the authors' settings, all that
// their files have, which bound squares.
func deltasOf(s Settings) (deltas []method.Delta) {
	if s.Scale.Stitching != asReference {
		return thresholdsOf(s.Env).compared
	}
	for _, square := range []float64{0.8, 1, 1.2, 1.5} {
		deltas = append(deltas, method.Delta{Value: math.Sqrt(square), Normalised: true})
	}
	return deltas
}

// part is DiffStitch with some of what it has beyond the paper.
type part struct {
	name     string
	settings Stitching
}

// partsOf are the paper's way and its changes, alone and together. Where nothing is
// refined, so little passes a δ that asks for truth that the usual one has a row, too.
func partsOf(all Stitching) []part {
	with := func(pairing string, hops int, refine string) Stitching {
		s := all
		s.Pairing, s.Hops, s.Refine = pairing, hops, refine
		return s
	}
	literal, unrefined := all, with(pair.Crossings, all.Hops, method.RefineOff)
	literal.StitchingSettings = all.AsPaper()
	return []part{
		{"as the paper has it", literal},
		loose("as the paper has it", literal),
		{"crossings", with(pair.Crossings, 1, method.RefineOff)},
		{"crossings, hops", unrefined},
		loose("crossings, hops", unrefined),
		{"refinement", with(pair.Reference, 1, method.RefineOn)},
		{"crossings, refinement", with(pair.Crossings, 1, method.RefineOn)},
		{"crossings, hops, refinement", with(pair.Crossings, all.Hops, method.RefineOn)},
	}
}

// loose is a part at the δ that other studies of the maze have.
func loose(name string, s Stitching) part {
	s.Delta = thresholdsOf(Maze).usual
	return part{name + ", " + deltaLabel(s.Delta), s}
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
