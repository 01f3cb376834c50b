package study

import (
	"fmt"
	"strings"

	"diffstitch/pipelines/augment/method"
)

// Scale is how large a study is, where the options do not say.
type Scale struct {
	Name         string         `json:"name"`
	Preset       string         `json:"preset"`        // of the models
	MazeEpisodes int            `json:"maze_episodes"` // of the built-in data
	Stitches     int64          `json:"stitches"`      // that DiffStitch attempts
	Transitions  int64          `json:"transitions"`   // that each baseline adds
	Updates      map[string]int `json:"updates"`       // by learner
	// GoUpdates are those on the pure-Go backend, where it has fewer.
	GoUpdates map[string]int `json:"-"`
	// TinyLearners have small nets and fast schedules in place of CORL's.
	TinyLearners bool `json:"tiny_learners"`
	Seeds        int  `json:"seeds"`
	Episodes     int  `json:"episodes"` // that each seed's policy is scored over
}

// Scales are what --scale names.
var Scales = []Scale{
	{
		Name: "small", Preset: "tiny", MazeEpisodes: 500, Stitches: 512, Transitions: 20_000,
		TinyLearners: true, Seeds: 3, Episodes: 20,
		Updates: map[string]int{IQL: 12_000, TD3BC: 30_000, DT: 4000}, GoUpdates: map[string]int{IQL: 1500, TD3BC: 3000, DT: 200},
	},
	{
		Name: "paper", Preset: "paper", MazeEpisodes: 5000, Stitches: 10_000, Transitions: 5_000_000,
		Updates: map[string]int{IQL: 1_000_000, TD3BC: 1_000_000, DT: 50_000}, Seeds: 5, Episodes: 100,
	},
}

func scaleOf(name string) (Scale, error) {
	var names []string
	for _, s := range Scales {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scale{}, fmt.Errorf("no scale %q: it is one of %s", name, strings.Join(names, ", "))
}

// thresholds are the δ of an environment: what studies use, and what the study of
// δ compares, the smallest first.
type thresholds struct {
	usual    method.Delta
	compared []method.Delta
}

// paperEnvironments are those of the paper, by how their names begin.
var paperEnvironments = []string{"hopper", "halfcheetah", "walker2d", "adroithandpen"}

// thresholdsOf are the paper's own where it has the environment; the maze's are of
// its own scale, and others are quantiles of the dynamics model's held-out error.
func thresholdsOf(environment string) thresholds {
	if environment == Maze {
		return thresholds{usual: method.Delta{Value: 0.37}, compared: values(0.2, 0.37, 0.8, 1.6)}
	}
	for _, family := range paperEnvironments {
		if strings.HasPrefix(strings.ToLower(environment), family) {
			return thresholds{usual: method.Delta{Value: 2}, compared: values(1, 2, 3, 4)}
		}
	}
	return thresholds{usual: method.Delta{Quantile: method.DefaultQuantile}, compared: quantiles(0.9, 0.99, 0.999, 1)}
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

// ratios of original to augmented rows that the study of ratios compares (Table 2 of
// the paper).
var ratios = []string{"0:1", "1:2", "1:1", "2:1", "4:1", allOriginal}

const (
	// allOriginal has a learner draw from D alone.
	allOriginal = "1:0"
	// usualRatio is that at which the paper's Table 2 has the scores of its Table 1.
	usualRatio = "4:1"
)

// ratioOf is the ratio at which a method's data is learnt from: TATU's authors
// draw 70 % of a batch from D, SynthER's is half and half.
func ratioOf(method string) string {
	switch method {
	case Original:
		return allOriginal
	case SynthER:
		return "1:1"
	case TATU:
		return "7:3"
	}
	return usualRatio
}

// sampleShare is the share of the episodes in the study of small data (Table 4).
const sampleShare = 0.2

// paperConstant is the constant Δ of the paper's ablation, of a horizon of
// paperHorizon states; other horizons get the same share.
const paperConstant, paperHorizon = 40, 100

func constantSteps(horizon int) int { return max(1, paperConstant*horizon/paperHorizon) }
