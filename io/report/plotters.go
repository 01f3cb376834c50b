package report

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// gridLines are drawn at the ticks of the vertical axis.
type gridLines struct{}

func (gridLines) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	style := draw.LineStyle{Color: solid(grid), Width: vg.Points(0.5)}
	for _, tick := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		c.StrokeLine2(style, c.Min.X, y(tick.Value), c.Max.X, y(tick.Value))
	}
}

// stack draws histograms on each other.
type stack struct {
	edges  []float64
	counts [][]float64 // of each layer, lowest first
	paints []paint
}

func (s stack) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	const gap = 0.35 // points on each side of a bar, so that bars can be told apart
	for bin := range len(s.edges) - 1 {
		base := 0.0
		for layer, counts := range s.counts {
			if counts[bin] == 0 {
				continue
			}
			top := base + counts[bin]
			fillRectangle(c, s.paints[layer], toX(s.edges[bin])+gap, toX(s.edges[bin+1])-gap, toY(base), toY(top))
			base = top
		}
	}
}

// DataRange is where the axes must reach.
func (s stack) DataRange() (xMin, xMax, yMin, yMax float64) {
	for bin := range len(s.edges) - 1 {
		sum := 0.0
		for _, counts := range s.counts {
			sum += counts[bin]
		}
		yMax = max(yMax, sum)
	}
	return s.edges[0], s.edges[len(s.edges)-1], 0, yMax
}

func fillRectangle(c draw.Canvas, fill color.Color, left, right, bottom, top vg.Length) {
	c.FillPolygon(fill, []vg.Point{{X: left, Y: bottom}, {X: right, Y: bottom}, {X: right, Y: top}, {X: left, Y: top}})
}

// outline draws a histogram as one stepped shape: filled, or as a line.
type outline struct {
	edges, counts []float64
	paint         paint
	fill          bool
}

func (o outline) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	points := []vg.Point{{X: toX(o.edges[0]), Y: toY(0)}}
	for bin, n := range o.counts {
		points = append(points,
			vg.Point{X: toX(o.edges[bin]), Y: toY(n)}, vg.Point{X: toX(o.edges[bin+1]), Y: toY(n)})
	}
	points = append(points, vg.Point{X: toX(o.edges[len(o.edges)-1]), Y: toY(0)})
	if o.fill {
		c.FillPolygon(o.paint, points)
		return
	}
	c.StrokeLines(draw.LineStyle{Color: o.paint, Width: vg.Points(1.25)}, points)
}

// DataRange is where the axes must reach.
func (o outline) DataRange() (xMin, xMax, yMin, yMax float64) {
	return stack{edges: o.edges, counts: [][]float64{o.counts}}.DataRange()
}

// markLine is a labelled vertical line, such as δ.
type markLine struct {
	x     float64
	label string
}

func (m markLine) Plot(c draw.Canvas, p *plot.Plot) {
	if m.x < p.X.Min || m.x > p.X.Max {
		return
	}
	toX, _ := p.Transforms(&c)
	x := toX(m.x)
	c.StrokeLine2(draw.LineStyle{Color: solid(ink), Width: vg.Points(1), Dashes: dashed()}, x, c.Min.Y, x, c.Max.Y)
	style := p.X.Tick.Label
	style.Color = solid(ink)
	style.YAlign = draw.YTop
	style.XAlign = draw.XLeft
	at := vg.Point{X: x + vg.Points(4), Y: c.Max.Y}
	if x > c.Center().X { // keep the label inside
		style.XAlign = draw.XRight
		at.X = x - vg.Points(4)
	}
	c.FillText(style, at, m.label)
}

func dashed() []vg.Length { return []vg.Length{vg.Points(3), vg.Points(2)} }

// line joins points.
func line(points plotter.XYs, t tone) *plotter.Line {
	return &plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: solid(t), Width: vg.Points(1.5)}}
}

// dots draws a cloud of points.
func dots(points plotter.XYs, p paint) *plotter.Scatter {
	return &plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{
		Color: p, Radius: vg.Points(1.6), Shape: draw.CircleGlyph{},
	}}
}

// marker is one point that must be seen, with a halo so that it stands off what
// lies below.
type marker struct {
	x, y  float64
	paint paint
}

func (m marker) Plot(c draw.Canvas, p *plot.Plot) {
	disc(c, p, m.x, m.y, 4.4, solid(surface))
	disc(c, p, m.x, m.y, 3.2, m.paint)
}

// ring is a hollow marker: the goal of a maze.
type ring struct {
	x, y  float64
	paint paint
}

func (r ring) Plot(c draw.Canvas, p *plot.Plot) {
	disc(c, p, r.x, r.y, 6, r.paint)
	disc(c, p, r.x, r.y, 4, solid(surface))
}

func disc(c draw.Canvas, p *plot.Plot, x, y float64, radius vg.Length, fill color.Color) {
	toX, toY := p.Transforms(&c)
	c.DrawGlyph(draw.GlyphStyle{Color: fill, Radius: radius, Shape: draw.CircleGlyph{}}, vg.Point{X: toX(x), Y: toY(y)})
}

// squares are unit squares by their lower left corner: the walls of a maze.
type squares struct {
	corners [][2]float64
	paint   paint
}

func (s squares) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	const overlap = 0.2 // points, or a seam shows between neighbours
	for _, at := range s.corners {
		fillRectangle(c, s.paint, toX(at[0])-overlap, toX(at[0]+1)+overlap, toY(at[1])-overlap, toY(at[1]+1)+overlap)
	}
}

// heat draws a matrix of correlations in [−1, 1], its first row on top: blue
// where positive, red where negative, as strong as they are.
type heat struct{ values [][]float64 }

func (h heat) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	const gap = 0.4
	for i, row := range h.values {
		top := float64(len(h.values) - i)
		for j, v := range row {
			fill := faint(blue, min(v, 1))
			if v < 0 {
				fill = faint(red, min(-v, 1))
			}
			if fill.alpha < 4 { // as good as the page's own colour
				continue
			}
			fillRectangle(c, fill, toX(float64(j))+gap, toX(float64(j+1))-gap, toY(top-1)+gap, toY(top)-gap)
		}
	}
}

// DataRange is where the axes must reach.
func (h heat) DataRange() (xMin, xMax, yMin, yMax float64) {
	return 0, float64(len(h.values)), 0, float64(len(h.values))
}
