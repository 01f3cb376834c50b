package report

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sampleStudy is a study with every section, of made-up numbers.
func sampleStudy() Study {
	row := func(label string, iql, td3bc float64, paper ...string) ScoreRow {
		return ScoreRow{Label: label, Paper: paper, Scores: []Score{
			{Seeds: []float64{iql - 3, iql, iql + 3}, Mean: iql, SD: 3}, {Seeds: []float64{td3bc - 5, td3bc + 1, td3bc + 4}, Mean: td3bc, SD: 4.6},
		}}
	}
	half, p, small := 0.5, 0.0314, 0.00004
	s := Study{
		Title:    "Original data, baselines and DiffStitch",
		Created:  time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		Software: "diffstitch 0.1.0",
		Summary:  []Fact{{"environment", "pointmaze"}, {"scale", "small"}, {"seeds", "3"}},
		Scores: Scores{
			Text: "Normalised scores: 0 is a random policy, 100 an expert.", Learners: []string{"IQL", "TD3+BC"}, PaperName: "halfcheetah-medium-expert",
			Rows: []ScoreRow{
				row("original data", 42, 37, "92.7", "94.3"), row("SynthER", 31, 30, "88.9", "86.5"), row("DiffStitch", 55, -4, "94.4", "96.0"),
				{Label: "nothing", Scores: []Score{{Missing: "nothing was accepted"}, {Missing: "failed"}}, Paper: []string{"", ""}},
			},
		},
		Paper: &PaperTable{
			Name: "Table 1", Source: "Li et al., ICML 2024", Head: []string{"dataset", "method", "IQL", "TD3+BC"},
			Rows: [][]string{{"pen-human", "original data", "79.1", "−3.3"}},
		},
		Recipes: []Recipe{
			{Label: "original data"}, {Label: "SynthER"},
			{
				Label: "DiffStitch", Stitched: true, Done: true, Pairing: "uniform", Similarity: "cosine of raw states", Sampler: "ddpm, all steps",
				Steps: "estimated", Delta: "2", Refinement: "none",
			},
			{Label: "nothing", Stitched: true, Pairing: "reachable", Similarity: "distance of raw states", Sampler: "ddim, 20 steps", Steps: "constant 6", Delta: "off"},
		},
		Amounts: []Amount{
			{Name: "D* by SynthER", Episodes: 20_000, Transitions: 20_000, Original: 75_000},
			{Name: "D* by DiffStitch", Attempted: 512, Accepted: 115, Delta: "0.37", Episodes: 115, Transitions: 21_345, Original: 75_000},
			{Name: "D* by TATU", Missing: "failed"},
		},
		Steps: []StudyStep{
			{Kind: "data", Title: "the built-in maze, 500 episodes", Key: "data-8d51573a6de3", Work: "500 episodes", State: "finished", Seconds: 0.8},
			{Kind: "cell", Title: "IQL on the data", Key: "cell-b508b13f17d3", Work: "4000 updates", State: "failed"},
		},
		Notices:       []string{"IQL on D*: it diverged"},
		Command:       "diffstitch study main",
		Configuration: json.RawMessage(`{"study": "main", "scale": {"name": "small"}}`),
	}
	rows := s.Scores.Rows
	rows[0].Scores[1].Success, rows[1].Scores[0].P = &half, &small
	rows[1].Scores[1].Success, rows[1].Scores[1].P, rows[1].Scores[1].SuccessP = &half, &p, &small
	for _, title := range []string{"IQL, actor loss", "TD3+BC, critic loss"} {
		f := CurveFigure{Title: title, Label: "loss"}
		for i := range 3 {
			var points []LossPoint
			for step := 0; step <= 4000; step += 100 {
				points = append(points, LossPoint{step, float64(1+i) * math.Exp(-float64(step)/1500)})
			}
			f.Lines = append(f.Lines, CurveLine{Row: i, Points: points})
		}
		s.Curves = append(s.Curves, f)
	}
	return s
}

func writtenStudy(t *testing.T, s Study) string {
	t.Helper()
	buf := new(bytes.Buffer)
	if err := WriteStudy(buf, s); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestStudyPage(t *testing.T) {
	got := writtenStudy(t, sampleStudy())
	if *samplePath != "" {
		if err := os.WriteFile(*samplePath+".study.html", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"Scores", "How each row’s data was made", "The paper’s numbers", "Augmented data", "Learning", "Steps", "To do it again", "Configuration"}
	if d := cmp.Diff(want, headings(got)); d != "" {
		t.Errorf("sections (-want +got):\n%s", d)
	}
	for _, want := range []string{
		`<td class="number">42.0 ± 3.0</td><td class="paper">92.7</td>`, `<th>paper, halfcheetah-medium-expert</th>`, "−4.0 ± 4.6",
		"37.0 ± 4.6, 50 %<", "31.0 ± 3.0 (p &lt; 0.001)<", "30.0 ± 4.6 (p = 0.031), 50 % (p &lt; 0.001)<",
		"– nothing was accepted", "Table 1 of Li et al., ICML 2024", "115 (22.5 %)", "diffstitch study main", "scale.name", "it diverged",
		"<td>DiffStitch</td><td>uniform</td><td>cosine of raw states</td><td>ddpm, all steps</td><td>estimated</td><td>2</td><td>none</td>",
		"<td>SynthER</td><td>–</td><td>–</td><td>–</td><td>–</td><td>–</td><td>–</td>",
		"<td>nothing (asked for, not made)</td><td>reachable</td><td>distance of raw states</td><td>ddim, 20 steps</td><td>constant 6</td><td>off</td><td>–</td>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	checkAlone(t, got)
}

// TestThinStudy draws a study of which nothing is done.
func TestThinStudy(t *testing.T) {
	s := Study{Title: "empty", Scores: Scores{Learners: []string{"IQL"}, Rows: []ScoreRow{
		{Label: "a", Scores: []Score{{Missing: "not done"}}},
		{Label: "b", Scores: []Score{{Mean: math.NaN()}}},
	}}}
	got := writtenStudy(t, s)
	if d := cmp.Diff([]string{"Scores"}, headings(got)); d != "" {
		t.Errorf("sections (-want +got):\n%s", d)
	}
	if strings.Contains(got, "<figure") {
		t.Error("a picture of nothing is drawn")
	}
}

// TestOneScore draws scores that are all the same.
func TestOneScore(t *testing.T) {
	got := writtenStudy(t, Study{Scores: Scores{Learners: []string{"IQL"}, Rows: []ScoreRow{{Label: "a", Scores: []Score{{Seeds: []float64{7}, Mean: 7}}}}}})
	if regexp.MustCompile(`NaN|Inf\b`).MatchString(got) || !strings.Contains(got, "7.0 ± 0.0") {
		t.Error("a single score is not drawn")
	}
}
