package report

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

const (
	histogramBins = 40
	// cloudPoints is how many points of a cloud are drawn: more would make the
	// page heavy and show nothing else.
	cloudPoints = 1500
)

// attemptsSection shows step estimation and qualification.
func attemptsSection(r Report) (section, error) {
	attempts := slices.DeleteFunc(slices.Clone(r.Attempts), func(a Attempt) bool { return !isFinite(a.MaxError) })
	if len(attempts) == 0 {
		return section{}, nil
	}
	errors := errorsOf(attempts)
	s := section{
		Title: "Step estimation and qualification",
		Text: "The step estimation Δ is how many states the imagined rollout takes to come nearest to the high episode. " +
			"The qualification error of a stitch is the largest distance, over its transitions, between the generated next state " +
			"and the dynamics model's prediction.",
	}
	if r.Threshold > 0 {
		s.Text += " Stitches with an error of δ or more are dropped."
	}
	accepted := []key{keyOf(blue, "swatch", "accepted"), keyOf(grey, "swatch", "rejected")}
	for _, f := range []struct {
		figure figure
		plot   *plot.Plot
	}{
		{figure{Title: "Step estimation", Legend: accepted}, stepsPlot(attempts)},
		{figure{Title: "Qualification error", Legend: accepted}, errorPlot(attempts, r.Threshold)},
		{figure{Title: "Acceptance as a function of δ", Note: acceptanceNote(errors, r.Threshold)}, acceptancePlot(errors, r.Threshold)},
	} {
		if err := s.add(f.figure, f.plot, third); err != nil {
			return s, err
		}
	}
	return s, nil
}

func errorsOf(attempts []Attempt) []float64 {
	errors := make([]float64, len(attempts))
	for i, a := range attempts {
		errors[i] = a.MaxError
	}
	return errors
}

func acceptanceNote(errors []float64, threshold float64) string {
	if threshold <= 0 {
		return "Qualification was off."
	}
	return fmt.Sprintf("Half would pass at δ = %s.", number(median(errors)))
}

// stepsPlot has a bar for each Δ, or for a few of them where they are many.
func stepsPlot(attempts []Attempt) *plot.Plot {
	low, high := attempts[0].Steps, attempts[0].Steps
	for _, a := range attempts {
		low, high = min(low, a.Steps), max(high, a.Steps)
	}
	width := (high-low)/histogramBins + 1
	var edges []float64
	for at := low; at <= high+width; at += width {
		edges = append(edges, float64(at)-0.5)
	}
	p := newPlot("Δ, steps", "stitches")
	addStack(p, edges, splitAccepted(attempts, func(a Attempt) float64 { return float64(a.Steps) }), blue, grey)
	return p
}

// errorPlot is the histogram of qualification errors, with δ.
func errorPlot(attempts []Attempt, threshold float64) *plot.Plot {
	errors := errorsOf(attempts)
	p := newPlot("qualification error", "stitches")
	setLogWhereSpans(&p.X, errors)
	edges := binEdges(errors, histogramBins, spans(errors))
	addStack(p, edges, splitAccepted(attempts, func(a Attempt) float64 { return a.MaxError }), blue, grey)
	addThreshold(p, threshold)
	return p
}

// splitAccepted are the values of accepted and of rejected attempts.
func splitAccepted(attempts []Attempt, value func(Attempt) float64) [][]float64 {
	split := make([][]float64, 2)
	for _, a := range attempts {
		side := 1
		if a.Accepted {
			side = 0
		}
		split[side] = append(split[side], value(a))
	}
	return split
}

// addStack adds a stacked histogram with a layer for each group of values.
func addStack(p *plot.Plot, edges []float64, groups [][]float64, tones ...tone) {
	s := stack{edges: edges}
	for i, values := range groups {
		s.counts = append(s.counts, count(values, edges))
		s.paints = append(s.paints, solid(tones[i]))
	}
	p.Add(s)
	p.Y.Tick.Marker = countTicks{}
	p.Y.Max *= 1.12 // room for a label above the bars
}

// countTicks are whole numbers.
type countTicks struct{}

func (countTicks) Ticks(low, high float64) []plot.Tick {
	step := math.Max(1, roundStep((high-low)/4))
	var ticks []plot.Tick
	for v := math.Ceil(low/step) * step; v <= high; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: tickLabel(v, step)})
	}
	return ticks
}

func addThreshold(p *plot.Plot, threshold float64) {
	if threshold > 0 {
		p.Add(markLine{threshold, "δ = " + number(threshold)})
	}
}

// acceptancePlot is the share of attempts whose error is below δ.
func acceptancePlot(errors []float64, threshold float64) *plot.Plot {
	p := newPlot("δ", "stitches below δ, %")
	setLogWhereSpans(&p.X, errors)
	sorted := slices.Sorted(slices.Values(errors))
	points := make(plotter.XYs, len(sorted))
	for i, e := range sorted {
		points[i] = plotter.XY{X: e, Y: 100 * float64(i+1) / float64(len(sorted))}
	}
	p.Add(line(Thin(points, 300), blue))
	addThreshold(p, threshold)
	p.Y.Min, p.Y.Max = 0, 100
	return p
}

func median(values []float64) float64 { return quantile(values, 0.5) }
