package study

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"diffstitch/io/report"
	"diffstitch/io/storage"
	"diffstitch/pipelines/version"
)

// Result is a study as far as it has come.
type Result struct {
	Plan
	Created  time.Time `json:"created"`
	Software string    `json:"software"`
	// Records are those of the plan's finished steps, by key.
	Records map[string]Record `json:"records"`
	// Failed says why others are not, by key.
	Failed map[string]string `json:"failed,omitempty"`
	// Paper are the scores that the paper reports in the table that this repeats.
	Paper []PaperScore `json:"paper,omitempty"`
	Page  string       `json:"-"` // its path
}

func (r *run) result() (Result, error) {
	out := Result{
		Plan: r.plan, Created: time.Now().UTC().Truncate(time.Second), Software: version.Software,
		Records: map[string]Record{}, Failed: map[string]string{},
		Page: filepath.Join(r.options.Out, r.options.Study, "index.html"),
	}
	for _, step := range r.plan.Steps {
		if record, done := r.finished[step.Key]; done {
			out.Records[step.Key] = record
		} else if err := r.failed[step.Key]; err != nil {
			out.Failed[step.Key] = err.Error()
		}
	}
	var err error
	out.Paper, err = paperOf(r.options.Study)
	return out, err
}

// write writes the study's page, and what it is drawn from.
func (r Result) write(command string) error {
	dir := filepath.Dir(r.Page)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("study: %w", err)
	}
	if err := storage.WriteJSON(filepath.Join(dir, "study.json"), r); err != nil {
		return err
	}
	return storage.WriteWhole(r.Page, func(w io.Writer) error { return report.WriteStudy(w, r.page(command)) })
}

// score is a cell's against that of the data alone, and why there is none.
func (r Result) score(key, alone string) report.Score {
	record, done := r.Records[key]
	switch {
	case r.Failed[key] != "":
		return report.Score{Missing: "failed"}
	case !done:
		return report.Score{Missing: "not done"}
	case record.Outcome.Scores == nil:
		return report.Score{Missing: record.Outcome.Nothing}
	}
	s := record.Outcome.Scores
	score := report.Score{Mean: s.Score, SD: s.ScoreSD, Seeds: s.bySeed(), Success: s.Success}
	if key != alone {
		of := r.Records[alone].Outcome.Scores
		score.P, score.SuccessP = welch(score.Seeds, of.bySeed()), welch(s.successes(), of.successes())
	}
	return score
}

// Text shows the scores to a reader, the paper's beside them.
func (r Result) Text() string {
	text := &strings.Builder{}
	w := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	scores := r.scores()
	fmt.Fprint(w, r.Settings.Study)
	for _, learner := range scores.Learners {
		fmt.Fprintf(w, "\t%s", learner)
		if scores.PaperName != "" {
			fmt.Fprint(w, "\t(paper)")
		}
	}
	fmt.Fprintln(w)
	for _, row := range scores.Rows {
		fmt.Fprint(w, row.Label)
		for i, score := range row.Scores {
			fmt.Fprintf(w, "\t%s", score)
			if scores.PaperName != "" {
				fmt.Fprintf(w, "\t%s", row.Paper[i])
			}
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // a builder takes everything
	if scores.PaperName != "" {
		fmt.Fprintf(text, "(paper): %s of %s, %s\n", paperTables[r.Settings.Study], paperSource, scores.PaperName)
	}
	return text.String()
}

// failures are the plan's steps that failed, in its order.
func (r Result) failures() (lines []string) {
	for _, step := range r.Steps {
		if why := r.Failed[step.Key]; why != "" {
			lines = append(lines, fmt.Sprintf("%s (%s): %s", step.Title, step.Key, why))
		}
	}
	return lines
}

// kinds of metrics that the curves of cells show, in the order of their names.
func (r Result) metrics(learner string) []string {
	names := map[string]bool{}
	for _, row := range r.Rows {
		if s := r.Records[row.Cells[learner]].Outcome.Scores; s != nil {
			for _, c := range s.Curves {
				names[c.Metric] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
