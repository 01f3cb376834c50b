package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// truthSection shows what a simulator said of the stitches, which no learned
// model had a part in.
func truthSection(r Report) (section, error) {
	if r.Truth == nil || len(r.Truth.Judged) == 0 && len(r.Truth.Kinds) > 0 {
		return section{}, nil // single transitions alone
	}
	t := *r.Truth
	t.Judged = judgedFinite(t.Judged)
	s := section{
		Title: "Judged by the simulator",
		Text: fmt.Sprintf("%s steps from each state of a stitch with its action; the true error is the largest distance of where that leads "+
			"from the state the stitch goes on in.", t.Judge),
		Table: criteriaTable(t.Criteria),
	}
	if len(t.Judged) < 2 {
		return s, nil
	}
	qualification, truth := errorColumns(t.Judged)
	cloud := figure{
		Title:  "True error against qualification error",
		Note:   fmt.Sprintf("Spearman %.2f over %s stitches.", Spearman(qualification, truth), whole(int64(len(truth)))),
		Legend: []key{keyOf(blue, "dot", "accepted"), keyOf(grey, "dot", "rejected")},
	}
	if err := s.add(cloud, truthCloud(t, r.Threshold), half); err != nil {
		return s, err
	}
	curve := figure{
		Title:  "True error of the stitches below δ",
		Note:   "A smaller δ keeps fewer stitches, and truer ones.",
		Legend: []key{keyOf(blue, "line", "median"), keyOf(orange, "line", "95th percentile")},
	}
	return s, s.add(curve, truthCurve(t, r.Threshold), half)
}

func judgedFinite(judged []Judged) []Judged {
	return slices.DeleteFunc(slices.Clone(judged), func(j Judged) bool { return !isFinite(j.MaxError) || !isFinite(j.TrueError) })
}

func criteriaTable(criteria []Criterion) *table {
	if len(criteria) == 0 {
		return nil
	}
	t := &table{Head: []string{"Criterion", "Target", "Measured", "Met"}}
	for _, c := range criteria {
		met := cell{"✓ met", "met"}
		if !c.Met {
			met = cell{"✗ missed", "missed"}
		}
		t.Rows = append(t.Rows, []cell{{Text: c.Name}, {Text: c.Target}, {Text: c.Measured}, met})
	}
	return t
}

// errorColumns are the two errors, zeros raised to the smallest positive one so
// that a logarithmic axis can show them.
func errorColumns(judged []Judged) (qualification, truth []float64) {
	for _, j := range judged {
		qualification, truth = append(qualification, j.MaxError), append(truth, j.TrueError)
	}
	return raiseZeros(qualification), raiseZeros(truth)
}

func raiseZeros(values []float64) []float64 {
	smallest := math.Inf(1)
	for _, v := range values {
		if v > 0 {
			smallest = min(smallest, v)
		}
	}
	for i, v := range values {
		if v <= 0 && isFinite(smallest) {
			values[i] = smallest
		}
	}
	return values
}

func (t Truth) label() string {
	if t.Unit == "" {
		return "true error"
	}
	return "true error, " + t.Unit
}

func truthCloud(t Truth, threshold float64) *plot.Plot {
	qualification, truth := errorColumns(t.Judged)
	p := newPlot("qualification error", t.label())
	setLogWhereSpans(&p.X, qualification)
	setLogWhereSpans(&p.Y, truth)
	var accepted, rejected plotter.XYs
	for i, j := range t.Judged {
		point := plotter.XY{X: qualification[i], Y: truth[i]}
		if j.Accepted {
			accepted = append(accepted, point)
		} else {
			rejected = append(rejected, point)
		}
	}
	addCloud(p, rejected, grey)
	addCloud(p, accepted, blue)
	addThreshold(p, threshold)
	return p
}

// addCloud adds what is to be seen of a cloud. Two thirds of the usual number,
// since two clouds share the picture.
func addCloud(p *plot.Plot, points plotter.XYs, t tone) {
	if len(points) > 0 {
		p.Add(dots(Thin(points, cloudPoints*2/3), faint(t, 0.5)))
	}
}

// truthCurve takes the stitches in the order of their qualification error and
// follows the quantiles of the true error of all those so far.
func truthCurve(t Truth, threshold float64) *plot.Plot {
	sorted := slices.SortedFunc(slices.Values(t.Judged), func(a, b Judged) int { return cmp.Compare(a.MaxError, b.MaxError) })
	qualification, truth := errorColumns(sorted)
	const points, fewest = 120, 5 // a quantile of fewer stitches is noise
	var middle, upper plotter.XYs
	var across, up []float64 // what is drawn, which few stitches do not spread far
	for i := range points {
		n := max(min(fewest, len(truth)), (i+1)*len(truth)/points)
		x := qualification[n-1]
		middle = append(middle, plotter.XY{X: x, Y: median(truth[:n])})
		upper = append(upper, plotter.XY{X: x, Y: quantile(truth[:n], 0.95)})
		across, up = append(across, x), append(up, middle[i].Y, upper[i].Y)
	}
	p := newPlot("δ", t.label())
	setLogWhereSpans(&p.X, across)
	setLogWhereSpans(&p.Y, up)
	p.Add(line(upper, orange), line(middle, blue))
	addThreshold(p, threshold)
	return p
}
