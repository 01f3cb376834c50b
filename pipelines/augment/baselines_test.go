package augment_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	modeltraining "diffstitch/modelops/training"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/failure"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/mix"

	"github.com/google/go-cmp/cmp"
)

// baselines are the methods that generate episodes whole, with the source of theirs.
var baselines = map[modeltraining.Method]string{
	modeltraining.MethodSynthER: trajectory.SynthER,
	modeltraining.MethodTATU:    trajectory.TATU,
}

// generating is an augmentation of the world by a baseline.
func generating(t *testing.T, method modeltraining.Method) augment.Options {
	o := augmenting(t)
	o.Method, o.Stitches, o.Transitions, o.Batch = method, 0, 700, 96
	o.SynthER.Steps = 4
	o.TATU.Truncation = 2 // of models that were hardly trained
	if method == modeltraining.MethodTATU {
		o.Models = world.rollouts
	}
	return o
}

func forEachBaseline(t *testing.T, test func(t *testing.T, method modeltraining.Method)) {
	for method := range baselines {
		t.Run(string(method), func(t *testing.T) { test(t, method) })
	}
}

func TestBaselines(t *testing.T) {
	forEachBaseline(t, func(t *testing.T, method modeltraining.Method) {
		o := generating(t, method)
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
		rows := int64(0)
		for _, e := range all[len(originals):] {
			if e.Provenance == nil || e.Provenance.Source != baselines[method] {
				t.Fatalf("episode %d has provenance %+v", e.ID, e.Provenance)
			}
			rows += int64(e.Len())
		}
		m := published.Manifest
		if rows < o.Transitions || m.Stitched.Transitions != rows || m.Generated != rows || m.Stitched.Episodes != int64(len(all)-len(originals)) {
			t.Errorf("%d generated rows, at least %d wanted, and the manifest has %+v, %d generated", rows, o.Transitions, m.Stitched, m.Generated)
		}
		if m.Method != string(method) || len(m.Models) != len(modeltraining.KindsOf(method)) {
			t.Errorf("made by %s with %v", m.Method, m.Models)
		}
		if strings.Contains(string(m.Configuration), "pairing") {
			t.Errorf("the configuration speaks of pairing: %s", m.Configuration)
		}
		page, err := os.ReadFile(published.ReportPath())
		if err != nil || !strings.Contains(string(page), "Generated transitions against real ones") || strings.Contains(string(page), "Step estimation") {
			t.Errorf("the report, of %d bytes, has not the right sections: %v", len(page), err)
		}
	})
}

func TestBaselinesAreTheSameOnAnyRunner(t *testing.T) {
	forEachBaseline(t, func(t *testing.T, method modeltraining.Method) {
		want := hashes(run(t, generating(t, method)))
		o := generating(t, method)
		o.Runner = "direct"
		if d := cmp.Diff(want, hashes(run(t, o))); d != "" {
			t.Error("direct:", d)
		}
		for _, procs := range []int{1, 8} {
			before := runtime.GOMAXPROCS(procs)
			got := hashes(run(t, generating(t, method)))
			runtime.GOMAXPROCS(before)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%d processors: %s", procs, d)
			}
		}
		o = generating(t, method)
		o.Seed++
		if cmp.Equal(want, hashes(run(t, o))) {
			t.Error("another seed gives the same D*")
		}
	})
}

func TestBaselinesHoldARatio(t *testing.T) {
	forEachBaseline(t, func(t *testing.T, method modeltraining.Method) {
		o := generating(t, method)
		o.Transitions, o.Mix.Ratio = 0, mix.Ratio{Original: 4, Augmented: 1}
		m := run(t, o).Manifest
		// Blocks of some 64 rows stay together.
		if off := m.Original.Transitions - 4*m.Stitched.Transitions; off < 0 || off > 4*2*64 {
			t.Errorf("%d original and %d generated transitions, want 4:1", m.Original.Transitions, m.Stitched.Transitions)
		}
	})
}

func TestPlansOfBaselines(t *testing.T) {
	forEachBaseline(t, func(t *testing.T, method modeltraining.Method) {
		o := generating(t, method)
		o.Batch = 0
		plan, err := augment.PlanOf(o)
		if err != nil {
			t.Fatal(err)
		}
		var settled augment.Options
		if err := json.Unmarshal(plan.Configuration, &settled); err != nil || settled.Batch != 1024 || settled.Method != method {
			t.Errorf("configuration %s: %v", plan.Configuration, err)
		}
	})
}

