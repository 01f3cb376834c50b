package learners

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/google/go-cmp/cmp"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/tensorboard"
)

// train trains and gives the finished weights.
func train(t *testing.T, engine compute.Backend, cfg Config, data *Data) []checkpoint.Tensor {
	t.Helper()
	dir := t.TempDir()
	if _, err := Train(t.Context(), engine, dir, cfg, data, nil); err != nil {
		t.Fatal(err)
	}
	return weightsOf(t, dir)
}

func weightsOf(t *testing.T, dir string) []checkpoint.Tensor {
	t.Helper()
	_, _, weights, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return weights
}

// TestSeedsTogether checks that seeds trained together come out as each alone.
func TestSeedsTogether(t *testing.T) {
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		for _, learner := range Learners {
			t.Run(string(learner), func(t *testing.T) {
				data := toyData(64)
				both := train(t, engine, toyConfig(t, learner, 1, 2), data)
				first := train(t, engine, toyConfig(t, learner, 1), data)
				second := train(t, engine, toyConfig(t, learner, 2), data)
				for i, together := range both {
					half := len(together.Data) / 2
					if !near(together.Data[:half], first[i].Data, 1e-4) || !near(together.Data[half:], second[i].Data, 1e-4) {
						t.Errorf("%s differs:\n%v\n%v\n%v", together.Name, together.Data, first[i].Data, second[i].Data)
					}
					if strings.HasSuffix(together.Name, "weights") && near(first[i].Data, second[i].Data, 1e-2) {
						t.Errorf("%s is the same of both seeds: %v", together.Name, first[i].Data)
					}
				}
			})
		}
	})
}

// TestResume interrupts a training and goes on: the weights are those of one that was
// not, bit for bit.
func TestResume(t *testing.T) {
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		for _, learner := range Learners {
			t.Run(string(learner), func(t *testing.T) {
				cfg, data := toyConfig(t, learner, 3), toyData(64)
				call := newAlgorithm(cfg, replay{}).perCall()
				cfg.Steps, cfg.SaveEvery = 2*call+11, call
				whole := t.TempDir()
				if _, err := Train(t.Context(), engine, whole, cfg, data, nil); err != nil {
					t.Fatal(err)
				}

				dir := t.TempDir()
				ctx, cancel := context.WithCancel(t.Context())
				_, err := Train(ctx, engine, dir, cfg, data, func(Progress) { cancel() })
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("interrupted: %v", err)
				}
				result, err := Train(t.Context(), engine, dir, cfg, data, nil)
				if err != nil {
					t.Fatal(err)
				}
				if result.ResumedFrom != call {
					t.Errorf("resumed from %d, want %d", result.ResumedFrom, call)
				}
				if diff := cmp.Diff(weightsOf(t, whole), weightsOf(t, dir)); diff != "" {
					t.Errorf("weights (-uninterrupted +resumed):\n%s", diff)
				}
				want, got := curves(t, whole), curves(t, dir)
				if diff := cmp.Diff(want, got); diff != "" || len(want) != 3 {
					t.Errorf("%d points (-uninterrupted +resumed):\n%s", len(want), diff)
				}
			})
		}
	})
}

// TestStepsBetweenStrides checks that updates past the last whole stride teach the
// critics alone.
func TestStepsBetweenStrides(t *testing.T) {
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		after := func(steps int) map[string][]float32 {
			cfg := toyConfig(t, TD3BC, 1, 2)
			cfg.Steps = steps
			values := map[string][]float32{}
			for _, w := range train(t, engine, cfg, toyData(64)) {
				values[w.Name] = w.Data
			}
			return values
		}
		before := after(1)
		for steps := 2; steps <= 3; steps++ {
			now := after(steps)
			for name, values := range now {
				changed := !slices.Equal(values, before[name])
				if want := steps%2 == 0 || strings.HasPrefix(name, "critics/"); changed != want {
					t.Errorf("update %d changes %s: %v, want %v", steps, name, changed, want)
				}
			}
			before = now
		}
	})
}

