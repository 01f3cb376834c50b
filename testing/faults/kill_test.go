package faults

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"diffstitch/io/snapshot"
)

// TestKillTheDriver kills augment at random points: by a baseline, which shares all
// but its own stages, fewer times.
func TestKillTheDriver(t *testing.T) {
	setup(t)
	for _, w := range works {
		t.Run(w.method, func(t *testing.T) {
			if w == stitching {
				killTheDriver(t, w, kills)
			} else {
				killTheDriver(t, w, max(1, kills/4))
			}
		})
	}
}

// killTheDriver kills augmentations. CURRENT stays as it was, or names the whole new
// snapshot; the run that follows publishes the undisturbed D*.
func killTheDriver(t *testing.T, w *work, kills int) {
	l, rng := w.tally(t), rand.New(rand.NewPCG(1, 1))
	out := filepath.Join(t.TempDir(), "out")
	must(t, w.augment(t, "", out, w.less...))
	for l.faults < kills && l.runs < 8*kills {
		before, err := snapshot.Current(out)
		if err != nil {
			t.Fatal(err)
		}
		hit := killed(t, moment(rng, w.took), w.augmentArgs(out)...)
		l.runs++
		checkWhole(t, out)
		after, err := snapshot.Current(out)
		if err != nil || hit && after.ID != before.ID && !slices.Equal(partHashes(t, out), w.hashes) {
			t.Errorf("CURRENT names %q, named %q (%v)", after.ID, before.ID, err)
		}
		checkClean(t, out)
		if hit {
			must(t, w.augment(t, "", out))
			l.runs++
			l.faults++
		}
		l.checkDataset(t, out)
	}
	if l.faults < kills {
		t.Errorf("%d of %d kills hit a run", l.faults, kills)
	}
}

// TestKillTheDriverInEveryStage kills augment where each stage begins and where
// it has had its effects.
func TestKillTheDriverInEveryStage(t *testing.T) {
	setup(t)
	l := stitching.tally(t)
	out := filepath.Join(t.TempDir(), "out")
	must(t, stitching.augment(t, "", out, "--stitches", "8"))
	before, err := snapshot.Current(out)
	if err != nil {
		t.Fatal(err)
	}
	points := []string{"records-done", "inpaint", "stage", "stage-done", "part", "finish"}
	if kills > len(points) {
		points = append(points, "ends", "ends-done", "estimate-done", "contexts-done", "wrapup", "refine", "qualify-done", "part-done", "create", "write")
	}
	for _, point := range points {
		r := stitching.augment(t, point+":kill=1", out)
		l.runs++
		if r.code != -1 {
			t.Errorf("at %s it went on: exit code %d\n%s", point, r.code, r.output)
			continue
		}
		l.faults++
		checkWhole(t, out)
		if after, err := snapshot.Current(out); err != nil || after.ID != before.ID {
			t.Errorf("killed at %s, CURRENT names %q, named %q (%v)", point, after.ID, before.ID, err)
		}
	}
	must(t, stitching.augment(t, "", out))
	l.runs++
	l.checkDataset(t, out)
}

// TestKillTheTraining kills train at random points until the models are whole:
// they are those of an undisturbed training.
func TestKillTheTraining(t *testing.T) {
	setup(t)
	l, rng := stitching.tally(t), rand.New(rand.NewPCG(2, 2))
	for range max(1, kills/5) {
		models := filepath.Join(t.TempDir(), "models")
		if killed(t, moment(rng, world.training), trainArgs(models)...) {
			l.faults++
		}
		must(t, train(t, "", models))
		l.runs += 2
		if got := modelHashes(t, models); !slices.Equal(got, world.modelHashes) {
			t.Errorf("the models differ from the undisturbed ones: %q, want %q", got, world.modelHashes)
		}
		must(t, command(t, world.binary, "clean", "--models", models))
		if left, err := filepath.Glob(filepath.Join(models, "*", ".*")); err != nil || len(left) > 0 {
			t.Errorf("%q are left after clean (%v)", left, err)
		}
	}
}