// TestConfigurationsSayWhatMattered: the settings of other methods are not recorded, and
// those that all have are.
func TestConfigurationsSayWhatMattered(t *testing.T) {
	const shared = "backend batch data max_failed_share method mix models scoring seed transitions"
	for method, own := range map[modeltraining.Method]string{
		modeltraining.MethodDiffStitch: "candidates delta estimate guided_return hops pairing pools refine require_gain sampler",
		modeltraining.MethodSynthER:    "synther",
		modeltraining.MethodTATU:       "tatu",
	} {
		t.Run(string(method), func(t *testing.T) {
			o := generating(t, method)
			o.RequireGain = true
			plan, err := augment.PlanOf(o)
			if err != nil {
				t.Fatal(err)
			}
			var recorded map[string]json.RawMessage
			if err := json.Unmarshal(plan.Configuration, &recorded); err != nil {
				t.Fatal(err)
			}
			want := slices.Sorted(slices.Values(strings.Fields(shared + " " + own)))
			if d := cmp.Diff(want, slices.Sorted(maps.Keys(recorded))); d != "" {
				t.Errorf("the configuration has other settings (-want +got):\n%s", d)
			}
		})
	}
}

func TestAmountsOfBaselines(t *testing.T) {
	const transitions, batch = 20_000, 96
	for method, want := range map[modeltraining.Method]method.Amounts{
		// 209 batches in shares of 3, each of 2 runs of the denoiser for 4 steps.
		modeltraining.MethodSynthER: {Pairs: 209 * batch, Batches: 209, Partitions: 70, Generated: 209 * batch, ModelRuns: 209 * 8},
		// 42 batches of rollouts of 5 steps, each of 3 models.
		modeltraining.MethodTATU: {Pairs: 42 * batch, Batches: 42, Partitions: 42, Generated: 42 * batch * 5, ModelRuns: 42 * 15},
	} {
		t.Run(string(method), func(t *testing.T) {
			o := generating(t, method)
			o.Transitions, o.Batch = transitions, batch
			got, err := augment.Measure(t.Context(), o, nil)
			if err != nil {
				t.Fatal(err)
			}
			want.FirstRound, want.Wanted = true, transitions
			want.Files, want.Episodes, want.Transitions, want.Bytes = 1, 40, got.Transitions, got.Bytes
			if method == modeltraining.MethodTATU {
				want.Starts.States = want.Pairs
				// A batch reads a window once, and some of the data's.
				if w := got.Starts; w.Windows < want.Batches || w.Windows > want.Pairs || w.Bytes == 0 {
					t.Errorf("starts %+v", w)
				}
				got.Starts.Windows, got.Starts.Bytes = 0, 0
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error("(-want +got):", d)
			}
		})
	}
}

func TestWrongUsageOfBaselines(t *testing.T) {
	for name, change := range map[string]func(*augment.Options){
		"stitches":       func(o *augment.Options) { o.Stitches, o.Transitions = 5, 0 },
		"no amount":      func(o *augment.Options) { o.Transitions = 0 },
		"unknown method": func(o *augment.Options) { o.Method = "mixup" },
		"one step":       func(o *augment.Options) { o.SynthER.Steps = 1 },
		"no length":      func(o *augment.Options) { o.Method, o.TATU.Length = modeltraining.MethodTATU, 0 },
		"no truncation":  func(o *augment.Options) { o.Method, o.TATU.Truncation = modeltraining.MethodTATU, 0 },
		"paid uncertainty": func(o *augment.Options) {
			o.Method, o.TATU.Penalty = modeltraining.MethodTATU, -1
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := generating(t, modeltraining.MethodSynthER)
			change(&o)
			if _, err := augment.Run(t.Context(), o, nil, nil); !errors.Is(err, failure.ErrUsage) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestChooseBatchOfSynthER(t *testing.T) {
	measured, err := augment.ChooseBatch(generating(t, modeltraining.MethodSynthER))
	if err != nil || len(measured) == 0 || measured[0].PerSecond <= 0 {
		t.Errorf("measured %v: %v", measured, err)
	}
}
