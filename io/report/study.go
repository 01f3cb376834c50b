package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
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

// ScoreRow is a row of the scores, with a score a learner.
type ScoreRow struct {
	Label  string
	Scores []Score
	Paper  []string // what the paper reports, a learner each; "" where it has nothing
}

// Score is a learner's, over its seeds.
type Score struct {
	Seeds    []float64
	Mean, SD float64
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

// CurveFigure is a metric of a learner's training, a line a row of the scores.
type CurveFigure struct {
	Title string
	Label string // of the vertical axis
	Lines []CurveLine
}

// CurveLine is one of them.
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
	err := addSections(&p, s, scoresSection, paperSection, amountsSection, curvesSection, stepsSection, versionsSection)
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

// rowTones tell the rows of a study apart, in their order.
var rowTones = []tone{grey, blue, orange, green, red, ink}

func rowTone(row int) tone { return rowTones[row%len(rowTones)] }

func scoresSection(study Study) (section, error) {
	s := study.Scores
	out := section{Title: "Scores", Text: s.Text, Table: s.table()}
	for i, learner := range s.Learners {
		p := s.plot(i)
		if p == nil {
			continue
		}
		f := figure{Title: learner, Note: "Dots are seeds; the mark is their mean, the line a standard deviation to each side."}
		if err := out.add(f, p, third); err != nil {
			return out, err
		}
	}
	return out, nil
}

// table has the paper's scores beside each learner's, where it has any.
func (s Scores) table() *table {
	t := &table{Head: []string{""}}
	for _, learner := range s.Learners {
		t.Head = append(t.Head, learner)
		if s.PaperName != "" {
			t.Head = append(t.Head, "paper, "+s.PaperName)
		}
	}
	for _, row := range s.Rows {
		cells := []cell{{Text: row.Label}}
		for i, score := range row.Scores {
			cells = append(cells, cell{Text: score.String(), Class: "number"})
			if s.PaperName != "" {
				cells = append(cells, cell{Text: row.Paper[i], Class: "paper"})
			}
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// String is the score as the tables have it.
func (s Score) String() string {
	if s.Missing != "" {
		return "– " + s.Missing
	}
	return minus(fmt.Sprintf("%.1f", s.Mean)) + fmt.Sprintf(" ± %.1f", s.SD)
}

// plot shows a learner's scores, a row each, the first on top; nil where it has
// none.
func (s Scores) plot(learner int) *plot.Plot {
	p := barePlot("normalised score", "")
	var ticks []plot.Tick
	drawn := false
	for i, row := range s.Rows {
		y := float64(len(s.Rows) - i)
		ticks = append(ticks, plot.Tick{Value: y, Label: row.Label})
		score := row.Scores[learner]
		if score.Missing != "" || !isFinite(score.Mean) {
			continue
		}
		p.Add(spread{y: y, score: score, tone: rowTone(i)})
		drawn = true
	}
	if !drawn {
		return nil
	}
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	p.Y.Min, p.Y.Max = 0.4, float64(len(s.Rows))+0.6
	if p.X.Max-p.X.Min < 1 {
		p.X.Min, p.X.Max = p.X.Min-1, p.X.Max+1
	}
	return p
}

// spread draws the scores of seeds on a line, their mean and standard deviation.
type spread struct {
	y     float64
	score Score
	tone  tone
}

func (s spread) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	style := draw.LineStyle{Color: solid(s.tone), Width: vg.Points(1.5)}
	c.StrokeLine2(style, toX(s.score.Mean-s.score.SD), toY(s.y), toX(s.score.Mean+s.score.SD), toY(s.y))
	for _, seed := range s.score.Seeds {
		disc(c, p, seed, s.y, 1.8, faint(s.tone, 0.6))
	}
	disc(c, p, s.score.Mean, s.y, 3.4, solid(s.tone))
}

// DataRange is where the axes must reach.
func (s spread) DataRange() (xMin, xMax, yMin, yMax float64) {
	xMin, xMax = s.score.Mean-s.score.SD, s.score.Mean+s.score.SD
	for _, seed := range s.score.Seeds {
		xMin, xMax = math.Min(xMin, seed), math.Max(xMax, seed)
	}
	return xMin, xMax, s.y, s.y
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
