package augment_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/layout"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	modeltraining "diffstitch/modelops/training"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/evaluate/truth"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/train"
	"diffstitch/testing/fixture"
	"diffstitch/testing/sockets"
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
		if _, err := exchange.GeneratePointMaze(context.Background(), exchange.GenerateOptions{Out: world.data, Episodes: 40, Seed: 5}); err != nil {
			panic(err)
		}
		if _, err := train.Run(context.Background(), training(world.data, world.models), nil); err != nil {
			panic(err)
		}
		tatu := training(world.data, world.rollouts)
		tatu.Methods = []modeltraining.Method{modeltraining.MethodTATU}
		if _, err := train.Run(context.Background(), tatu, nil); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

func training(data, models string) train.Options {
	return train.Options{
		Data: input.Data{Path: data}, Models: models, Preset: "tiny",
		Methods: []modeltraining.Method{modeltraining.MethodDiffStitch, modeltraining.MethodSynthER},
		Steps:   40, Seed: 2, Backend: "go", Runner: "prism",
	}
}

// augmenting is an augmentation of the world that keeps every stitch, as it was
// inpainted: to refine it takes longer than all the rest.
func augmenting(t *testing.T) augment.Options {
	o := augment.DefaultOptions()
	o.Data = input.Data{Path: world.data, MaxRejectShare: 0.01}
	o.Models, o.Out = world.models, filepath.Join(t.TempDir(), "out")
	o.Stitches, o.Batch, o.Candidates, o.Seed = 40, 16, 64, 7
	o.Sampler.Steps, o.Refine = 4, method.RefineOff
	o.Delta, o.Refine = method.Delta{Off: true}, method.RefineOff // as quick as can be
	o.Mix.RowGroupRows, o.Mix.PartRows = 500, 3000
	o.Backend = "go"
	return o
}

func run(t *testing.T, o augment.Options) snapshot.Snapshot {
	t.Helper()
	published, err := augment.Run(t.Context(), o, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return published
}

func TestTrainAndAugment(t *testing.T) {
	o := augmenting(t)
	published := run(t, o)
	checked, err := exchange.Inspect(t.Context(), o.Out, dataset.Options{}, true)
	if err != nil || checked.Err() != nil {
		t.Fatal(err, checked.Err(), checked.Violations)
	}
	originals := fixture.Episodes(t, world.data)
	all := fixture.Episodes(t, o.Out)
	if d := cmp.Diff(originals, all[:len(originals)]); d != "" {
		t.Error("the originals did not come through as they were", d)
	}
	checkStitches(t, originals, all[len(originals):], o.Stitches)
	m := published.Manifest
	if m.Original.Episodes != int64(len(originals)) || m.Stitched.Episodes == 0 || len(m.Models) != 4 || len(m.Inputs) != 1 || len(m.Parts) < 2 {
		t.Errorf("the manifest is off: %+v", m)
	}
	page, err := os.ReadFile(published.ReportPath())
	if err != nil || !strings.Contains(string(page), "<svg") {
		t.Errorf("the report: %v, %d bytes", err, len(page))
	}
}

// checkStitches holds the real rows of stitched episodes to the originals, and all the
// accepted bridges to be in one of them, some of them after another.
func checkStitches(t *testing.T, originals, stitched []*trajectory.Episode, attempted int64) {
	t.Helper()
	byID := map[int64]*trajectory.Episode{}
	for _, e := range originals {
		byID[e.ID] = e
	}
	bridges, chains := map[string]bool{}, 0
	for _, e := range stitched {
		p := e.Provenance
		if p == nil || p.Source != trajectory.Stitched || len(p.Errors) == 0 || len(p.Origins) != len(p.Bridges)+1 {
			t.Fatalf("stitched episode %d has provenance %+v", e.ID, p)
		}
		if len(p.Bridges) > 1 {
			chains++
		}
		row := 0
		for origin := range layout.Taken(e) {
			if origin != nil && !slices.Equal(byID[origin.EpisodeID].Observation(origin.Step), e.Observation(row)) {
				t.Fatalf("row %d of episode %d is not step %d of episode %d", row, e.ID, origin.Step, origin.EpisodeID)
			}
			row++
		}
		for i, b := range p.Bridges {
			bridges[fmt.Sprint(p.Origins[i].EpisodeID, e.Observation(b.From), p.Origins[i+1], e.Action(b.From))] = true
		}
	}
	if int64(len(bridges)) != attempted || chains == 0 {
		t.Errorf("%d bridges of %d in %d episodes with qualification off, %d of them of several", len(bridges), attempted, len(stitched), chains)
	}
}

func hashes(s snapshot.Snapshot) (sums []string) {
	for _, p := range s.Manifest.Parts {
		sums = append(sums, p.SHA256)
	}
	return sums
}

func TestSameDatasetOnAnyRunnerAtAnyParallelism(t *testing.T) {
	want := hashes(run(t, augmenting(t)))
	t.Run("direct", func(t *testing.T) {
		o := augmenting(t)
		o.Runner = "direct"
		if d := cmp.Diff(want, hashes(run(t, o))); d != "" {
			t.Error(d)
		}
	})
	t.Run("one processor", func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		if d := cmp.Diff(want, hashes(run(t, augmenting(t)))); d != "" {
			t.Error(d)
		}
	})
	t.Run("many processors", func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
		if d := cmp.Diff(want, hashes(run(t, augmenting(t)))); d != "" {
			t.Error(d)
		}
	})
}

