package diffusion

import (
	"flag"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
)

var stress = flag.Int("stress", 0, "rounds of TestNoDeadlock, which is skipped without")

// TestNoDeadlock runs the training step and the sampler of the largest preset
// that a small machine trains on the pure-Go backend, over and over. Its default
// set-up would hang there: a run that hangs ends by go test's own -timeout.
//
//	go test ./modelops/diffusion -run TestNoDeadlock -stress=200 -timeout 60m
func TestNoDeadlock(t *testing.T) {
	if *stress == 0 {
		t.Skip("run it with -stress=200")
	}
	const batch, stateDim, horizon, channels = 32, 11, 100, 32
	engine := backendtest.Open(t, backend.Go)
	cfg := testConfig(stateDim, horizon, channels)
	trainer := newTrainer(t, engine, cfg)
	sampler := newExec(t, engine, trainer.store, func(scope *model.Scope, states, mask, noise *Node) *Node {
		task := Task{Known: states, Mask: mask, Noise: noise}
		return Sample(scope.At("denoiser"), cfg, Sampler{Kind: DDIM, Steps: 3}, task)
	})
	for round := range *stress {
		examples := randomExamples(cfg, batch, uint64(round))
		trainer.step(t, examples)
		runExec(t, engine, sampler, examples.arguments()[:3]...)
		if (round+1)%10 == 0 {
			t.Logf("round %d of %d", round+1, *stress)
		}
	}
}

// TestGoIsDeterministic trains twice from the same seed: the order in which the
// pure-Go backend's workers finish must not show in the weights.
func TestGoIsDeterministic(t *testing.T) {
	cfg := testConfig(4, 32, 16)
	var losses [2][]float32
	for run := range losses {
		trainer := newTrainer(t, backendtest.Open(t, backend.Go), cfg)
		for step := range 4 {
			losses[run] = append(losses[run], trainer.step(t, randomExamples(cfg, 16, uint64(step))))
		}
	}
	if diff := cmp.Diff(losses[0], losses[1]); diff != "" {
		t.Errorf("the second training differs (-first +second):\n%s", diff)
	}
}
