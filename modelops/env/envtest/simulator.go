package envtest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"diffstitch/modelops/env"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Simulator checks that a simulator repeats, within a tolerance, what the
// environment itself did; v is of Copies. rewarded is whether rewards follow from
// what is observed.
func Simulator(t *testing.T, tolerance float64, rewarded bool, v env.Vector, sim env.Simulator) {
	s := sim.Spec()
	if d := cmp.Diff(v.Spec(), s); d != "" {
		t.Fatalf("the simulator is of another environment (-environment +simulator):\n%s", d)
	}
	from, actions, to := transitions(t, v)
	next, rewards := stepFrom(t, sim, from, actions)
	S, A := s.ObservationDim, s.ActionDim
	checkTruth(t, tolerance, rewarded, S, to, next, rewards)
	m := len(rewards) / 2
	half, _ := stepFrom(t, sim, from[m*S:], actions[m*A:])
	if d := cmp.Diff(next[m*S:], half, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("a row depends on those before it (-all +second half):\n%s", d)
	}
	unset := slices.Clone(from[:2*S])
	unset[0] = float32(math.NaN())
	next, rewards = stepFrom(t, sim, unset, actions[:2*A])
	if !notFinite(rewards[0]) || !notFinite(next[0]) || slices.ContainsFunc(next[S:], notFinite) {
		t.Errorf("of two observations the first one of which is NaN: next %v, rewards %v", next, rewards)
	}
	if next, rewards = stepFrom(t, sim, nil, nil); len(next) != 0 || len(rewards) != 0 {
		t.Errorf("no rows led to %d values and %d rewards", len(next), len(rewards))
	}
	if _, _, err := sim.StepFrom(from, actions[:A]); err == nil {
		t.Error("many observations and one action were taken")
	}
}

// checkTruth compares the rows whose state could be set with what happened.
func checkTruth(t *testing.T, tolerance float64, rewarded bool, S int, to env.Step, next, rewards []float32) {
	t.Helper()
	set := 0
	for i := range rewards {
		row := next[i*S : (i+1)*S]
		if notFinite(row[0]) {
			continue
		}
		set++
		if off := farthest(to.Observations[i*S:(i+1)*S], row); !(off <= tolerance) {
			t.Errorf("row %d: the next observation is off by %v, at most %v is allowed", i, off, tolerance)
		}
		if off := farthest(to.Rewards[i:i+1], rewards[i:i+1]); rewarded && !(off <= tolerance) || !rewarded && !math.IsNaN(off) {
			t.Errorf("row %d: the reward is off by %v, at most %v is allowed", i, off, tolerance)
		}
	}
	if set < 2*Copies {
		t.Errorf("the state of %d rows of %d could be set", set, len(rewards))
	}
}

// transitions are those of random actions, while no copy has ended.
func transitions(t *testing.T, v env.Vector) (from, actions []float32, to env.Step) {
	s := v.Spec()
	n := Copies
	now := reset(t, v, 11, 12, 13)
	rng := rand.New(rand.NewPCG(4, 4))
	for range 50 {
		acted := Actions(rng, s, n)
		led := step(t, v, acted)
		if slices.Contains(led.Terminals, true) || slices.Contains(led.Timeouts, true) {
			break
		}
		from, actions = append(from, now...), append(actions, acted...)
		to.Observations = append(to.Observations, led.Observations...)
		to.Rewards = append(to.Rewards, led.Rewards...)
		now = led.Observations
	}
	if len(to.Rewards) < 2*n {
		t.Fatalf("only %d transitions before an episode ended", len(to.Rewards))
	}
	return from, actions, to
}

func stepFrom(t *testing.T, sim env.Simulator, observations, actions []float32) (next, rewards []float32) {
	t.Helper()
	next, rewards, err := sim.StepFrom(observations, actions)
	if err != nil {
		t.Fatal(err)
	}
	if len(next) != len(observations) || len(rewards)*sim.Spec().ActionDim != len(actions) {
		t.Fatalf("%d observation and %d action values led to %d values and %d rewards", len(observations), len(actions), len(next), len(rewards))
	}
	return next, rewards
}
