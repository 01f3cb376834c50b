package gymnasium

import (
	"strings"

	"diffstitch/modelops/env"
)

// caveat goes with every score that D4RL's references make of these environments.
const caveat = "normalised by D4RL's reference returns, which were measured in its own environments (-v2 for locomotion): Gymnasium's differ, " +
	"so the scores compare with each other, not with published ones"

// family is what is known of the versions of an environment.
type family struct {
	prefix  string
	random  float64 // return of a random policy, by D4RL
	expert  float64
	targets []float64 // target returns of the Decision Transformer
}

var families = []family{
	{"Hopper-", -20.272305, 3234.3, []float64{3600, 1800}},
	{"HalfCheetah-", -280.178953, 12135.0, []float64{12000, 6000}},
	{"Walker2d-", 1.629008, 4592.3, []float64{5000, 2500}},
	{"AdroitHandPen-", 96.262799, 3076.8331017826877, []float64{3100, 1550}},
	{"PointMaze_UMaze-", 23.85, 161.86, []float64{280, 140}},
	{"PointMaze_Medium-", 13.13, 277.39, []float64{280, 140}},
	{"PointMaze_Large-", 6.7, 273.99, []float64{280, 140}},
}

// describe adds what Gymnasium does not know of an environment.
func describe(s *env.Spec) {
	for _, f := range families {
		if strings.HasPrefix(s.Name, f.prefix) {
			s.Reference = &env.Reference{Random: f.random, Expert: f.expert, Caveat: caveat}
			s.TargetReturns = f.targets
		}
	}
}
