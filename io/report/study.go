package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"gonum.org/v1/plot/plotter"
)

// Study is all that the page of a study can show.
type Study struct {
	Title    string
	Created  time.Time
	Software string
	Notices  []string
	Summary  []Fact

	Scores        Scores
	Paper         *PaperTable
	Recipes       []Recipe
	Amounts       []Amount
	Curves        []CurveFigure
	Steps         []StudyStep
	Versions      []Fact
	Command       string
	Configuration json.RawMessage
}

// Scores are a study's result: rows of what is compared, columns of learners.
type Scores struct {
	Text     string // how the scores were made
	Learners []string
	// PaperName is the paper's dataset whose scores stand beside; "" for none.
	PaperName string
	Rows      []ScoreRow
}

// ScoreRow is a row of the scores, with one score per learner.
type ScoreRow struct {
	Label  string
	Scores []Score
	Paper  []string // what the paper reports, per learner; "" where it has nothing
}

// Score is a learner's, over its seeds.
type Score struct {
	Seeds    []float64
	Mean, SD float64
	// Success is the share of all episodes that achieve the task; nil where it is not known.
	Success *float64
	// P and SuccessP are those of Welch's t-test of the seeds against those on the data
	// alone; nil where there is none.
	P, SuccessP *float64
	// Missing says why there is none.
	Missing string
}

// PaperTable is a table of the paper, as it stands there.
type PaperTable struct {
	Name   string // Table 1
	Source string
	Head   []string
	Rows   [][]string
}

// Amount is what an augmentation came to.
type Amount struct {
	Name                string
	Attempted, Accepted int64 // stitches; 0 of methods that attempt none
	Delta               string
	Episodes            int64 // added
	Transitions         int64 // added
	Original            int64 // transitions
	Missing             string
}

// CurveFigure is a metric of a learner's training, with one line per row of the scores.
type CurveFigure struct {
	Title string
	Label string // of the vertical axis
	Lines []CurveLine
}

// CurveLine is one line of a CurveFigure.
type CurveLine struct {
	Row    int // of the scores
	Points []LossPoint
}

// StudyStep is a step of the study's plan.
type StudyStep struct {
	Kind, Title, Key, Work, State string
	Seconds                       float64 // 0 where it is not done
}

// WriteStudy writes a study's page, one HTML file.
func WriteStudy(w io.Writer, s Study) error {
	p := page{Report: Report{Title: s.Title, Created: s.Created, Software: s.Software, Notices: s.Notices, Summary: s.Summary, Configuration: s.Configuration}}
	err := addSections(&p, s, scoresSection, recipesSection, paperSection, amountsSection, curvesSection, stepsSection, versionsSection)
	if err == nil {
		err = addSections(&p, p.Report, configurationSection)
	}
	if err == nil {
		err = pageTemplate.Execute(w, p)
	}
	if err != nil {
		return fmt.Errorf("report: drawing %q: %w", s.Title, err)
	}
	return nil
}

func paperSection(study Study) (section, error) {
	t := study.Paper
	if t == nil {
		return section{}, nil
	}
	s := section{
		Title: "The paper’s numbers",
		Text:  fmt.Sprintf("%s of %s, as it stands there. None of it was measured here.", t.Name, t.Source),
		Table: &table{Head: t.Head},
	}
	for _, row := range t.Rows {
		var cells []cell
		for _, text := range row {
			cells = append(cells, cell{Text: text, Class: "paper"})
		}
		s.Table.Rows = append(s.Table.Rows, cells)
	}
	return s, nil
}

func amountsSection(study Study) (section, error) {
	if len(study.Amounts) == 0 {
		return section{}, nil
	}
	s := section{
		Title: "Augmented data",
		Text:  "What each method added to the data. Learners draw from it at the row’s ratio, however much there is.",
		Table: &table{Head: []string{"D*", "δ", "stitches attempted", "accepted", "episodes added", "transitions added", "original transitions"}},
	}
	for _, a := range study.Amounts {
		attempted, accepted := "", ""
		if a.Attempted > 0 {
			attempted, accepted = whole(a.Attempted), fmt.Sprintf("%s (%s)", whole(a.Accepted), percent(a.Accepted, a.Attempted))
		}
		row := []cell{{Text: a.Name}, {Text: a.Delta}, {attempted, "number"}, {accepted, "number"}}
		if a.Missing != "" {
			row = append(row, cell{Text: "– " + a.Missing}, cell{}, cell{})
		} else {
			row = append(row, cell{whole(a.Episodes), "number"}, cell{whole(a.Transitions), "number"}, cell{whole(a.Original), "number"})
		}
		s.Table.Rows = append(s.Table.Rows, row)
	}
	return s, nil
}

func curvesSection(study Study) (section, error) {
	s := section{Title: "Learning", Text: "Means over the seeds."}
	for i, row := range study.Scores.Rows {
		s.Legend = append(s.Legend, keyOf(rowTone(i), "line", row.Label))
	}
	for _, f := range study.Curves {
		p := newPlot("updates", f.Label)
		drawn := false
		for _, l := range f.Lines {
			var points plotter.XYs
			for _, point := range l.Points {
				if isFinite(point.Value) {
					points = append(points, plotter.XY{X: float64(point.Step), Y: point.Value})
				}
			}
			addCurve(p, points, rowTone(l.Row))
			drawn = drawn || len(points) > 0
		}
		if !drawn {
			continue
		}
		if err := s.add(figure{Title: f.Title}, p, third); err != nil {
			return s, err
		}
	}
	if len(s.Figures) == 0 {
		return section{}, nil
	}
	return s, nil
}

func stepsSection(study Study) (section, error) {
	if len(study.Steps) == 0 {
		return section{}, nil
	}
	s := section{
		Title: "Steps",
		Text:  "What the study did, in its order. Steps are shared between studies of one folder, and done once.",
		Table: &table{Head: []string{"Step", "Folder", "Work", "State", "Time"}},
	}
	for _, step := range study.Steps {
		took := ""
		if step.Seconds > 0 {
			took = clock(step.Seconds)
		}
		s.Table.Rows = append(s.Table.Rows, []cell{{Text: step.Title}, {step.Key, "code"}, {step.Work, "number"}, {Text: step.State}, {took, "number"}})
	}
	return s, nil
}

func versionsSection(study Study) (section, error) {
	if study.Command == "" {
		return section{}, nil
	}
	s := section{Title: "To do it again", Table: &table{Head: []string{"", ""}}}
	for _, f := range append([]Fact{{"command", study.Command}}, study.Versions...) {
		s.Table.Rows = append(s.Table.Rows, []cell{{Text: f.Name}, {f.Value, "code"}})
	}
	return s, nil
}
