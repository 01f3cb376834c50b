package report

import (
	"bytes"
	"fmt"
	"html/template"
	"math"
	"regexp"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A paint is one of the page's colours, which differ between the light and the
// dark scheme. In a picture it stands as a number that render replaces by the
// CSS variable.
type paint struct {
	tone  tone
	alpha uint8
}

type tone uint8

const (
	ink tone = iota + 1
	muted
	grid
	surface
	blue
	orange
	green
	red
	grey
)

var toneNames = map[tone]string{
	ink: "ink", muted: "muted", grid: "grid", surface: "surface",
	blue: "blue", orange: "orange", green: "green", red: "red", grey: "grey",
}

func solid(t tone) paint            { return paint{t, 255} }
func faint(t tone, a float64) paint { return paint{t, uint8(math.Round(255 * a))} }

// The two bytes that mark a colour of ours, and the pattern of the whole.
const mark0, mark1 = 0xF0, 0x0D

var markPattern = regexp.MustCompile(`#F00D([0-9A-F]{2})`)

// RGBA is half a step above each number: vgsvg divides by alpha and rounds
// down, and must find the same numbers whatever the alpha.
func (p paint) RGBA() (r, g, b, a uint32) {
	a = uint32(p.alpha) * 0x101
	scale := func(v float64) uint32 { return uint32((v + 0.5) * float64(a) / 255) }
	return scale(mark0), scale(mark1), scale(float64(p.tone)), a
}

// A size of a picture, in points. The page scales it to the width it has, so
// wide and narrow pictures get letters of one size.
type size struct{ width, height vg.Length }

var (
	half    = size{400, 235}
	third   = size{262, 200}
	quarter = size{196, 132}
)

// class is the style's name for the picture's width.
func (s size) class() string {
	switch s.width {
	case half.width:
		return "half"
	case third.width:
		return "third"
	default:
		return "quarter"
	}
}

var (
	prologue   = regexp.MustCompile(`(?s)^.*?<svg[^>]*?(viewBox="[^"]*")[^>]*>`)
	fontFamily = regexp.MustCompile(`font-family:[^;"]*;font-variant:[^;"]*;font-weight:normal;font-style:normal;`)
)

// render draws a plot as an SVG element for the page; alt says what it shows to
// those who cannot see it.
func render(p *plot.Plot, s size, alt string) (template.HTML, error) {
	c := vgsvg.New(s.width, s.height)
	drawLabelled(draw.New(c), p)
	buf := new(bytes.Buffer)
	if _, err := c.WriteTo(buf); err != nil {
		return "", fmt.Errorf("%s: %w", alt, err)
	}
	open := fmt.Sprintf(`<svg $1 role="img" aria-label="%s">`, template.HTMLEscapeString(alt))
	svg := prologue.ReplaceAll(buf.Bytes(), []byte(open))
	svg = fontFamily.ReplaceAll(svg, nil)
	svg = markPattern.ReplaceAllFunc(svg, func(match []byte) []byte {
		n, err := strconv.ParseUint(string(match[5:]), 16, 8)
		if err != nil {
			return match
		}
		return []byte("var(--" + toneNames[tone(n)] + ")")
	})
	return template.HTML(svg), nil
}

// drawLabelled draws a plot and then the names of its axes, in the middle of
// each. The plot itself takes the middle of a logarithmic axis for the middle of
// its range, and would leave room there for a name that ends elsewhere.
func drawLabelled(c draw.Canvas, p *plot.Plot) {
	x, y := p.X.Label, p.Y.Label
	p.X.Label.Text, p.Y.Label.Text = "", ""
	left, bottom := vg.Length(0), vg.Length(0)
	if x.Text != "" {
		bottom = x.TextStyle.Height(x.Text) + x.Padding
	}
	if y.Text != "" {
		left = y.TextStyle.Height(y.Text) + y.Padding
	}
	inner := draw.Crop(c, left, 0, bottom, 0)
	p.Draw(inner)
	data := p.DataCanvas(inner)
	middle := data.Center()
	x.TextStyle.YAlign = draw.YBottom
	c.FillText(x.TextStyle, vg.Point{X: middle.X, Y: c.Min.Y + x.TextStyle.FontExtents().Descent}, x.Text)
	y.TextStyle.Rotation, y.TextStyle.YAlign = math.Pi/2, draw.YTop
	c.FillText(y.TextStyle, vg.Point{X: c.Min.X, Y: middle.Y}, y.Text)
}

// newPlot is a plot in the page's style: quiet axes, horizontal grid lines, the
// data in front.
func newPlot(xLabel, yLabel string) *plot.Plot {
	p := barePlot(xLabel, yLabel)
	p.Add(gridLines{})
	return p
}

func barePlot(xLabel, yLabel string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color = solid(grid)
		axis.Width = vg.Points(0.75)
		axis.Padding = 0
		axis.Tick.LineStyle.Width = 0
		axis.Tick.Length = 0
		axis.Tick.Label.Font = sans(9.5)
		axis.Tick.Label.Color = solid(muted)
		axis.Tick.Marker = niceTicks{5}
		axis.Label.TextStyle.Font = sans(10)
		axis.Label.TextStyle.Color = solid(muted)
		axis.Label.Padding = vg.Points(5)
	}
	p.X.Label.Text, p.Y.Label.Text = xLabel, yLabel
	p.X.Padding, p.Y.Padding = vg.Points(4), vg.Points(5)
	p.Y.Width = 0
	return p
}

