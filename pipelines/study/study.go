// Package study runs the experiments of the paper's evaluation (section 5), each as
// one plan of steps: datasets, models, augmented datasets, and cells, in which a
// learner trains on a dataset and is scored.
//
// A step is known by a key that comes of its settings and of the keys of what it
// builds on, and lives in a folder of that name. Studies that share steps share
// their folders, and a study that was interrupted, or is asked for again with more
// in it, goes on with what is missing.
//
//	OUT/steps/KEY/        a step's output, and step.json once it is finished
//	OUT/STUDY/index.html  the study's page
//	OUT/STUDY/study.json  all that the page is drawn from
package study

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/env/pointmaze"
	"diffstitch/modelops/learners"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// The studies.
const (
	Main     = "main"     // methods against each other (Table 1)
	Ratio    = "ratio"    // original to augmented rows (Table 2)
	Delta    = "delta"    // the threshold of the qualification (Table 3)
	Small    = "small"    // methods on a fifth of the episodes (Table 4)
	Ablation = "ablation" // DiffStitch without a part of it (Figure 5)
	Pairing  = "pairing"  // how pairs are chosen
	Stitch   = "stitch"   // parts of DiffStitch and baselines where no episode leads to the goal
)

// Names lists the studies in the order of the paper.
var Names = []string{Main, Ratio, Delta, Small, Ablation, Pairing, Stitch}

// Titles say what each study compares.
var Titles = map[string]string{
	Main:     "Original data, baselines and DiffStitch",
	Ratio:    "Ratio of original to augmented data",
	Delta:    "Threshold of the qualification",
	Small:    "A fifth of the episodes",
	Ablation: "DiffStitch without its parts",
	Pairing:  "Pairing strategies",
	Stitch:   "The maze in which no episode leads from the start to the goal",
}

// The learners.
const (
	IQL   = string(learners.IQL)
	TD3BC = string(learners.TD3BC)
	DT    = string(learners.DT)
)

// Learners lists them in the order of the paper's tables.
var Learners = []string{IQL, TD3BC, DT}

// What a learner learns from: the data alone, or what a method adds to it.
const (
	Original   = "original"
	SynthER    = string(training.MethodSynthER)
	TATU       = string(training.MethodTATU)
	DiffStitch = string(training.MethodDiffStitch)
)

// Methods lists them in the order of the paper's tables.
var Methods = []string{Original, SynthER, TATU, DiffStitch}

// Maze is the environment that studies have built in.
const Maze = pointmaze.Name

// Options say which study to do. What is empty or 0 is the scale's.
type Options struct {
	Study string
	Out   string
	// Data has its path empty for the built-in maze.
	Data     input.Data
	Env      string
	Learners []string
	Methods  []string // of main and small, which compare them
	Scale    string

	Preset      string
	Horizon     int // of the denoiser
	Updates     int // of every learner
	Seeds       int
	Episodes    int
	Stitches    int64
	Transitions int64

	Seed    uint64
	Python  string // interpreter that runs Gymnasium
	Backend string
	Runner  string
}

// DefaultOptions is what flags change.
func DefaultOptions(study string) Options {
	return Options{
		Study: study, Out: "studies", Data: input.Data{MaxRejectShare: 0.01}, Scale: Scales[0].Name,
		Learners: Learners, Methods: Methods, Backend: backend.Auto, Runner: engine.Runners[0],
	}
}

// Settings are the options of a study, settled: what its results depend on.
type Settings struct {
	Study    string   `json:"study"`
	Data     string   `json:"data"` // its path, or the built-in maze
	Env      string   `json:"env"`
	Learners []string `json:"learners"`
	Methods  []string `json:"methods,omitempty"`
	Scale    Scale    `json:"scale"` // with what was asked for in its place
	// LearnerSettings is the environment whose settings the learners have.
	LearnerSettings string `json:"learner_settings"`
	// Stitching is DiffStitch's, before the study changes a part of it.
	Stitching Stitching `json:"stitching"`
	Seed      uint64    `json:"seed"` // of the learners, the first
	Backend   string    `json:"backend"`
}

