package report

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// returnsSection shows the pools, and what stitching does to the return
// (Figure 4 of the paper).
func returnsSection(r Report) (section, error) {
	s := section{Title: "Returns"}
	if r.Pools != nil {
		f := figure{Title: "Low and high pool", Legend: []key{
			keyOf(blue, "swatch", "low pool"), keyOf(grey, "swatch", "neither"), keyOf(green, "swatch", "high pool"),
		}}
		if err := s.add(f, poolsPlot(*r.Pools), third); err != nil {
			return s, err
		}
		s.Text = "Stitches leave an episode of the low pool and go on along one of the high pool. "
	}
	returns := finiteReturns(r.Returns)
	if len(returns) > 0 {
		improved, gain := improvement(returns)
		s.Text += fmt.Sprintf("For the states of low episodes left of the stitch: return-to-go as the episode was, and as stitched. "+
			"%s %% of them gain; the median gain is %s.", number(100*improved), signed(gain))
		before := figure{Title: "Before and after, state by state", Note: "Above the diagonal, the stitch gains."}
		if err := s.add(before, returnCloud(returns), third); err != nil {
			return s, err
		}
		after := figure{Title: "Before and after, distribution", Legend: []key{
			keyOf(grey, "swatch", "before"), keyOf(blue, "line", "after"),
		}}
		if err := s.add(after, returnHistogram(returns), third); err != nil {
			return s, err
		}
	}
	if len(s.Figures) == 0 {
		return section{}, nil
	}
	return s, nil
}

func finiteReturns(returns []Return) []Return {
	return slices.DeleteFunc(slices.Clone(returns), func(r Return) bool { return !isFinite(r.Before) || !isFinite(r.After) })
}

func gains(returns []Return) []float64 {
	gains := make([]float64, 0, len(returns))
	for _, r := range finiteReturns(returns) {
		gains = append(gains, r.After-r.Before)
	}
	return gains
}

// improvement is the share of states that gain, and the median gain.
func improvement(returns []Return) (share, gain float64) {
	all := gains(returns)
	for _, g := range all {
		if g > 0 {
			share++
		}
	}
	return share / float64(len(all)), median(all)
}

func poolsPlot(pools Pools) *plot.Plot {
	groups := [][]float64{finite(pools.Low), finite(pools.Between), finite(pools.High)}
	p := newPlot("return of an episode", "episodes")
	if edges := binEdges(slices.Concat(groups...), histogramBins, false); edges != nil {
		addStack(p, edges, groups, blue, grey, green)
	}
	return p
}

// returnCloud has a dot for each state, and the line of no change.
func returnCloud(returns []Return) *plot.Plot {
	p := newPlot("return-to-go before", "return-to-go after")
	low, high := math.Inf(1), math.Inf(-1)
	for _, r := range returns {
		low, high = min(low, r.Before, r.After), max(high, r.Before, r.After)
	}
	shown := Thin(returns, cloudPoints)
	points := make(plotter.XYs, len(shown))
	for i, r := range shown {
		points[i] = plotter.XY{X: r.Before, Y: r.After}
	}
	diagonal := line(plotter.XYs{{X: low, Y: low}, {X: high, Y: high}}, muted)
	diagonal.Width, diagonal.Dashes = 1, dashed()
	p.Add(diagonal, dots(points, faint(blue, 0.35)))
	return p
}

func returnHistogram(returns []Return) *plot.Plot {
	var before, after []float64
	for _, r := range returns {
		before, after = append(before, r.Before), append(after, r.After)
	}
	edges := binEdges(slices.Concat(before, after), histogramBins, false)
	p := newPlot("return-to-go", "states")
	p.Add(outline{edges, count(before, edges), faint(grey, 0.75), true}, outline{edges, count(after, edges), solid(blue), false})
	p.Y.Tick.Marker = countTicks{}
	return p
}
