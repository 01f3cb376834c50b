package study

import (
	"context"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/session"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/train"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	os.Exit(m.Run())
}

// hasty are the real pipelines, with models that are trained for a few steps, and
// any stitch of which is accepted.
func hasty() Tools {
	tools := Pipelines
	tools.Train = func(ctx context.Context, o train.Options, show func(observe.Progress)) (session.Info, error) {
		o.Steps = 20
		return train.Run(ctx, o, show)
	}
	tools.Augment = func(ctx context.Context, o augment.Options, judge augment.Judge, show func(observe.Progress)) (snapshot.Snapshot, error) {
		if string(o.Method) == DiffStitch {
			o.Delta, o.Sampler.Steps, o.Batch = method.Delta{Off: true}, 2, 8
		}
		return augment.Run(ctx, o, judge, show)
	}
	return tools
}

// TestEndToEnd does a study on the maze by the real pipelines, and again.
func TestEndToEnd(t *testing.T) {
	o := onGo(t, Main)
	o.Methods, o.Learners = []string{Original, DiffStitch}, []string{IQL}
	o.Stitches, o.Updates, o.Seeds, o.Episodes = 8, 20, 2, 1
	result, err := Run(t.Context(), o, hasty(), Watch{}, "diffstitch study main")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range result.Rows {
		scores := result.Records[row.Cells[IQL]].Outcome.Scores
		if scores == nil || len(scores.Seeds) != 2 || math.IsNaN(scores.Score) || len(scores.Curves) == 0 {
			t.Errorf("%s has the scores %+v", row.Label, scores)
		}
	}
	made := result.Records[result.Rows[1].Data].Outcome.Augmented
	if made.Attempted != 8 || made.Accepted != 8 || made.Added.Transitions == 0 {
		t.Errorf("D* is %+v", made)
	}
	page, err := os.ReadFile(result.Page)
	if err != nil || !strings.Contains(string(page), "8 (100 %)") {
		t.Errorf("the page, %d bytes, does not say what was accepted: %v", len(page), err)
	}
	// What the run did, not what the study asked for: hasty changes the sampler and δ.
	for _, want := range []string{
		"<td>DiffStitch</td><td>crossings, at most 3 bridges</td><td>distance of normalised states</td><td>ddim, 2 steps</td><td>i* − 1</td><td>off</td><td>8 of 8 stitches</td>",
		"<td>original data</td><td>–</td>",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	var kept Result
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(result.Page), "study.json"))
	if err != nil || json.Unmarshal(raw, &kept) != nil || len(kept.Records) != len(result.Steps) {
		t.Errorf("study.json has %d records of %d steps: %v", len(kept.Records), len(result.Steps), err)
	}

	f := &fakes{}
	again, err := doStudy(t, o, f)
	if err != nil || len(f.done) > 0 {
		t.Errorf("the second time: %v, done again: %v", err, f.done)
	}
	if again.Text() != result.Text() {
		t.Errorf("the second time:\n%swas:\n%s", again.Text(), result.Text())
	}
}

// TestScalesEndToEnd does the ablation at each published scale by the real pipelines,
// of fewer denoising steps: the page says what each row's run did.
func TestScalesEndToEnd(t *testing.T) {
	for scale, want := range map[string][]string{
		"paper": {
			"<td>DiffStitch</td><td>uniform</td><td>cosine of raw states</td><td>ddpm, 2 steps, variance beta</td><td>i*</td><td>0.37</td><td>none</td>",
			"<td>− augmentation</td><td>–</td><td>–</td><td>–</td><td>–</td><td>–</td><td>–</td>",
			"<td>− step estimation (Δ = 6)</td><td>uniform</td><td>none</td><td>ddpm, 2 steps, variance beta</td><td>constant 6</td><td>0.37</td><td>none</td>",
			"<td>− qualification</td><td>uniform</td><td>cosine of raw states</td><td>ddpm, 2 steps, variance beta</td><td>i*</td><td>off</td><td>none</td>",
		},
		"reference": {
			"<td>DiffStitch</td><td>reference</td><td>cosine of the denoiser&#39;s states, one at random from 0.9 on</td><td>ddpm, 2 steps, noise × 0.5</td>" +
				"<td>i* − 1, at most 5</td><td>1.225 standard deviations</td><td>none</td>",
			"<td>− step estimation (Δ = 6, uniform pairs)</td><td>uniform</td><td>none</td><td>ddpm, 2 steps, noise × 0.5</td><td>constant 6</td>",
		},
	} {
		t.Run(scale, func(t *testing.T) {
			o := scaled(t, Ablation, scale)
			o.Preset, o.Learners = "tiny", []string{IQL}
			o.Stitches, o.Updates, o.Seeds, o.Episodes = 8, 5, 1, 1
			tools := hasty()
			tools.Generate = func(ctx context.Context, o exchange.GenerateOptions) (int64, error) {
				o.Episodes = 60
				return exchange.GeneratePointMaze(ctx, o)
			}
			tools.Augment = func(ctx context.Context, o augment.Options, judge augment.Judge, show func(observe.Progress)) (snapshot.Snapshot, error) {
				o.Sampler.Steps, o.Batch = 2, 8
				return augment.Run(ctx, o, judge, show)
			}
			result, err := Run(t.Context(), o, tools, Watch{}, "")
			if err != nil {
				t.Fatal(err)
			}
			page, err := os.ReadFile(result.Page)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range want {
				if !strings.Contains(string(page), row) {
					t.Errorf("the page lacks %q", row)
				}
			}
		})
	}
}