func curves(t *testing.T, dir string) []Point {
	t.Helper()
	points, err := ReadMetrics(dir)
	if err != nil {
		t.Fatal(err)
	}
	return points
}

// TestMetrics looks at the curves of two seeds, and at their event files.
func TestMetrics(t *testing.T) {
	cfg, dir := toyConfig(t, IQL, 4, 5), t.TempDir()
	if _, err := Train(t.Context(), backendtest.Open(t, backend.Go), dir, cfg, toyData(16), nil); err != nil {
		t.Fatal(err)
	}
	points := curves(t, dir)
	if len(points) != 2 || points[0].Seed != 4 || points[1].Seed != 5 || points[0].Step != cfg.Steps {
		t.Fatalf("points %+v", points)
	}
	for _, p := range points {
		if !(p.Metrics["critic_loss"] > 0) || !(p.Metrics["value_loss"] > 0) || p.Metrics["actor_loss"] == 0 {
			t.Errorf("metrics %v", p.Metrics)
		}
	}
	if cmp.Equal(points[0].Metrics, points[1].Metrics) {
		t.Error("both seeds have the same metrics")
	}
	for _, run := range []string{"seed_4", "seed_5"} {
		events, err := os.ReadFile(filepath.Join(dir, EventsDir, run, tensorboard.FileName))
		if err != nil || !bytes.Contains(events, []byte("critic_loss")) {
			t.Errorf("events of %s: %q, %v", run, events, err)
		}
	}
}

// TestCutOffMetrics leaves half a line, as a killed process does.
func TestCutOffMetrics(t *testing.T) {
	dir := t.TempDir()
	text := `{"step":1,"seed":0,"metrics":{}}` + "\n" + `{"step":2,"se`
	if err := os.WriteFile(filepath.Join(dir, MetricsFile), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if points := curves(t, dir); len(points) != 1 || points[0].Step != 1 {
		t.Errorf("points %+v", points)
	}
}

func TestReuse(t *testing.T) {
	engine := backendtest.Open(t, backend.Go)
	cfg, data, dir := toyConfig(t, IQL, 1), toyData(16), t.TempDir()
	first, err := Train(t.Context(), engine, dir, cfg, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Train(t.Context(), engine, dir, cfg, data, func(Progress) { t.Error("trained again") })
	if err != nil || !again.Reused || again.Hash != first.Hash {
		t.Errorf("again: %+v, %v", again, err)
	}
	cfg.IQL.Beta = 1
	if _, err := Train(t.Context(), engine, dir, cfg, data, nil); err == nil || !strings.Contains(err.Error(), "beta") {
		t.Errorf("another configuration: %v", err)
	}
	cfg.IQL.Beta = 3
	data.Rewards[5]++
	if _, err := Train(t.Context(), engine, dir, cfg, data, nil); err == nil || !strings.Contains(err.Error(), "dataset") {
		t.Errorf("other data: %v", err)
	}
}

func TestDivergence(t *testing.T) {
	cfg, data := toyConfig(t, IQL, 1, 2), toyData(16)
	data.Rewards[3] = 3e38
	_, err := Train(t.Context(), backendtest.Open(t, backend.Go), t.TempDir(), cfg, data, nil)
	if err == nil || !strings.Contains(err.Error(), "of seed") {
		t.Errorf("got %v", err)
	}
}

func TestInvalidData(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Data)
		want   string
	}{
		{"no rows", func(d *Data) { d.Rewards = nil }, "none may be 0"},
		{"too few actions", func(d *Data) { d.Actions = d.Actions[1:] }, "do not fit"},
		{"no first episode", func(d *Data) { d.Starts = d.Starts[1:] }, "row 0"},
		{"an empty episode", func(d *Data) { d.Starts = slices.Insert(d.Starts, 1, 0) }, "episode 0 ends where it starts"},
		{"augmented in part", func(d *Data) { d.Augmented[1] = !d.Augmented[1] }, "augmented in part"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			data := toyData(16)
			tc.change(data)
			if err := data.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
