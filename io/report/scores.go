package report

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

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
	text := minus(fmt.Sprintf("%.1f", s.Mean)) + fmt.Sprintf(" ± %.1f", s.SD) + inBrackets(s.P)
	if s.Success != nil {
		text += fmt.Sprintf(", %.0f %%", 100**s.Success) + inBrackets(s.SuccessP)
	}
	return text
}

// inBrackets is a p beside what it is of.
func inBrackets(p *float64) string {
	switch {
	case p == nil:
		return ""
	case *p < 0.001:
		return " (p < 0.001)"
	}
	return fmt.Sprintf(" (p = %.3f)", *p)
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
