package refresh_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/modelset"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/refresh"
	"diffstitch/testing/fixture"
)

// retraining is options with models of their own.
func retraining(t *testing.T, policy string) refresh.Options {
	t.Helper()
	o := options(t)
	o.Augment.Models = filepath.Join(t.TempDir(), "models")
	if err := os.CopyFS(o.Augment.Models, os.DirFS(world.models)); err != nil {
		t.Fatal(err)
	}
	o.Training.Policy, o.Training.Steps, o.Gates.Tolerance = policy, 2, 0.9
	return o
}

// addShifted adds a day whose states lie elsewhere.
func addShifted(t *testing.T, data string, day int, by float32) {
	t.Helper()
	if err := addDay(data, day); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(data, dayFile(day))
	episodes := fixture.Episodes(t, path)
	for _, e := range episodes {
		for i := range e.Observations {
			e.Observations[i] += by
		}
		for i := range e.FinalObservation {
			e.FinalObservation[i] += by
		}
		e.NextObservations = nil
	}
	if err := writeEpisodes(path, episodes); err != nil {
		t.Fatal(err)
	}
}

func writeEpisodes(path string, episodes []*trajectory.Episode) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w, err := dataset.NewWriter(f, dataset.WriterConfig{ObservationDim: episodes[0].ObservationDim, ActionDim: episodes[0].ActionDim})
	if err != nil {
		return err
	}
	for _, e := range episodes {
		if err := w.Write(e); err != nil {
			return err
		}
	}
	return w.Close()
}

// current is the id of the set of models that is in use.
func current(t *testing.T, o refresh.Options) string {
	t.Helper()
	set, err := modelset.Current(o.Augment.Models)
	if err != nil {
		t.Fatal(err)
	}
	return set.ID
}

// TestRetrain: models are trained on where the policy says so, and D* is of the new ones.
func TestRetrain(t *testing.T) {
	for _, test := range []struct {
		policy string
		shift  float32
		want   bool
		says   string
	}{
		{refresh.Never, 9, false, "--retrain never"},
		{refresh.OnDrift, 0, false, "10 new episodes"},
		{refresh.OnDrift, 9, true, "--drift-distance is 0.5"},
		{refresh.OnChange, 0, true, "--retrain always"},
	} {
		t.Run(test.policy, func(t *testing.T) {
			o := retraining(t, test.policy)
			first := run(t, o)
			if first.Retrain.Train || run(t, o).Retrain.Train {
				t.Error("models are trained on where nothing has changed")
			}
			addShifted(t, o.Augment.Data.Path, days, test.shift)
			plan, err := refresh.PlanOf(t.Context(), o)
			if err != nil || plan.Retrain.Train != test.want || !strings.Contains(plan.Text(), test.says) {
				t.Fatalf("%v: %+v\n%s", err, plan.Retrain, plan.Text())
			}
			second := run(t, o).Snapshot
			if changed := current(t, o) != ""; changed != test.want || changed == (second.Manifest.Models[0] == first.Snapshot.Manifest.Models[0]) {
				t.Errorf("the set in use is %q, the models are %v after %v", current(t, o), second.Manifest.Models, first.Snapshot.Manifest.Models)
			}
			if again := run(t, o); !again.UpToDate || again.Snapshot.ID != second.ID {
				t.Errorf("once more: %+v", again.Plan)
			}
		})
	}
}

// interruptible is a context for a run whose progress is told at once.
func interruptible(t *testing.T) (context.Context, context.CancelFunc) {
	usual := engine.PollEvery
	engine.PollEvery = time.Millisecond
	t.Cleanup(func() { engine.PollEvery = usual })
	return context.WithCancel(t.Context())
}

// TestInterruptedRetraining: the old models are in use, and whole, until there is a D* of
// new ones, which the next refresh makes with as much of them as is there.
func TestInterruptedRetraining(t *testing.T) {
	o := retraining(t, refresh.OnChange)
	first := run(t, o)
	if err := addDay(o.Augment.Data.Path, days); err != nil {
		t.Fatal(err)
	}
	for _, stage := range []string{"training", "reading", "writing"} {
		ctx, cancel := interruptible(t)
		_, err := refresh.Run(ctx, o, func(p observe.Progress) {
			if p.Stage == stage {
				cancel()
			}
		})
		if !failure.Interrupted(err) || current(t, o) != "" {
			t.Fatalf("stopped at %s: %v; the set in use is %q", stage, err, current(t, o))
		}
	}
	second := run(t, o)
	if second.Snapshot.Manifest.Parent != first.Snapshot.ID || current(t, o) == "" {
		t.Errorf("the parent is %s, the set in use %q", second.Snapshot.Manifest.Parent, current(t, o))
	}
	undisturbed := o
	undisturbed.Augment.Models, undisturbed.Augment.Out = filepath.Join(t.TempDir(), "models"), filepath.Join(t.TempDir(), "out")
	if err := os.CopyFS(undisturbed.Augment.Models, os.DirFS(world.models)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(undisturbed.Augment.Out, os.DirFS(o.Augment.Out)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := snapshot.Rollback(undisturbed.Augment.Out, first.Snapshot.ID); err != nil {
		t.Fatal(err)
	}
	if again := run(t, undisturbed); !slices.Equal(hashes(again.Snapshot), hashes(second.Snapshot)) || !again.Retrain.Train {
		t.Errorf("D* is another than that of a refresh that nothing stopped")
	}
}

// TestRefusedModels: models whose D* is refused do not come into use.
func TestRefusedModels(t *testing.T) {
	o := retraining(t, refresh.OnChange)
	run(t, o)
	if err := addDay(o.Augment.Data.Path, days); err != nil {
		t.Fatal(err)
	}
	o.Gates.MinAcceptance, o.Augment.Delta = 1, method.Delta{Value: 1e-6}
	if _, err := refresh.Run(t.Context(), o, nil); !errors.Is(err, failure.ErrRefused) || current(t, o) != "" {
		t.Errorf("%v; the set in use is %q", err, current(t, o))
	}
}
