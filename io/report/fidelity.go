package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"
)

// shownColumns is how many dimensions get a picture; the scores are of all.
const shownColumns = 24

// marginalsSection compares the distribution of each state and action dimension.
func marginalsSection(r Report) (section, error) {
	generated, actual := sides(r.Transitions)
	if generated == nil {
		return section{}, nil
	}
	distances := distancesOf(actual, generated)
	s := section{
		Title: "Generated transitions against real ones",
		Text: fmt.Sprintf("Marginal score %s: one minus the mean Kolmogorov–Smirnov distance between the generated and the real "+
			"distribution of a dimension; 1 where they agree. Bridges lead from low to high episodes, so they need not spread as the data does.",
			score(marginalScore(distances))),
		Legend: []key{keyOf(grey, "swatch", "real"), keyOf(blue, "line", "generated")},
	}
	shown := worst(distances, shownColumns)
	if len(shown) < len(distances) {
		s.Text += fmt.Sprintf(" The %d of %d dimensions that differ most are drawn.", len(shown), len(distances))
	}
	for _, j := range shown {
		f := figure{Title: r.Transitions.Columns[j], Note: score(1 - distances[j])}
		if err := s.add(f, marginalPlot(actual[j], generated[j]), quarter); err != nil {
			return s, err
		}
	}
	return s, nil
}

// distancesOf are those of each dimension.
func distancesOf(actual, generated [][]float64) []float64 {
	distances := make([]float64, len(actual))
	for j := range actual {
		distances[j] = kolmogorovSmirnov(actual[j], generated[j])
	}
	return distances
}

func marginalScore(distances []float64) float64 { return 1 - stat.Mean(distances, nil) }

// MarginalScore is one minus the mean Kolmogorov–Smirnov distance between the generated
// and the real distribution of a dimension; known is false where one side is empty.
func (c *Comparison) MarginalScore() (score float64, known bool) {
	generated, actual := sides(c)
	if generated == nil {
		return 0, false
	}
	return marginalScore(distancesOf(actual, generated)), true
}

// sides are the columns of the two samples, nil where one is empty.
func sides(c *Comparison) (generated, actual [][]float64) {
	if c == nil || len(c.Columns) == 0 || len(c.Real) == 0 || len(c.Generated) == 0 {
		return nil, nil
	}
	return columnsOf(c.Generated, len(c.Columns)), columnsOf(c.Real, len(c.Columns))
}

func score(v float64) string { return fmt.Sprintf("%.2f", v) }

// worst are the indices of the n largest distances, in their own order.
func worst(distances []float64, n int) []int {
	order := make([]int, len(distances))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(distances[j], distances[i]) })
	order = order[:min(n, len(order))]
	slices.Sort(order)
	return order
}

// marginalPlot scales both histograms to shares, since the samples differ in
// size. The range leaves out the last half percent on each side.
func marginalPlot(actual, generated []float64) *plot.Plot {
	both := slices.Concat(actual, generated)
	low, high := quantile(both, 0.005), quantile(both, 0.995)
	edges := binEdges([]float64{low, high}, histogramBins, false)
	p := newPlot("", "")
	p.Y.Tick.Marker = plot.ConstantTicks{}
	p.X.Tick.Marker = niceTicks{3}
	p.Add(outline{edges, shares(actual, edges), faint(grey, 0.75), true}, outline{edges, shares(generated, edges), solid(blue), false})
	return p
}

func shares(values, edges []float64) []float64 {
	counts := count(values, edges)
	for i := range counts {
		counts[i] /= float64(len(values))
	}
	return counts
}

// correlationsSection compares how the dimensions move together.
func correlationsSection(r Report) (section, error) {
	generated, actual := sides(r.Transitions)
	if len(actual) < 2 {
		return section{}, nil
	}
	ofReal, ofGenerated := correlations(actual), correlations(generated)
	s := section{
		Title: "Correlations",
		Text: fmt.Sprintf("Correlation score %s: one minus the mean absolute difference of the two matrices' coefficients; 1 where they agree.",
			score(1-meanDifference(ofReal, ofGenerated))),
		Legend: []key{keyOf(blue, "swatch", "+1"), keyOf(surface, "swatch", "0"), keyOf(red, "swatch", "−1")},
	}
	apart := make([]float64, len(actual))
	for i := range apart {
		for j := range apart {
			apart[i] += math.Abs(ofReal[i][j] - ofGenerated[i][j])
		}
	}
	shown := worst(apart, shownColumns)
	if len(shown) < len(apart) {
		s.Text += fmt.Sprintf(" The %d of %d dimensions that differ most are drawn.", len(shown), len(apart))
	}
	for _, side := range []struct {
		title  string
		matrix [][]float64
	}{{"Real", ofReal}, {"Generated", ofGenerated}, {"Generated − real", difference(ofGenerated, ofReal)}} {
		p := heatPlot(side.matrix, shown, r.Transitions.Columns)
		if err := s.add(figure{Title: side.title}, p, size{third.width, third.width * 0.86}); err != nil {
			return s, err
		}
	}
	return s, nil
}

func difference(a, b [][]float64) [][]float64 {
	d := make([][]float64, len(a))
	for i := range d {
		d[i] = make([]float64, len(a))
		for j := range d {
			d[i][j] = a[i][j] - b[i][j]
		}
	}
	return d
}

func heatPlot(matrix [][]float64, shown []int, names []string) *plot.Plot {
	h := heat{values: make([][]float64, len(shown))}
	var x, y plot.ConstantTicks
	for row, i := range shown {
		for _, j := range shown {
			h.values[row] = append(h.values[row], matrix[i][j])
		}
		at := float64(row) + 0.5
		x = append(x, plot.Tick{Value: at, Label: names[i]})
		y = append(y, plot.Tick{Value: float64(len(shown)) - at, Label: names[i]})
	}
	p := barePlot("", "")
	p.X.Tick.Marker, p.Y.Tick.Marker = x, y
	if len(shown) > 6 { // or the names run into each other
		p.X.Tick.Label.Rotation = math.Pi / 2
		p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YCenter
	}
	p.Add(h)
	return p
}
