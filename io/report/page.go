package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"gonum.org/v1/plot"
)

//go:embed page.html.tmpl
var pageText string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(pageStyle) },
}).Parse(pageText))

// page is what the template shows.
type page struct {
	Report
	Tiles    []tile
	Sections []section
}

// tile is one figure in large letters.
type tile struct{ Value, Label string }

// section is a part of the page; whatever it does not have is left out.
type section struct {
	ID, Title string
	Text      string // a sentence or two: what is seen, and what would be good
	Legend    []key
	Figures   []figure
	Bars      []bar
	Table     *table
}

// add draws a plot into the section.
func (s *section) add(f figure, p *plot.Plot, at size) error {
	svg, err := render(p, at, f.Title)
	if err != nil {
		return err
	}
	f.SVG, f.Class = svg, at.class()
	s.Figures = append(s.Figures, f)
	return nil
}

// key is an entry of a legend.
type key struct {
	Tone  string // name of the colour
	Label string
	Shape string // swatch, line, dot, ring
}

func keyOf(t tone, shape, label string) key {
	return key{Tone: toneNames[t], Shape: shape, Label: label}
}

// figure is a picture with its caption above.
type figure struct {
	Class  string // half, third or quarter of the page's width
	Title  string
	Note   string
	Legend []key
	SVG    template.HTML
}

// bar is a row of a bar list.
type bar struct {
	Label, Unit string
	Share       float64 // of the full width, in percent
	Value       string
	Details     []Fact
}

// table has cells of text; a class marks a cell as met, missed or number.
type table struct {
	Head []string
	Rows [][]cell
}

type cell struct{ Text, Class string }

func newPage(r Report) (page, error) {
	p := page{Report: r, Tiles: tiles(r)}
	err := addSections(&p, r,
		truthSection, scaleSection, pathsSection, funnelSection, attemptsSection, returnsSection, marginalsSection,
		correlationsSection, lossSection, heldOutSection, timeSection, modelsSection, metricsSection, rejectsSection, configurationSection)
	return p, err
}

// addSections adds the sections of what is shown, those that have something to
// show.
func addSections[T any](p *page, shown T, sections ...func(T) (section, error)) error {
	for _, build := range sections {
		s, err := build(shown)
		if err != nil {
			return err
		}
		if s.Title != "" {
			s.ID = strings.ReplaceAll(strings.ToLower(s.Title), " ", "-")
			p.Sections = append(p.Sections, s)
		}
	}
	return nil
}

// tiles are the run in a few numbers.
func tiles(r Report) []tile {
	var tiles []tile
	if r.Truth != nil {
		for _, fact := range r.Truth.Lead {
			tiles = append(tiles, tile{fact.Value, fact.Name})
		}
	}
	if h := r.Headline; h != nil {
		tiles = append(tiles,
			tile{whole(h.Attempted), cmp.Or(h.Unit, "stitches") + " attempted"},
			tile{percent(h.Accepted, h.Attempted), fmt.Sprintf("accepted (%s)", whole(h.Accepted))},
			tile{whole(h.Before) + " → " + whole(h.After), "transitions, before and after"})
	}
	if len(r.Returns) > 0 {
		gain := median(gains(r.Returns))
		tiles = append(tiles, tile{signed(gain), "median gain in return-to-go"})
	}
	return tiles
}

func signed(v float64) string {
	if v > 0 {
		return "+" + number(v)
	}
	return number(v)
}

func percent(part, of int64) string {
	if of == 0 {
		return "–"
	}
	return number(100*float64(part)/float64(of)) + " %"
}

// whole writes 1234567 as 1 234 567, with thin spaces.
func whole(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}