func sans(points float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(points)}
}

// setLog makes an axis logarithmic; all that is drawn must be positive.
func setLog(axis *plot.Axis) {
	axis.Scale = plot.LogScale{}
	axis.Tick.Marker = logTicks{}
	axis.Label.Text += ", log scale"
}

func setLogWhereSpans(axis *plot.Axis, values []float64) {
	if spans(values) {
		setLog(axis)
	}
}

// spans is whether positive values spread so far that a logarithmic axis shows
// them better.
func spans(values []float64) bool {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = math.Min(low, v), math.Max(high, v)
	}
	return low > 0 && high/low > 20
}

// niceTicks are about n round numbers.
type niceTicks struct{ n int }

func (t niceTicks) Ticks(low, high float64) []plot.Tick {
	if !(high > low) {
		return nil
	}
	step := roundStep((high - low) / float64(t.n))
	var ticks []plot.Tick
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: tickLabel(i*step, step)})
	}
	return ticks
}

// tickLabel has the decimals that the step needs.
func tickLabel(v, step float64) string {
	if math.Abs(v) < step/2 {
		return "0"
	}
	if step >= 1e3 || step < 1e-4 {
		return number(v)
	}
	return minus(strconv.FormatFloat(v, 'f', max(0, -int(math.Floor(math.Log10(step)+1e-9))), 64))
}

// roundStep is the next of 1, 2, 5 times a power of ten.
func roundStep(step float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 5} {
		if step <= m*unit*(1+1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}

// logTicks are powers of ten, with 2 and 5 times them where there is room.
type logTicks struct{}

func (logTicks) Ticks(low, high float64) []plot.Tick {
	if low <= 0 || !(high > low) {
		return nil
	}
	decades := math.Log10(high / low)
	multiples, every := []float64{1}, int(math.Ceil(decades/6))
	if decades < 1.3 {
		multiples = []float64{1, 2, 5}
	} else if decades < 3.2 {
		multiples = []float64{1, 3}
	}
	var ticks []plot.Tick
	for e := int(math.Floor(math.Log10(low))); e <= int(math.Ceil(math.Log10(high))); e++ {
		if e%every != 0 {
			continue
		}
		for _, m := range multiples {
			if v := m * math.Pow10(e); v >= low*(1-1e-9) && v <= high*(1+1e-9) {
				ticks = append(ticks, plot.Tick{Value: v, Label: number(v)})
			}
		}
	}
	return ticks
}

// number is a short form: three digits, k and M for thousands and millions.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case !isFinite(v):
		return "–"
	case a < 1e-12:
		return "0"
	case a >= 1e6:
		return minus(trimmed(v/1e6) + "M")
	case a >= 1e4:
		return minus(trimmed(v/1e3) + "k")
	case a < 1e-3:
		return minus(strconv.FormatFloat(v, 'g', 2, 64))
	default:
		return minus(trimmed(v))
	}
}

// trimmed has three significant digits, all of those before the point.
func trimmed(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	if err != nil {
		rounded = v
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

func minus(s string) string {
	if s[0] == '-' {
		return "−" + s[1:]
	}
	return s
}
