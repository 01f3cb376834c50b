package pipelines_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	modeltraining "diffstitch/modelops/training"
	"diffstitch/pipelines"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/mix"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
)

// world is a small dataset and models trained on it for a few steps, made once;
// TATU's, of which two are shared with DiffStitch but differ, in a folder of their own.
var world struct{ dir, data, models, rollouts string }

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "diffstitch")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		world.dir, world.data, world.models = dir, filepath.Join(dir, "maze.parquet"), filepath.Join(dir, "models")
		world.rollouts = filepath.Join(dir, "rollouts")
		if _, err := pipelines.GeneratePointMaze(context.Background(), pipelines.GenerateOptions{Out: world.data, Episodes: 40, Seed: 5}); err != nil {
			panic(err)
		}
		if _, err := pipelines.Train(context.Background(), training(world.data, world.models), nil); err != nil {
			panic(err)
		}
		tatu := training(world.data, world.rollouts)
		tatu.Methods = []modeltraining.Method{modeltraining.MethodTATU}
		if _, err := pipelines.Train(context.Background(), tatu, nil); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

func training(data, models string) pipelines.TrainOptions {
	return pipelines.TrainOptions{
		Data: pipelines.Data{Path: data}, Models: models, Preset: "tiny",
		Methods: []modeltraining.Method{modeltraining.MethodDiffStitch, modeltraining.MethodSynthER},
		Steps:   40, Seed: 2, Backend: "go", Runner: "prism",
	}
}

// augmenting is an augmentation of the world that keeps every stitch.
func augmenting(t *testing.T) pipelines.AugmentOptions {
	o := pipelines.DefaultAugment()
	o.Data = pipelines.Data{Path: world.data, MaxRejectShare: 0.01}
	o.Models, o.Out = world.models, filepath.Join(t.TempDir(), "out")
	o.Stitches, o.Batch, o.Candidates, o.Seed = 40, 16, 64, 7
	o.Sampler.Steps = 4
	o.Delta = pipelines.Delta{Off: true}
	o.Mix.RowGroupRows, o.Mix.PartRows = 500, 3000
	o.Backend = "go"
	return o
}

func augment(t *testing.T, o pipelines.AugmentOptions) snapshot.Snapshot {
	t.Helper()
	published, err := pipelines.Augment(t.Context(), o, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return published
}

func TestTrainAndAugment(t *testing.T) {
	o := augmenting(t)
	published := augment(t, o)
	checked, err := pipelines.Inspect(t.Context(), o.Out, dataset.Options{}, true)
	if err != nil || checked.Err() != nil {
		t.Fatal(err, checked.Err(), checked.Violations)
	}
	originals := fixture.Episodes(t, world.data)
	all := fixture.Episodes(t, o.Out)
	if d := cmp.Diff(originals, all[:len(originals)]); d != "" {
		t.Error("the originals did not come through as they were", d)
	}
	stitched := all[len(originals):]
	if int64(len(stitched)) != o.Stitches {
		t.Errorf("%d stitched episodes of %d with qualification off", len(stitched), o.Stitches)
	}
	for i, e := range stitched {
		if e.Provenance == nil || e.Provenance.Source != trajectory.Stitched || len(e.Provenance.Errors) == 0 {
			t.Errorf("stitched episode %d has provenance %+v", i, e.Provenance)
		}
	}
	m := published.Manifest
	if m.Original.Episodes != int64(len(originals)) || m.Stitched.Episodes != o.Stitches || len(m.Models) != 4 || len(m.Inputs) != 1 || len(m.Parts) < 2 {
		t.Errorf("the manifest is off: %+v", m)
	}
	page, err := os.ReadFile(published.ReportPath())
	if err != nil || !strings.Contains(string(page), "<svg") {
		t.Errorf("the report: %v, %d bytes", err, len(page))
	}
}

func hashes(s snapshot.Snapshot) (sums []string) {
	for _, p := range s.Manifest.Parts {
		sums = append(sums, p.SHA256)
	}
	return sums
}

func TestSameDatasetOnAnyRunnerAtAnyParallelism(t *testing.T) {
	want := hashes(augment(t, augmenting(t)))
	t.Run("direct", func(t *testing.T) {
		o := augmenting(t)
		o.Runner = "direct"
		if d := cmp.Diff(want, hashes(augment(t, o))); d != "" {
			t.Error(d)
		}
	})
	t.Run("one processor", func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		if d := cmp.Diff(want, hashes(augment(t, augmenting(t)))); d != "" {
			t.Error(d)
		}
	})
	t.Run("many processors", func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
		if d := cmp.Diff(want, hashes(augment(t, augmenting(t)))); d != "" {
			t.Error(d)
		}
	})
}

