package study

import (
	"fmt"
	"strings"
)

// Scale is how large a study is, where the options do not say.
type Scale struct {
	Name   string `json:"name"`
	Preset string `json:"preset"` // of the models
	// Horizon is the denoiser's in place of the preset's; 0 keeps that.
	Horizon int `json:"horizon,omitempty"`
	// Stitching is whose settings DiffStitch has: ours, paper or reference.
	Stitching    string `json:"stitching"`
	MazeEpisodes int    `json:"maze_episodes"` // of the built-in data
	// Stitches are those that DiffStitch attempts; where they are 0, it goes on until
	// it has made so many transitions as Generated says.
	Stitches    int64 `json:"stitches,omitempty"`
	Generated   int64 `json:"generated,omitempty"`
	Transitions int64 `json:"transitions"` // that each baseline adds
	// Updates are by learner; those of its settings for the environment where there
	// are none.
	Updates map[string]int `json:"updates"`
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
		Name: "small", Preset: "tiny", Stitching: ours, MazeEpisodes: 500, Stitches: 512, Transitions: 20_000,
		TinyLearners: true, Seeds: 3, Episodes: 20,
		Updates: map[string]int{IQL: 12_000, TD3BC: 30_000, DT: 4000}, GoUpdates: map[string]int{IQL: 1500, TD3BC: 3000, DT: 200},
	},
	{
		Name: "paper", Preset: "paper", Stitching: asPaper, MazeEpisodes: 5000, Stitches: 10_000, Transitions: 5_000_000,
		Seeds: 5, Episodes: 100,
	},
	{
		Name: "reference", Preset: "reference", Stitching: asReference, MazeEpisodes: 5000, Generated: 2_000_000, Transitions: 5_000_000,
		Seeds: 5, Episodes: 100,
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

// ratios of original to augmented rows that the study of ratios compares (Table 2 of
// the paper).
var ratios = []string{"0:1", "1:2", "1:1", "2:1", "4:1", allOriginal}

const (
	// allOriginal has a learner draw from D alone.
	allOriginal = "1:0"
	// usualRatio is that at which the paper's Table 2 has the scores of its Table 1.
	usualRatio = "4:1"
	// stitchRatio has most of what is learnt lead from one corridor of the maze to another.
	stitchRatio = "1:4"
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
