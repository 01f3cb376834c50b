package report

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// scaleSection sets the true errors of single transitions between those of real
// ones and those of real ones with wrong actions.
func scaleSection(r Report) (section, error) {
	if r.Truth == nil || len(r.Truth.Kinds) == 0 {
		return section{}, nil
	}
	t := *r.Truth
	s := section{
		Title: "True one-step error",
		Text: fmt.Sprintf("The simulator is set to the state before each transition and takes its action; the error is the distance of where that "+
			"leads from the state that the transition claims. Below %s, what one in twenty wrong actions comes to, a transition counts as true.", number(t.Bound)),
		Table: &table{Head: []string{"Transitions", "Number", "Median", "90 %", "99 %", "Largest", "True"}},
	}
	f := figure{Title: "Share of the transitions up to an error"}
	var kinds [][]float64
	for i, k := range t.Kinds {
		values := finite(k.Values)
		kinds = append(kinds, values)
		f.Legend = append(f.Legend, keyOf(kindTones[i%len(kindTones)], "line", k.Name))
		row := []cell{{Text: k.Name}, {whole(int64(len(k.Values))), "number"}}
		for _, p := range []float64{0.5, 0.9, 0.99, 1} {
			row = append(row, cell{number(quantile(values, p)), "number"})
		}
		s.Table.Rows = append(s.Table.Rows, append(row, cell{percent(countBelow(values, t.Bound), int64(len(values))), "number"}))
	}
	return s, s.add(f, scalePlot(t, kinds), half)
}

// kindTones are the colours of the kinds, in their order.
var kindTones = []tone{grey, red, blue, green, orange}

func countBelow(values []float64, bound float64) (n int64) {
	for _, v := range values {
		if v < bound {
			n++
		}
	}
	return n
}

// scalePlot draws the distribution functions.
func scalePlot(t Truth, kinds [][]float64) *plot.Plot {
	all := raiseZeros(slices.Concat(kinds...))
	p := newPlot(t.label(), "share")
	setLogWhereSpans(&p.X, all)
	const points = 160
	for i, values := range kinds {
		sorted := slices.Sorted(slices.Values(all[:len(values)]))
		all = all[len(values):]
		var curve plotter.XYs
		for k := range min(points, len(sorted)) {
			at := (k + 1) * len(sorted) / min(points, len(sorted))
			curve = append(curve, plotter.XY{X: sorted[at-1], Y: float64(at) / float64(len(sorted))})
		}
		if len(curve) > 0 {
			p.Add(line(curve, kindTones[i%len(kindTones)]))
		}
	}
	p.Y.Min, p.Y.Max = 0, 1
	if p.X.Min == p.X.Max || math.IsInf(p.X.Min, 0) { // every error is the same, or there are none
		p.X.Min, p.X.Max = -1, 1
	}
	if t.Bound > 0 {
		p.Add(markLine{t.Bound, "true below " + number(t.Bound)})
	}
	return p
}
