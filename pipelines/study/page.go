package study

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"diffstitch/io/report"
)

// page is what the study's page shows.
func (r Result) page(command string) report.Study {
	s := r.Settings
	configuration, err := json.Marshal(s)
	if err != nil {
		configuration = nil // a page without it is better than none
	}
	return report.Study{
		Title:         Titles[s.Study],
		Created:       r.Created,
		Software:      r.Software,
		Notices:       r.failures(),
		Summary:       r.summary(),
		Scores:        r.scores(),
		Paper:         r.paperTable(),
		Recipes:       r.recipes(),
		Amounts:       r.amounts(),
		Curves:        r.curves(),
		Steps:         r.stepList(),
		Command:       command,
		Configuration: configuration,
	}
}

func (r Result) summary() []report.Fact {
	s := r.Settings
	data := filepath.Base(s.Data)
	if s.Data == "" {
		data = fmt.Sprintf("built in, %d episodes", s.Scale.MazeEpisodes)
	}
	facts := []report.Fact{
		{Name: "study", Value: s.Study},
		{Name: "environment", Value: s.Env},
		{Name: "data", Value: data},
		{Name: "scale", Value: s.Scale.Name},
		{Name: "models", Value: modelsName(s.Scale.Preset, s.Scale.Horizon)},
		{Name: "DiffStitch", Value: stitchingNames[s.Scale.Stitching]},
		{Name: "seeds", Value: fmt.Sprint(s.Scale.Seeds)},
		{Name: "backend", Value: s.Backend},
	}
	for _, learner := range s.Learners {
		facts = append(facts, report.Fact{Name: learnerNames[learner], Value: fmt.Sprintf("%d updates", s.Scale.Updates[learner])})
	}
	return facts
}

// scores are the study's rows, with the paper's beside them.
func (r Result) scores() report.Scores {
	s := r.Settings
	out := report.Scores{
		Text: fmt.Sprintf("Normalised scores: 0 is a random policy, 100 an expert. Mean ± standard deviation over %d seeds, each of which is scored over %d episodes at the end of its training. "+
			"Then, where it is known, the share of all episodes that achieve the task. p is that of Welch’s t-test of the seeds against those on the data alone.",
			s.Scale.Seeds, s.Scale.Episodes),
	}
	beside := ""
	if len(r.Paper) > 0 {
		beside = paperDataset(r.Paper, datasetName(s.Data))
		out.PaperName = beside
		out.Text += fmt.Sprintf(" In italics beside them: what the paper reports for %s.", beside)
	}
	for _, learner := range s.Learners {
		out.Learners = append(out.Learners, learnerNames[learner])
	}
	alone := r.alone()
	for _, row := range r.Rows {
		line := report.ScoreRow{Label: row.Label}
		for _, learner := range s.Learners {
			line.Scores = append(line.Scores, r.score(row.Cells[learner], alone[learner]))
			line.Paper = append(line.Paper, r.paperScore(beside, row, learner))
		}
		out.Rows = append(out.Rows, line)
	}
	return out
}

// alone are the keys of the cells that learn from the data alone, by learner; none
// where the study has no such row.
func (r Result) alone() map[string]string {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Ratio == allOriginal })
	if i < 0 {
		return nil
	}
	return r.Rows[i].Cells
}

// paperScore is what the paper reports for a row; "" for nothing. Its thresholds
// are other numbers, of which it has as many.
func (r Result) paperScore(dataset string, row Row, learner string) string {
	i := slices.IndexFunc(r.Paper, func(p PaperScore) bool {
		return p.Dataset == dataset && p.Row == row.ID && p.Learner == learner
	})
	if i < 0 {
		return ""
	}
	text := r.Paper[i].text()
	if r.Settings.Study == Delta && row.Label != "δ = "+row.ID {
		text += fmt.Sprintf(" (δ = %s)", row.ID)
	}
	return text
}

// paperTable is the whole of the paper's table: a row for each dataset and row, a
// column for each learner.
func (r Result) paperTable() *report.PaperTable {
	if len(r.Paper) == 0 {
		return nil
	}
	t := &report.PaperTable{Name: paperTables[r.Settings.Study], Source: paperSource, Head: []string{"dataset", paperHead[r.Settings.Study]}}
	for _, learner := range Learners {
		t.Head = append(t.Head, learnerNames[learner])
	}
	at := map[string]int{}
	for _, p := range r.Paper {
		place := p.Dataset + " " + p.Row
		i, known := at[place]
		if !known {
			i = len(t.Rows)
			at[place] = i
			t.Rows = append(t.Rows, append([]string{p.Dataset, rowName(p.Row)}, make([]string, len(Learners))...))
		}
		t.Rows[i][2+slices.Index(Learners, p.Learner)] = p.text()
	}
	return t
}

// paperHead names what the rows of the paper's tables are.
var paperHead = map[string]string{Main: "method", Ratio: "original:augmented", Delta: "δ", Small: "method"}

func rowName(row string) string {
	if name, known := methodNames[row]; known {
		return name
	}
	return row
}

// amounts are what the study's augmentations came to.
func (r Result) amounts() (list []report.Amount) {
	for _, step := range r.Steps {
		if step.Kind != AugmentStep {
			continue
		}
		a := report.Amount{Name: step.Title, Missing: "not done"}
		if r.Failed[step.Key] != "" {
			a.Missing = "failed"
		}
		if made := r.Records[step.Key].Outcome.Augmented; made != nil {
			a = report.Amount{
				Name: step.Title, Attempted: made.Attempted, Accepted: made.Accepted, Delta: made.Delta,
				Episodes: made.Added.Episodes, Transitions: made.Added.Transitions, Original: made.Original.Transitions,
			}
		}
		list = append(list, a)
	}
	return list
}

// curves are a figure for each metric of each learner.
func (r Result) curves() (figures []report.CurveFigure) {
	for _, learner := range r.Settings.Learners {
		for _, metric := range r.metrics(learner) {
			f := report.CurveFigure{Title: learnerNames[learner] + ", " + strings.ReplaceAll(metric, "_", " "), Label: strings.ReplaceAll(metric, "_", " ")}
			for i, row := range r.Rows {
				if s := r.Records[row.Cells[learner]].Outcome.Scores; s != nil {
					f.Lines = append(f.Lines, report.CurveLine{Row: i, Points: s.curve(metric)})
				}
			}
			figures = append(figures, f)
		}
	}
	return figures
}

func (s Scores) curve(metric string) (points []report.LossPoint) {
	for _, c := range s.Curves {
		if c.Metric != metric {
			continue
		}
		for _, p := range c.Points {
			points = append(points, report.LossPoint{Step: p.Updates, Value: p.Value})
		}
	}
	return points
}

func (r Result) stepList() (list []report.StudyStep) {
	for _, step := range r.Steps {
		s := report.StudyStep{
			Kind: string(step.Kind), Title: step.Title, Key: step.Key,
			Work: fmt.Sprintf("%d %s", step.Work.Amount, step.Work.Unit), State: "not done",
		}
		if r.Failed[step.Key] != "" {
			s.State = "failed"
		}
		if record, done := r.Records[step.Key]; done {
			s.State, s.Seconds = "finished", record.Seconds
			if record.Resumed {
				s.State = "finished, resumed"
			}
		}
		list = append(list, s)
	}
	return list
}
