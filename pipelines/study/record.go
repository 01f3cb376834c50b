package study

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/modelops/learners"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/evaluate"

	"gonum.org/v1/gonum/stat"
)

// recordName is the file that a finished step's folder holds.
const recordName = "step.json"

// Record is what a finished step came to.
type Record struct {
	Key      string          `json:"key"`
	Kind     Kind            `json:"kind"`
	Title    string          `json:"title"`
	Settings json.RawMessage `json:"settings"`
	Software string          `json:"software"`
	Work     Work            `json:"work"`
	Finished time.Time       `json:"finished"`
	Seconds  float64         `json:"seconds"`
	// Resumed is whether an earlier run had begun it: its time is not all of it.
	Resumed bool    `json:"resumed,omitempty"`
	Outcome Outcome `json:"outcome"`
}

// Outcome is what came of a step, by its kind.
type Outcome struct {
	Dataset   *Dataset   `json:"dataset,omitempty"`
	Augmented *Augmented `json:"augmented,omitempty"`
	Scores    *Scores    `json:"scores,omitempty"`
	// Nothing says why a cell has no scores, though nothing failed.
	Nothing string `json:"nothing,omitempty"`
}

// Dataset is how large a dataset is.
type Dataset struct {
	Episodes    int64 `json:"episodes"`
	Transitions int64 `json:"transitions"`
}

// Augmented is what an augmentation made.
type Augmented struct {
	Snapshot string  `json:"snapshot"` // id
	Report   string  `json:"report"`   // page, from the snapshots' folder
	Original Dataset `json:"original"`
	Added    Dataset `json:"added"`
	// Attempted and Accepted are stitches; 0 of methods that attempt none.
	Attempted int64 `json:"attempted,omitempty"`
	Accepted  int64 `json:"accepted,omitempty"`
	// Delta is δ as it was settled.
	Delta string `json:"delta,omitempty"`
	// Recipe is how stitches were made; nil of methods that make none.
	Recipe  *Recipe          `json:"recipe,omitempty"`
	Dropped map[string]int64 `json:"dropped,omitempty"` // stitches, by reason
}

// augmentedBy reads what a snapshot's manifest says.
func augmentedBy(s snapshot.Snapshot) Augmented {
	m := s.Manifest
	a := Augmented{Snapshot: s.ID, Original: Dataset(m.Original), Added: Dataset(m.Stitched)}
	for _, stage := range m.Stages {
		switch stage.Stage {
		case "pair":
			a.Attempted = stage.In
		case "qualify":
			a.Accepted, a.Dropped = stage.Out, stage.Dropped
		}
	}
	var o augment.Options
	if err := json.Unmarshal(m.Configuration, &o); err == nil && o.Method == training.MethodDiffStitch {
		a.Recipe = &Recipe{StitchingWords: o.Words(), Refinement: refinement(m.Stages)}
		a.Delta = a.Recipe.Delta
	}
	return a
}

// Scores are those of a learner's policies, one a seed.
type Scores struct {
	evaluate.Evaluation
	Curves []Curve `json:"curves,omitempty"`
}

// bySeed are the scores of the policies; none of nil.
func (s *Scores) bySeed() (scores []float64) {
	if s == nil {
		return nil
	}
	for _, seed := range s.Seeds {
		scores = append(scores, seed.Score)
	}
	return scores
}

// successes are the shares of the policies' episodes that achieve the task; none where
// the environment does not tell.
func (s *Scores) successes() (shares []float64) {
	if s == nil || s.Success == nil {
		return nil
	}
	for _, seed := range s.Seeds {
		shares = append(shares, seed.Success())
	}
	return shares
}

// Curve is a metric of the training, mean over the seeds.
type Curve struct {
	Metric string  `json:"metric"`
	Points []Point `json:"points"`
}

// Point is a value after a number of updates.
type Point struct {
	Updates int     `json:"updates"`
	Value   float64 `json:"value"`
}

// curvesOf reads the curves of the policies in a folder.
func curvesOf(dir string) ([]Curve, error) {
	lines, err := learners.ReadMetrics(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sums := map[string]map[int][]float64{} // by metric and updates
	for _, line := range lines {
		for metric, value := range line.Metrics {
			if sums[metric] == nil {
				sums[metric] = map[int][]float64{}
			}
			sums[metric][line.Step] = append(sums[metric][line.Step], value)
		}
	}
	var curves []Curve
	for _, metric := range slices.Sorted(maps.Keys(sums)) {
		c := Curve{Metric: metric}
		for _, updates := range slices.Sorted(maps.Keys(sums[metric])) {
			c.Points = append(c.Points, Point{updates, stat.Mean(sums[metric][updates], nil)})
		}
		curves = append(curves, c)
	}
	return curves, nil
}

// load reads a finished step's record; ok is false where there is none.
func load(dir string) (r Record, ok bool, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, recordName))
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return r, false, fmt.Errorf("study: reading the record in %q: %w: delete the folder to have the step done again", dir, err)
	}
	return r, true, nil
}

func (r Record) save(dir string) error {
	return storage.WriteJSON(filepath.Join(dir, recordName), r)
}

// records are those of all finished steps in a folder, by key.
func records(steps string) (map[string]Record, error) {
	found, err := filepath.Glob(filepath.Join(steps, "*", recordName))
	if err != nil {
		return nil, fmt.Errorf("study: %w", err)
	}
	all := map[string]Record{}
	for _, path := range found {
		r, _, err := load(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		all[r.Key] = r
	}
	return all, nil
}

// rates are the seconds that steps take for one unit of their work, by what they
// are like, as the finished ones took them.
func rates(finished map[string]Record) map[string]float64 {
	seconds, amounts := map[string]float64{}, map[string]float64{}
	for _, r := range finished {
		if !r.Resumed && r.Work.Amount > 0 {
			seconds[r.Work.Alike] += r.Seconds
			amounts[r.Work.Alike] += float64(r.Work.Amount)
		}
	}
	for alike := range seconds {
		seconds[alike] /= amounts[alike]
	}
	return seconds
}
