package study

import (
	"fmt"

	"diffstitch/io/report"
	"diffstitch/io/snapshot"
	"diffstitch/pipelines/augment/method"
)

// Recipe is how an augmentation by DiffStitch made its stitches.
type Recipe struct {
	method.StitchingWords
	Refinement string `json:"refinement"`
}

// refineStage is what a stage that refines bridges would be called in a manifest.
const refineStage = "refine"

// refinement is what a run's stages tell of it: none where no stage refined.
func refinement(stages []snapshot.Stage) string {
	for _, s := range stages {
		if s.Stage == refineStage {
			return fmt.Sprintf("%d of %d %s", s.Out, s.In, s.Unit)
		}
	}
	return "none"
}

// recipes are how the data of every row was made, by the manifests of what is done;
// of what is not, how it would be.
func (r Result) recipes() (list []report.Recipe) {
	for _, row := range r.Rows {
		made := report.Recipe{Label: row.Label}
		record, done := r.Records[row.Data]
		switch {
		case done && record.Outcome.Augmented != nil && record.Outcome.Augmented.Recipe != nil:
			made = record.Outcome.Augmented.Recipe.of(row)
			made.Done = true
		case !done:
			made = r.planned(row)
		}
		list = append(list, made)
	}
	return list
}

// planned is how a row's data would be made; what refines it is only known of a run.
func (r Result) planned(row Row) report.Recipe {
	for _, step := range r.Steps {
		if a, ok := step.job.(augmentJob); ok && step.Key == row.Data && a.Stitching != nil {
			return Recipe{StitchingWords: a.Stitching.Words()}.of(row)
		}
	}
	return report.Recipe{Label: row.Label}
}

// of is the recipe as the page has it beside a row.
func (r Recipe) of(row Row) report.Recipe {
	return report.Recipe{
		Label: row.Label, Stitched: true, Pairing: r.Pairing, Similarity: r.Similarity, Sampler: r.Sampler,
		Steps: r.Steps, Delta: r.Delta, Refinement: r.Refinement,
	}
}
