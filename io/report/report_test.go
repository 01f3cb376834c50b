package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var samplePath = flag.String("sample", "", "write the sample report to this file, to be looked at")

func written(t *testing.T, r Report) string {
	t.Helper()
	buf := new(bytes.Buffer)
	if err := Write(buf, r); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestSample(t *testing.T) {
	got := written(t, sample())
	if *samplePath != "" {
		if err := os.WriteFile(*samplePath, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"Judged by the simulator", "True one-step error", "Stitched trajectories", "Stages", "Step estimation and qualification", "Returns",
		"Generated transitions against real ones", "Correlations", "Training", "Held-out error of the dynamics model", "Time by stage",
		"Models at work", "Measurements", "Rejected input", "Configuration",
	}
	if diff := cmp.Diff(want, headings(got)); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
	for _, want := range []string{"δ = 0.35", "18446744073709551615", "21.3 %", "120\u202f000", "value is not finite", "64", "3.29 s", "estimate <b>41.2 s</b>", "<td class=\"missed\">2</td>"} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if len(got) > 3<<20 {
		t.Errorf("the page takes %d bytes", len(got))
	}
}

func headings(page string) (all []string) {
	for _, match := range regexp.MustCompile(`<h2>(.*?)</h2>`).FindAllStringSubmatch(page, -1) {
		all = append(all, match[1])
	}
	return all
}

// TestWithoutMaze draws principal components in place of maps.
func TestWithoutMaze(t *testing.T) {
	r := sample()
	r.Paths.Maze = nil
	got := written(t, r)
	if !strings.Contains(got, "first component") || strings.Contains(got, "cells of the maze") {
		t.Error("the paths are not drawn by their components")
	}
	if *samplePath != "" {
		if err := os.WriteFile(*samplePath+".components.html", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPageNeedsNothingElse(t *testing.T) {
	got := written(t, sample())
	if n := strings.Count(got, "<svg"); n < 20 {
		t.Errorf("only %d pictures", n)
	}
	checkAlone(t, got)
}

// checkAlone checks that a page needs nothing else, and that its pictures are
// well-formed.
func checkAlone(t *testing.T, page string) {
	t.Helper()
	for _, pattern := range []string{`<script`, `(src|href)="[^#]`, `url\(`, `@import`, `#F00D`, `ZgotmplZ`, `NaN`, `Inf\b`} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("the page holds %q", found)
		}
	}
	for _, use := range regexp.MustCompile(`var\(--([a-z-]*)\)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(pageStyle, "--"+use[1]+":") {
			t.Errorf("the style has no colour %q", use[1])
		}
	}
	for _, picture := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
		decoder := xml.NewDecoder(strings.NewReader(picture))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %.300s", err, picture)
			}
		}
	}
}

func TestSameDataSamePage(t *testing.T) {
	first, second := written(t, sample()), written(t, sample())
	if first != second {
		t.Error("two pages of the same data differ")
	}
}

func TestEscapes(t *testing.T) {
	r := Report{Title: "<b>&", Configuration: []byte(`{"path": "<i>"}`), Rejects: []Reject{{"<script>", "x"}}}
	if got := written(t, r); strings.Contains(got, "<b>&") || strings.Contains(got, "<i>") || strings.Contains(got, "<script>") {
		t.Error("text of the run got into the page as markup")
	}
}

// TestThinData draws what little a run may have: nothing may panic, and a page
// comes out.
func TestThinData(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	tests := map[string]struct {
		report Report
		want   []string
	}{
		"nothing":     {Report{Title: "empty"}, nil},
		"no attempts": {Report{Headline: &Headline{}, Truth: &Truth{}}, []string{"Judged by the simulator"}},
		"one attempt": {Report{Attempts: []Attempt{{Steps: 3, MaxError: 0.5}}, Threshold: 0.1}, []string{"Step estimation and qualification"}},
		"errors of zero": {Report{
			Attempts: []Attempt{{}, {}, {}}, Threshold: 0.1,
			Truth: &Truth{Judged: []Judged{{}, {}, {MaxError: 1}}},
		}, []string{"Judged by the simulator", "Step estimation and qualification"}},
		"two that are far apart": {Report{
			Truth: &Truth{Judged: []Judged{{MaxError: 0.01, TrueError: 0.01}, {MaxError: 0.5, TrueError: 0.5}}},
		}, []string{"Judged by the simulator"}},
		"one kind of transitions": {Report{Truth: &Truth{Kinds: []Errors{{Name: "real", Values: []float64{0, 0}}, {Name: "synther"}}}}, []string{"True one-step error"}},
		"not finite": {Report{
			Attempts: []Attempt{{MaxError: nan}, {MaxError: inf}, {MaxError: 1}},
			Returns:  []Return{{nan, 1}, {1, 1}},
			Pools:    &Pools{Low: []float64{nan}},
			Losses:   []Loss{{Model: "m", Train: []LossPoint{{1, nan}, {2, 0}, {3, 1}}}},
			Truth:    &Truth{Judged: []Judged{{nan, 1, true}, {1, 1, true}}, Kinds: []Errors{{Name: "real", Values: []float64{nan, inf, 1}}}},
		}, []string{"Judged by the simulator", "True one-step error", "Step estimation and qualification", "Returns", "Training"}},
		"constant columns": {Report{Transitions: &Comparison{
			Columns: []string{"a", "b"}, Real: []float32{1, 2, 1, 2}, Generated: []float32{1, 3, 1, 4},
		}}, []string{"Generated transitions against real ones", "Correlations"}},
		"one column": {Report{Transitions: &Comparison{
			Columns: []string{"a"}, Real: []float32{1}, Generated: []float32{1},
		}}, []string{"Generated transitions against real ones"}},
		"one state": {Report{Paths: &Paths{ObservationDim: 3, Paths: []Path{{States: []float32{1, 2, 3}, Bridges: []Span{{0, 1}}}}}}, nil},
		"a path that stands still": {Report{Paths: &Paths{ObservationDim: 2, Paths: []Path{
			{States: make([]float32, 10), Bridges: []Span{{1, 3}}}}}}, []string{"Stitched trajectories"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := written(t, test.report)
			if diff := cmp.Diff(test.want, headings(got)); diff != "" {
				t.Errorf("sections (-want +got):\n%s", diff)
			}
			if found := regexp.MustCompile(`NaN|Inf\b`).FindString(got); found != "" {
				t.Errorf("the page holds %s", found)
			}
		})
	}
}

func TestManyDimensions(t *testing.T) {
	c := &Comparison{}
	for i := range 60 {
		c.Columns = append(c.Columns, "s"+number(float64(i)))
	}
	for i := range 60 * 50 {
		c.Real = append(c.Real, float32(i*i%97))
		c.Generated = append(c.Generated, float32(i*i%89))
	}
	got := written(t, Report{Transitions: c})
	if n := strings.Count(got, `<figure class="quarter">`); n != shownColumns {
		t.Errorf("%d marginals are drawn, want %d", n, shownColumns)
	}
	if !strings.Contains(got, "The 24 of 60 dimensions that differ most are drawn.") {
		t.Error("the page does not say that it leaves some out")
	}
}

func TestBadConfiguration(t *testing.T) {
	if err := Write(io.Discard, Report{Configuration: []byte("{")}); err == nil {
		t.Error("wrote a report of a broken configuration")
	}
}