// settle puts the scale's in place of what was left out.
func (o Options) settle() (s Settings, err error) {
	if err := o.validate(); err != nil {
		return s, fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	if err := input.Local(o.Out); err != nil {
		return s, err
	}
	s = Settings{Study: o.Study, Data: o.Data.Path, Env: o.Env, Learners: inOrder(o.Learners, Learners), Seed: o.Seed}
	if o.Study == Main || o.Study == Small {
		s.Methods = inOrder(o.Methods, Methods)
	}
	if s.Env == "" {
		s.Env = Maze
	}
	s.LearnerSettings = learnerSettings(o.Data.Path, s.Env)
	_, engine, err := backend.Open(o.Backend)
	if err != nil {
		return s, err
	}
	s.Backend = engine.Kind
	if s.Scale, err = o.scale(s); err != nil {
		return s, fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	if o.Data.Path != "" {
		s.Scale.MazeEpisodes = 0
	}
	models, err := s.models()
	if err != nil {
		return s, fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	s.Stitching = stitchingOf(s, models)
	return s, nil
}

// models is the configuration of DiffStitch's models.
func (s Settings) models() (training.Config, error) {
	cfg, err := training.Preset(s.Scale.Preset)
	if err != nil || s.Scale.Horizon == 0 {
		return cfg, err
	}
	if cfg, err = cfg.WithHorizon(s.Scale.Horizon); err != nil {
		err = fmt.Errorf("--horizon %d: %w", s.Scale.Horizon, err)
	}
	return cfg, err
}

// learnerSettings are those of the dataset where learners have some for it, such as
// hopper-medium-replay.parquet, and otherwise of the environment.
func learnerSettings(data, environment string) string {
	if name := datasetName(data); learners.HasPreset(name) {
		return name
	}
	return environment
}

// inOrder sorts names as a table has them.
func inOrder(names, order []string) (sorted []string) {
	for _, name := range order {
		if slices.Contains(names, name) {
			sorted = append(sorted, name)
		}
	}
	return sorted
}

// scale is the named one, with what was asked for in its place.
func (o Options) scale(of Settings) (Scale, error) {
	s, err := scaleOf(o.Scale)
	if err != nil {
		return s, err
	}
	if of.Study == Stitch {
		s.Stitching = ours // its rows are parts of that
	}
	if of.Backend == backend.Go && s.GoUpdates != nil {
		s.Updates = s.GoUpdates
	}
	updates := map[string]int{}
	for _, learner := range of.Learners {
		settings, err := learners.Preset(learners.Learner(learner), of.LearnerSettings)
		if err != nil {
			return s, err
		}
		updates[learner] = cmp.Or(o.Updates, s.Updates[learner], settings.Steps)
	}
	s.Updates = updates
	s.Seeds, s.Episodes = cmp.Or(o.Seeds, s.Seeds), cmp.Or(o.Episodes, s.Episodes)
	if o.Stitches > 0 {
		s.Stitches, s.Generated = o.Stitches, 0
	}
	s.Transitions = cmp.Or(o.Transitions, s.Transitions)
	s.Preset, s.Horizon = cmp.Or(o.Preset, s.Preset), cmp.Or(o.Horizon, horizonOf(s, of.LearnerSettings))
	return s, nil
}

// validate reports the first option that cannot be.
func (o Options) validate() error {
	switch {
	case !slices.Contains(Names, o.Study):
		return fmt.Errorf("no study %q: it is one of %s", o.Study, strings.Join(Names, ", "))
	case o.Data.Path != "" && o.Env == "":
		return errors.New("--data needs --env, the environment that it is of, such as Hopper-v5")
	case o.Data.Path == "" && o.Env != "" && o.Env != Maze:
		return fmt.Errorf("--env %s needs --data: %s alone is built in", o.Env, Maze)
	case o.Data.Path != "" && o.Study == Stitch:
		return fmt.Errorf("the study %s is of a dataset of its own: leave --data out", Stitch)
	case !slices.Contains(engine.Runners, o.Runner):
		return fmt.Errorf("no runner %q: it is one of %s", o.Runner, strings.Join(engine.Runners, ", "))
	case o.Horizon != 0 && !o.stitches():
		return fmt.Errorf("--horizon %d: none of --methods %s has windows of states: leave the flag out, or compare %s too", o.Horizon, strings.Join(o.Methods, ","), DiffStitch)
	case o.Updates < 0 || o.Seeds < 0 || o.Episodes < 0 || o.Stitches < 0 || o.Transitions < 0:
		return errors.New("a negative amount is asked for")
	}
	return errors.Join(allOf("--learners", o.Learners, Learners), allOf("--methods", o.Methods, Methods))
}

// stitches is whether a row of the study is DiffStitch's.
func (o Options) stitches() bool {
	return o.Study != Main && o.Study != Small || slices.Contains(o.Methods, DiffStitch)
}

// allOf checks that names are of a list, and some of them at least.
func allOf(flag string, names, known []string) error {
	if len(names) == 0 {
		return fmt.Errorf("%s is empty: it takes %s", flag, strings.Join(known, ", "))
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s %s: it takes %s", flag, name, strings.Join(known, ", "))
		}
	}
	return nil
}
