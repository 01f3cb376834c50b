package train_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/train"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	os.Exit(m.Run())
}

// options train the models of a small dataset for a few steps.
func options(t *testing.T) train.Options {
	data := filepath.Join(t.TempDir(), "maze.parquet")
	if _, err := exchange.GeneratePointMaze(t.Context(), exchange.GenerateOptions{Out: data, Episodes: 40, Seed: 5}); err != nil {
		t.Fatal(err)
	}
	return train.Options{
		Data: input.Data{Path: data}, Models: filepath.Join(t.TempDir(), "models"), Preset: "tiny",
		Methods: []training.Method{training.MethodDiffStitch, training.MethodSynthER},
		Steps:   40, Seed: 2, Backend: "go", Runner: "prism",
	}
}

func TestInterruptedTrainingResumes(t *testing.T) {
	o := options(t)
	whole, err := train.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Models = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer func(usual time.Duration) { engine.PollEvery = usual }(engine.PollEvery)
	engine.PollEvery = time.Millisecond
	_, err = train.Run(ctx, o, func(p observe.Progress) {
		if p.Done > 0 {
			cancel()
		}
	})
	if !failure.Interrupted(err) {
		t.Fatalf("error %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(o.Models, "*", "*")); err != nil || len(left) == 0 {
		t.Error("the training left nothing to go on from", err)
	}
	resumed, err := train.Run(t.Context(), o, nil)
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
	for name, change := range map[string]func(*train.Options){
		"unknown method":       func(o *train.Options) { o.Methods = []training.Method{"mixup"} },
		"unknown preset":       func(o *train.Options) { o.Preset = "large" },
		"unknown conditioning": func(o *train.Options) { o.Conditioning = "ones" },
		"negative steps":       func(o *train.Options) { o.Steps = -1 },
		"unknown runner":       func(o *train.Options) { o.Runner = "abacus" },
		"no room for a bridge": func(o *train.Options) { o.Horizon = 3 },
		"a negative horizon":   func(o *train.Options) { o.Horizon = -55 },
		"a horizon of no denoiser": func(o *train.Options) {
			o.Horizon, o.Methods = 55, []training.Method{training.MethodSynthER, training.MethodTATU}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			change(&o)
			_, err := train.Run(t.Context(), o, nil)
			if !errors.Is(err, failure.ErrUsage) || o.Horizon != 0 && !strings.Contains(err.Error(), "--horizon") {
				t.Errorf("error %v", err)
			}
			if _, err := os.Stat(o.Models); !errors.Is(err, os.ErrNotExist) {
				t.Error("the folder of the models was made")
			}
		})
	}
}

// TestOneTrainingAFolder begins a second training while the first goes on.
func TestOneTrainingAFolder(t *testing.T) {
	o := options(t)
	defer func(usual time.Duration) { engine.PollEvery = usual }(engine.PollEvery)
	engine.PollEvery = time.Millisecond
	var second error
	begin := sync.OnceFunc(func() { _, second = train.Run(t.Context(), o, nil) })
	if _, err := train.Run(t.Context(), o, func(observe.Progress) { begin() }); err != nil {
		t.Fatal("the first:", err)
	}
	if !errors.Is(second, snapshot.ErrLocked) || !strings.Contains(second.Error(), "run train") {
		t.Errorf("the second: error %v", second)
	}
}

// TestHorizon trains a denoiser of pen's horizon, which no level of its net halves
// evenly, and asks for what contradicts it.
func TestHorizon(t *testing.T) {
	o := options(t)
	o.Methods, o.Horizon, o.Steps = nil, 55, 1
	models, err := train.Run(t.Context(), o, nil)
	if err != nil || models.Horizon != 55 {
		t.Fatalf("the models' horizon is %d: %v", models.Horizon, err)
	}
	for _, other := range []int{0, 54} {
		o.Horizon = other
		if _, err := train.Run(t.Context(), o, nil); !errors.Is(err, failure.ErrUsage) || !strings.Contains(err.Error(), "say --horizon 55") {
			t.Errorf("--horizon %d on what has 55: error %v", other, err)
		}
	}
	o.Models, o.Horizon = t.TempDir(), 5000
	if _, err := train.Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "--horizon 5000: the longest episode has") {
		t.Errorf("a horizon longer than every episode: error %v", err)
	}
}
