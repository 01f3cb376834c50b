package study

import (
	"slices"
	"strings"

	"diffstitch/modelops/learners"
	"diffstitch/pipelines/augment/method"
)

// thresholds are the δ of an environment: what studies use, and what the study of
// δ compares, the smallest first.
type thresholds struct {
	usual    method.Delta
	compared []method.Delta
}

// paperEnvironments are those of the paper, by how the names of their settings begin.
var paperEnvironments = []string{"hopper", "halfcheetah", "walker2d", "pen"}

// thresholdsOf are the paper's own where it has the environment: one δ for all of its
// data, at which its Table 3 has the scores of its Table 1. The maze's are of its own
// scale, and others are quantiles of the dynamics model's held-out error.
func thresholdsOf(environment string) thresholds {
	if environment == Maze {
		return thresholds{usual: method.Delta{Value: 0.37}, compared: values(0.2, 0.37, 0.8, 1.6)}
	}
	preset := learners.PresetOf(environment)
	if slices.ContainsFunc(paperEnvironments, func(family string) bool { return strings.HasPrefix(preset, family) }) {
		return thresholds{usual: method.Delta{Value: 2}, compared: values(1, 2, 3, 4)}
	}
	return thresholds{usual: method.AutoDelta(), compared: quantiles(0.9, 0.99, 0.999, 1)}
}

func values(numbers ...float64) (deltas []method.Delta) {
	for _, v := range numbers {
		deltas = append(deltas, method.Delta{Value: v})
	}
	return deltas
}

func quantiles(numbers ...float64) (deltas []method.Delta) {
	for _, q := range numbers {
		deltas = append(deltas, method.Delta{Quantile: q})
	}
	return deltas
}
