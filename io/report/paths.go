package report

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

const (
	shownPaths = 6
	// pathPoints is how many states of one part are drawn.
	pathPoints = 600
)

// pathsSection draws stitched trajectories (Figure 3 of the paper).
func pathsSection(r Report) (section, error) {
	if r.Paths == nil || len(r.Paths.Paths) == 0 {
		return section{}, nil
	}
	s := section{
		Title: "Stitched trajectories",
		Text:  "A low-return episode, the generated bridge, and the high-return episode it leads to.",
		Legend: []key{
			keyOf(blue, "line", "low episode"), keyOf(orange, "line", "bridge, generated"), keyOf(green, "line", "high episode"),
			keyOf(ink, "dot", "start"), keyOf(orange, "dot", "stitch"),
		},
	}
	paths := *r.Paths
	paths.Paths = paths.Paths[:min(shownPaths, len(paths.Paths))]
	if paths.Maze != nil {
		s.Text += " The axes are x and y, in cells of the maze."
		s.Legend = append(s.Legend, keyOf(green, "ring", "goal"))
		return s, s.addMaps(paths)
	}
	return s, s.addProjections(paths)
}

// addMaps draws each path between the walls, all panels at one scale.
func (s *section) addMaps(paths Paths) error {
	m := paths.Maze
	panel := size{third.width, third.width * vg.Length(m.Height/m.Width)}
	xy := func(state []float32) (x, y float64) { return float64(state[0]), float64(state[1]) }
	for _, path := range paths.Paths {
		p := barePlot("", "")
		p.HideAxes()
		p.X.Padding, p.Y.Padding = 0, 0
		p.Add(squares{m.Walls, solid(grid)}, ring{m.Goal[0], m.Goal[1], solid(green)})
		addPath(p, path, paths.ObservationDim, xy)
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, m.Width, 0, m.Height
		if err := s.add(figure{Title: path.Caption}, p, panel); err != nil {
			return err
		}
	}
	return nil
}

// addProjections draws the first two principal components of all the states
// drawn, all panels at one scale.
func (s *section) addProjections(paths Paths) error {
	var states []float32
	for _, path := range paths.Paths {
		states = append(states, path.States...)
	}
	c, ok := fitComponents(states, paths.ObservationDim)
	if !ok {
		*s = section{}
		return nil
	}
	s.Text += fmt.Sprintf(" The axes are the first two principal components of the standardised states drawn, which hold %s %% of their variance.",
		number(100*(c.share[0]+c.share[1])))
	var plots []*plot.Plot
	for _, path := range paths.Paths {
		p := newPlot("first component", "second component")
		addPath(p, path, paths.ObservationDim, c.project)
		plots = append(plots, p)
	}
	shareAxes(plots)
	for i, p := range plots {
		if err := s.add(figure{Title: paths.Paths[i].Caption}, p, third); err != nil {
			return err
		}
	}
	return nil
}

// shareAxes gives all the plots one range, with room for markers at its ends.
func shareAxes(plots []*plot.Plot) {
	first := plots[0]
	for _, p := range plots {
		first.X.Min, first.X.Max = min(first.X.Min, p.X.Min), max(first.X.Max, p.X.Max)
		first.Y.Min, first.Y.Max = min(first.Y.Min, p.Y.Min), max(first.Y.Max, p.Y.Max)
	}
	for _, axis := range []*plot.Axis{&first.X, &first.Y} {
		margin := 0.05 * (axis.Max - axis.Min)
		axis.Min, axis.Max = axis.Min-margin, axis.Max+margin
	}
	for _, p := range plots {
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = first.X.Min, first.X.Max, first.Y.Min, first.Y.Max
	}
}

// addPath draws the parts, each joined to the next, and markers on top.
func addPath(p *plot.Plot, path Path, d int, project func([]float32) (x, y float64)) {
	n := len(path.States) / d
	at := func(i int) plotter.XY {
		x, y := project(path.States[i*d : (i+1)*d])
		return plotter.XY{X: x, Y: y}
	}
	part := func(from, to int, t tone) {
		from, to = max(from, 0), min(to, n-1)
		if from >= to {
			return
		}
		points := make(plotter.XYs, 0, to-from+1)
		for i := from; i <= to; i++ {
			points = append(points, at(i))
		}
		kept := Thin(points[:len(points)-1], pathPoints)
		p.Add(line(append(kept, points[len(points)-1]), t))
	}
	for i, b := range path.Bridges {
		entered := n
		if i+1 < len(path.Bridges) {
			entered = path.Bridges[i+1].From
		}
		part(b.To, entered-1, green)
	}
	for i, b := range path.Bridges {
		if i == 0 {
			part(0, b.From-1, blue)
		}
		part(b.From-1, b.To, orange) // s_T to s′_1
	}
	if n == 0 {
		return
	}
	start := at(0)
	p.Add(marker{start.X, start.Y, solid(ink)})
	for _, b := range path.Bridges {
		for _, i := range []int{b.From - 1, b.To} {
			if i > 0 && i < n {
				stitch := at(i)
				p.Add(marker{stitch.X, stitch.Y, solid(orange)})
			}
		}
	}
}