func TestChooseBatch(t *testing.T) {
	o := augmenting(t)
	measured, err := pipelines.ChooseBatch(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Batch = measured[len(measured)-1].Batch
	if o.Batch < 1 || int64(o.Batch) > o.Stitches {
		t.Errorf("a batch of %d for %d stitches", o.Batch, o.Stitches)
	}
	plan, err := pipelines.PlanAugment(o)
	if err != nil || !strings.Contains(string(plan.Configuration), fmt.Sprintf(`"batch":%d,`, o.Batch)) {
		t.Errorf("the configuration %s has not the batch %d: %v", plan.Configuration, o.Batch, err)
	}
	o.Sampler.Kind = "euler"
	if _, err := pipelines.ChooseBatch(o); !errors.Is(err, pipelines.ErrUsage) {
		t.Errorf("error %v", err)
	}
}

func TestRoundsGoOnUntilThereIsEnough(t *testing.T) {
	o := augmenting(t)
	o.Stitches, o.Transitions = 0, 9000
	if got := augment(t, o).Manifest.Stitched.Transitions; got < o.Transitions {
		t.Errorf("D_aug has %d transitions, want %d", got, o.Transitions)
	}
}

func TestRoundsGiveUpWhenTooLittleIsAccepted(t *testing.T) {
	o := augmenting(t)
	o.Stitches, o.Transitions, o.Delta = 0, 1000, pipelines.Delta{Value: 1e-9}
	_, err := pipelines.Augment(t.Context(), o, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "only 0 of 128 attempted stitches passed") {
		t.Error(err)
	}
	if _, err := snapshot.Current(o.Out); !errors.Is(err, snapshot.ErrNoSnapshot) {
		t.Error("something was published:", err)
	}
}

func TestRatioSaysHowMuchToMake(t *testing.T) {
	o := augmenting(t)
	o.Stitches, o.Mix.Ratio = 0, mix.Ratio{Original: 2, Augmented: 1}
	m := augment(t, o).Manifest
	ratio := float64(m.Original.Transitions) / float64(m.Stitched.Transitions)
	if ratio < 1.9 || ratio > 2.2 {
		t.Errorf("%d original and %d augmented transitions, want 2:1", m.Original.Transitions, m.Stitched.Transitions)
	}
}

func TestBridgesAlone(t *testing.T) {
	o := augmenting(t)
	o.Mix.Emit = mix.EmitBridge
	m := augment(t, o).Manifest
	if m.Stitched.Transitions != m.Generated {
		t.Errorf("%d of %d stitched transitions are of bridges", m.Generated, m.Stitched.Transitions)
	}
	checked, err := pipelines.Inspect(t.Context(), o.Out, dataset.Options{}, true)
	if err != nil || checked.Err() != nil {
		t.Error(err, checked.Err(), checked.Violations)
	}
}

func TestInterruptionLeavesTheCurrentSnapshot(t *testing.T) {
	o := augmenting(t)
	before := augment(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	o.Seed++
	defer pipelines.PollEvery(time.Millisecond)()
	_, err := pipelines.Augment(ctx, o, nil, func(p pipelines.Progress) {
		if p.Task == "stitching" {
			cancel()
		}
	})
	if !pipelines.Interrupted(err) {
		t.Fatalf("error %v", err)
	}
	after, err := snapshot.Current(o.Out)
	if err != nil || after.ID != before.ID {
		t.Errorf("the current snapshot is %s, was %s: %v", after.ID, before.ID, err)
	}
}

func TestInterruptedTrainingResumes(t *testing.T) {
	whole, err := session.Describe(world.models, modeltraining.KindsOf(modeltraining.MethodDiffStitch))
	if err != nil {
		t.Fatal(err)
	}
	models := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer pipelines.PollEvery(time.Millisecond)()
	_, err = pipelines.Train(ctx, training(world.data, models), func(p pipelines.Progress) {
		if p.Done > 0 {
			cancel()
		}
	})
	if !pipelines.Interrupted(err) {
		t.Fatalf("error %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(models, "*", "*")); err != nil || len(left) == 0 {
		t.Error("the training left nothing to go on from", err)
	}
	resumed, err := pipelines.Train(t.Context(), training(world.data, models), nil)
	if err != nil {
		t.Fatal(err)
	}
	for kind, model := range whole.Models {
		if resumed.Models[kind].Hash != model.Hash {
			t.Errorf("the %s model differs from that of an uninterrupted run", kind)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for name, change := range map[string]func(*pipelines.AugmentOptions){
		"stitches and transitions": func(o *pipelines.AugmentOptions) { o.Transitions = 5 },
		"no amount":                func(o *pipelines.AugmentOptions) { o.Stitches = 0 },
		"negative":                 func(o *pipelines.AugmentOptions) { o.Stitches = -1 },
		"quantiles cross":          func(o *pipelines.AugmentOptions) { o.Pools = rank.Config{Low: 0.9, High: 0.1} },
		"constant and window":      func(o *pipelines.AugmentOptions) { o.Estimate.Constant, o.Estimate.MaxSteps = 3, 5 },
		"pairing":                  func(o *pipelines.AugmentOptions) { o.Pairing = "best" },
		"concurrency":              func(o *pipelines.AugmentOptions) { o.GPUConcurrency = 0 },
		"batch":                    func(o *pipelines.AugmentOptions) { o.Batch = -1 },
		"emit":                     func(o *pipelines.AugmentOptions) { o.Mix.Emit = "all" },
		"sampler":                  func(o *pipelines.AugmentOptions) { o.Sampler.Kind = "euler" },
		"more steps than the model has": func(o *pipelines.AugmentOptions) {
			o.Sampler.Steps = 1000
		},
		"disagreement of one net":  func(o *pipelines.AugmentOptions) { o.MaxDisagreement = 0.1 },
		"terminal states":          func(o *pipelines.AugmentOptions) { o.RejectTerminal = true },
		"negative disagreement":    func(o *pipelines.AugmentOptions) { o.MaxDisagreement = -1 },
		"least Δ over the horizon": func(o *pipelines.AugmentOptions) { o.Estimate.MinSteps = 500 },
	} {
		t.Run(name, func(t *testing.T) {
			o := augmenting(t)
			change(&o)
			if _, err := pipelines.Augment(t.Context(), o, nil, nil); !errors.Is(err, pipelines.ErrUsage) {
				t.Errorf("error %v", err)
			}
			if _, err := os.Stat(o.Out); !errors.Is(err, os.ErrNotExist) {
				t.Error("the output folder was made")
			}
		})
	}
}