func TestChooseBatch(t *testing.T) {
	o := augmenting(t)
	measured, err := augment.ChooseBatch(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Batch = measured[len(measured)-1].Batch
	if o.Batch < 1 || int64(o.Batch) > o.Stitches {
		t.Errorf("a batch of %d for %d stitches", o.Batch, o.Stitches)
	}
	plan, err := augment.PlanOf(o)
	if err != nil || !strings.Contains(string(plan.Configuration), fmt.Sprintf(`"batch":%d,`, o.Batch)) {
		t.Errorf("the configuration %s has not the batch %d: %v", plan.Configuration, o.Batch, err)
	}
	o.Sampler.Kind = "euler"
	if _, err := augment.ChooseBatch(o); !errors.Is(err, failure.ErrUsage) {
		t.Errorf("error %v", err)
	}
}

func TestEstimateOf(t *testing.T) {
	o := augmenting(t)
	plan, err := augment.EstimateOf(o, 2)
	if err != nil {
		t.Fatal(err)
	}
	one := plan.Estimate
	if one.StitchesPerSecond <= 0 || one.LoadSeconds <= 0 || one.Cost != 2*one.Hours || one.Hours*3600 < float64(o.Stitches)/one.StitchesPerSecond {
		t.Errorf("%d stitches: %+v", o.Stitches, one)
	}
	o.Stitches, o.Transitions = 0, 9000
	plan, err = augment.EstimateOf(o, 2)
	if err != nil {
		t.Fatal(err)
	}
	if open := plan.Estimate; open.StitchesPerSecond <= 0 || open.Hours != 0 {
		t.Errorf("%d transitions: %+v", o.Transitions, open)
	}
}

func TestRoundsGoOnUntilThereIsEnough(t *testing.T) {
	o := augmenting(t)
	o.Stitches, o.Transitions = 0, 9000
	if got := run(t, o).Manifest.Stitched.Transitions; got < o.Transitions {
		t.Errorf("D_aug has %d transitions, want %d", got, o.Transitions)
	}
}

func TestRoundsGiveUpWhenTooLittleIsAccepted(t *testing.T) {
	o := augmenting(t)
	o.Stitches, o.Transitions, o.Delta = 0, 1000, method.Delta{Value: 1e-9}
	_, err := augment.Run(t.Context(), o, nil, nil)
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
	m := run(t, o).Manifest
	ratio := float64(m.Original.Transitions) / float64(m.Stitched.Transitions)
	if ratio < 1.9 || ratio > 2.2 {
		t.Errorf("%d original and %d augmented transitions, want 2:1", m.Original.Transitions, m.Stitched.Transitions)
	}
}

func TestBridgesAlone(t *testing.T) {
	o := augmenting(t)
	o.Mix.Emit = mix.EmitBridge
	m := run(t, o).Manifest
	if m.Stitched.Transitions != m.Generated {
		t.Errorf("%d of %d stitched transitions are of bridges", m.Generated, m.Stitched.Transitions)
	}
	checked, err := exchange.Inspect(t.Context(), o.Out, dataset.Options{}, true)
	if err != nil || checked.Err() != nil {
		t.Error(err, checked.Err(), checked.Violations)
	}
}

func TestInterruptionLeavesTheCurrentSnapshot(t *testing.T) {
	o := augmenting(t)
	before := run(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	o.Seed++
	defer func(usual time.Duration) { engine.PollEvery = usual }(engine.PollEvery)
	engine.PollEvery = time.Millisecond
	_, err := augment.Run(ctx, o, nil, func(p observe.Progress) {
		if p.Task == "stitching" {
			cancel()
		}
	})
	if !failure.Interrupted(err) {
		t.Fatalf("error %v", err)
	}
	after, err := snapshot.Current(o.Out)
	if err != nil || after.ID != before.ID {
		t.Errorf("the current snapshot is %s, was %s: %v", after.ID, before.ID, err)
	}
}

// TestRefine leaves it to the models, which have nets that refine.
func TestRefine(t *testing.T) {
	o := augmenting(t)
	o.Refine, o.Stitches, o.Batch = "", 8, 4
	published := run(t, o)
	checked, err := exchange.Inspect(t.Context(), o.Out, dataset.Options{}, true)
	if err != nil || checked.Err() != nil {
		t.Fatal(err, checked.Err(), checked.Violations)
	}
	var made *snapshot.Stage
	for i, s := range published.Manifest.Stages {
		if s.Stage == "refine" {
			made = &published.Manifest.Stages[i]
		}
	}
	if made == nil || made.In != o.Stitches || made.Out != o.Stitches {
		t.Errorf("the stage of the refinement: %+v", made)
	}
	for _, e := range fixture.Episodes(t, o.Out) {
		if p := e.Provenance; p != nil && len(p.Residuals) != len(p.Errors) {
			t.Errorf("episode %d: %d residuals of %d generated transitions", e.ID, len(p.Residuals), len(p.Errors))
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for name, change := range map[string]func(*augment.Options){
		"stitches and transitions": func(o *augment.Options) { o.Transitions = 5 },
		"no amount":                func(o *augment.Options) { o.Stitches = 0 },
		"negative":                 func(o *augment.Options) { o.Stitches = -1 },
		"quantiles cross":          func(o *augment.Options) { o.Pools = rank.Config{Low: 0.9, High: 0.1} },
		"constant and window":      func(o *augment.Options) { o.Estimate.Constant, o.Estimate.MaxSteps = 3, 5 },
		"pairing":                  func(o *augment.Options) { o.Pairing = "best" },
		"no hops":                  func(o *augment.Options) { o.Hops = 0 },
		"concurrency":              func(o *augment.Options) { o.GPUConcurrency = 0 },
		"batch":                    func(o *augment.Options) { o.Batch = -1 },
		"emit":                     func(o *augment.Options) { o.Mix.Emit = "all" },
		"sampler":                  func(o *augment.Options) { o.Sampler.Kind = "euler" },
		"more steps than the model has": func(o *augment.Options) {
			o.Sampler.Steps = 1000
		},
		"refinement":            func(o *augment.Options) { o.Refine = "perhaps" },
		"terminal states":       func(o *augment.Options) { o.RejectTerminal = true },
		"negative disagreement": func(o *augment.Options) { o.MaxDisagreement = -1 },
		"among the data": func(o *augment.Options) {
			o.Data.Path, o.Out = filepath.Dir(world.data), filepath.Join(filepath.Dir(world.data), "out")
		},
		"least Δ over the horizon": func(o *augment.Options) { o.Estimate.MinSteps = 500 },
	} {
		t.Run(name, func(t *testing.T) {
			o := augmenting(t)
			change(&o)
			if _, err := augment.Run(t.Context(), o, nil, nil); !errors.Is(err, failure.ErrUsage) {
				t.Errorf("error %v", err)
			}
			if _, err := os.Stat(o.Out); !errors.Is(err, os.ErrNotExist) {
				t.Error("the output folder was made")
			}
		})
	}
}

// TestTruthOfStitches has a simulator judge what is made.
func TestTruthOfStitches(t *testing.T) {
	o := augmenting(t)
	run(t, o)
	judge := func() truth.Truth {
		t.Helper()
		found, err := truth.Judge(t.Context(), truth.Options{Data: input.Data{Path: o.Out}, Env: "pointmaze"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	found := judge()
	if found.Transitions == nil || found.Transitions.Count != found.Generated[trajectory.Stitched].Rows || found.Real.Max != 0 {
		t.Errorf("truth %+v", found)
	}
	if d := cmp.Diff(found.Text(), judge().Text()); d != "" {
		t.Errorf("judged twice (-first +second):\n%s", d)
	}
}

func ExampleRun() {
	out, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(out)
	o := augment.DefaultOptions()
	o.Data.Path, o.Models, o.Out = world.data, world.models, filepath.Join(out, "augmented")
	o.Stitches, o.Delta, o.Sampler.Steps, o.Backend = 32, method.Delta{Off: true}, 4, "go"
	o.Hops = 1 // the paper's: an episode of two others
	published, err := augment.Run(context.Background(), o, nil, nil)
	if err != nil {
		panic(err)
	}
	m := published.Manifest
	fmt.Println(m.Original.Episodes, "original and", m.Stitched.Episodes, "stitched episodes")
	// Output: 40 original and 32 stitched episodes
}

// TestPublishedIsHeldToItsManifest changes a D*, which then nobody reads.
func TestPublishedIsHeldToItsManifest(t *testing.T) {
	for name, test := range map[string]struct {
		change func(parts []string) error
		says   string
		hashes bool // whether it takes them to be seen
	}{
		"a part less":     {func(parts []string) error { return os.Remove(parts[1]) }, "no such file", false},
		"a part in place": {func(parts []string) error { return os.Rename(parts[1], parts[0]) }, "bytes, not", false},
		"another byte": {func(parts []string) error {
			f, err := os.OpenFile(parts[0], os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{0xff}, 1000)
			return errors.Join(err, f.Close())
		}, "SHA-256", true},
	} {
		t.Run(name, func(t *testing.T) {
			o := augmenting(t)
			published := run(t, o)
			parts, err := filepath.Glob(filepath.Join(published.DataDir(), "*"))
			if err != nil || len(parts) < 2 {
				t.Fatalf("%d parts: %v", len(parts), err)
			}
			if err := test.change(parts); err != nil {
				t.Fatal(err)
			}
			_, err = exchange.Inspect(t.Context(), o.Out, dataset.Options{}, true)
			if !errors.Is(err, failure.ErrData) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("inspect --verify: error %v, want one that says %q", err, test.says)
			}
			if _, err := (input.Data{Path: o.Out, Verify: test.hashes}).Open(); !errors.Is(err, failure.ErrData) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("opened as data: error %v, want one that says %q", err, test.says)
			}
		})
	}
}

// TestNothingListens looks for ports of this process while it augments.
func TestNothingListens(t *testing.T) {
	for _, runner := range []string{"prism", "direct"} {
		t.Run(runner, func(t *testing.T) {
			o := augmenting(t)
			o.Runner = runner
			done := sockets.Watch(t)
			run(t, o)
			if ports, looks := done(); len(ports) > 0 || looks < 10 {
				t.Errorf("it listened at %v, in %d looks", ports, looks)
			}
		})
	}
}

// TestExpect: a run that was planned upon another snapshot than the current one ends before
// it begins.
func TestExpect(t *testing.T) {
	o := augmenting(t)
	none := ""
	o.Expect = &none
	first := run(t, o)
	if _, err := augment.Run(t.Context(), o, nil, nil); !errors.Is(err, snapshot.ErrOvertaken) {
		t.Errorf("error %v", err)
	}
	if current, err := snapshot.Current(o.Out); err != nil || current.ID != first.ID {
		t.Errorf("current is %q: %v", current.ID, err)
	}
	o.Expect = &first.ID
	run(t, o)
}
