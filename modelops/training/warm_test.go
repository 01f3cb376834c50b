package training

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"diffstitch/modelops/backend"
)

// grown is the toy with more episodes than a training knew before.
func grown(learned ...int) *Data {
	data := toy(learned[len(learned)-1]+20, 20)
	data.Learned, data.Fingerprint = learned, "grown"
	return data
}

// TestWarm: a warm training begins with what the one before learned, and takes fewer steps.
func TestWarm(t *testing.T) {
	cfg := toyConfig()
	cfg.Dynamics.Refiners = 1
	for _, c := range []*RegressorConfig{&cfg.Inverse, &cfg.Reward, &cfg.Dynamics} {
		c.Steps, c.LearningRate = 800, 1e-2
	}
	for _, kind := range Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			before := t.TempDir()
			opts := Options{Backend: backend.Go, Seed: 11}
			first := mustTrain(t, kind, cfg, toy(40, 20), before, opts)
			warm := opts
			warm.Initial = before
			second := mustTrain(t, kind, cfg, grown(40), t.TempDir(), warm)
			if second.Steps != first.Steps/warmShare || !slices.Equal(second.Details.Learned, []int{40, 60}) {
				t.Errorf("%d steps after %d, on %v episodes", second.Steps, first.Steps, second.Details.Learned)
			}
			cold := opts
			cold.Steps = second.Steps
			anew := mustTrain(t, kind, cfg, grown(40), t.TempDir(), cold)
			if kind != SynthER && kind != RolloutPolicy && !(second.Details.HeldOutLoss < anew.Details.HeldOutLoss) { // those are hardly trained
				t.Errorf("the held-out loss is %g, and %g of as many steps from the beginning", second.Details.HeldOutLoss, anew.Details.HeldOutLoss)
			}
			again := warm
			again.Steps = 3
			dir := t.TempDir()
			if third := mustTrain(t, kind, cfg, grown(40, 60), dir, again); third.Steps != 3 || !slices.Equal(third.Details.Learned, []int{40, 60, 80}) {
				t.Errorf("%d steps, on %v episodes", third.Steps, third.Details.Learned)
			}
			_, err := Train(t.Context(), kind, cfg, grown(40, 60), dir, warm)
			if err == nil || !strings.Contains(err.Error(), "warm_steps 3 against") {
				t.Errorf("other steps in the same folder: %v", err)
			}
		})
	}
}

// TestResumedWarmTraining: an interrupted one ends as one that was not.
func TestResumedWarmTraining(t *testing.T) {
	before, data := t.TempDir(), grown(10)
	mustTrain(t, Dynamics, toyConfig(), toy(10, 20), before, Options{Backend: backend.Go})
	opts := Options{Backend: backend.Go, Initial: before, Steps: 40}
	whole := mustTrain(t, Dynamics, toyConfig(), data, t.TempDir(), opts)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := opts
	interrupted.Progress = func(p Progress) {
		if p.Step >= 20 {
			cancel()
		}
	}
	if _, err := Train(ctx, Dynamics, toyConfig(), data, dir, interrupted); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	resumed := mustTrain(t, Dynamics, toyConfig(), data, dir, opts)
	if d := cmp.Diff(weightsOf(t, whole), weightsOf(t, resumed)); d != "" || resumed.ResumedFrom < 20 {
		t.Errorf("resumed from %d:\n%s", resumed.ResumedFrom, d)
	}
}

// TestWarmRefuses what is not of the same configuration.
func TestWarmRefuses(t *testing.T) {
	before := t.TempDir()
	mustTrain(t, Reward, toyConfig(), toy(10, 20), before, Options{Backend: backend.Go, Steps: 2})
	cfg := toyConfig()
	cfg.Reward.Hidden = 32
	if _, err := Train(t.Context(), Reward, cfg, grown(10), t.TempDir(), Options{Backend: backend.Go, Initial: before}); err == nil || !strings.Contains(err.Error(), "shape") {
		t.Errorf("other nets: %v", err)
	}
	data := grown(10)
	data.Learned = []int{10, 40}
	if _, err := Train(t.Context(), Reward, toyConfig(), data, t.TempDir(), Options{Backend: backend.Go, Initial: before}); err == nil || !strings.Contains(err.Error(), "30 episodes") {
		t.Errorf("more learned than there is: %v", err)
	}
}

// TestGenerationsStayApart: no training learns from what one before held out, and the nets
// that judge learn from nothing that those that refine did.
func TestGenerationsStayApart(t *testing.T) {
	cfg := toyConfig().Dynamics
	cfg.Refiners = 1
	of := func(data *Data) (heldOut map[int32]bool, dealt map[int32]part) {
		j := &job{kind: Dynamics, data: data, seed: 5}
		j.details.Statistics = data.statistics()
		if err := j.prepareRegressor(cfg, 0); err != nil {
			t.Fatal(err)
		}
		heldOut, dealt = map[int32]bool{}, map[int32]part{}
		for of, rows := range j.objective.(*regression).rows {
			for _, e := range rows {
				heldOut[e.episode] = part(of) == ofAll
				dealt[e.episode] = part(of)
			}
		}
		return heldOut, dealt
	}
	first, dealt := of(toy(40, 20))
	for _, learned := range [][]int{{40}, {40, 60}} {
		heldOut, again := of(grown(learned...))
		before := learned[len(learned)-1]
		for i := range before {
			if first[int32(i)] != heldOut[int32(i)] || again[int32(i)] != dealt[int32(i)] {
				t.Errorf("episode %d is held out: %v, then %v; of %d, then %d", i, first[int32(i)], heldOut[int32(i)], dealt[int32(i)], again[int32(i)])
			}
		}
		added := 0
		for i, out := range heldOut {
			if out && int(i) >= before {
				added++
			}
		}
		if added != 1 || len(again) != before+20 {
			t.Errorf("%d of 20 new episodes are held out", added)
		}
		first, dealt = heldOut, again
	}
}
