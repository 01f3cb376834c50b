// Package envtest is the conformance suite that every environment passes: its tests
// call Vector, and Simulator where its state can be set.
package envtest

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"diffstitch/modelops/env"

	"github.com/google/go-cmp/cmp"
)

// Copies is how many copies of an environment most tests step together.
const Copies = 3

// Vector checks an environment; open gives n copies of it, which the suite closes.
// Every episode must end within limit steps of random actions.
func Vector(t *testing.T, limit int, open func(t *testing.T, n int) env.Vector) {
	opened := func(t *testing.T, n int) env.Vector {
		v := open(t, n)
		t.Cleanup(func() {
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		})
		return v
	}
	t.Run("spec", func(t *testing.T) { checkSpec(t, opened(t, 1).Spec()) })
	t.Run("seeds", func(t *testing.T) { checkSeeds(t, opened(t, Copies)) })
	t.Run("repeats", func(t *testing.T) { checkRepeats(t, opened(t, Copies)) })
	t.Run("copies are apart", func(t *testing.T) { checkApart(t, opened(t, Copies), opened(t, 1)) })
	t.Run("clips", func(t *testing.T) { checkClips(t, opened(t, Copies)) })
	t.Run("ends", func(t *testing.T) { checkEnds(t, opened(t, Copies), limit) })
	t.Run("misuse", func(t *testing.T) { checkMisuse(t, opened(t, Copies)) })
}

func checkSpec(t *testing.T, s env.Spec) {
	if s.Name == "" || s.ObservationDim < 1 || s.ActionDim < 1 || s.MaxSteps < 0 {
		t.Errorf("spec %+v", s)
	}
	if len(s.ActionLow) != s.ActionDim || len(s.ActionHigh) != s.ActionDim {
		t.Fatalf("bounds %v and %v of %d action values", s.ActionLow, s.ActionHigh, s.ActionDim)
	}
	for i, low := range s.ActionLow {
		if !(low < s.ActionHigh[i]) {
			t.Errorf("action value %d lies in [%v, %v]", i, low, s.ActionHigh[i])
		}
	}
	if r := s.Reference; r != nil && (!(r.Random < r.Expert) || r.Score(r.Random) != 0 || r.Score(r.Expert) != 100) {
		t.Errorf("reference %+v", r)
	}
	if !sort.IsSorted(sort.Reverse(sort.Float64Slice(s.TargetReturns))) {
		t.Errorf("target returns %v: the highest comes first", s.TargetReturns)
	}
}

func checkSeeds(t *testing.T, v env.Vector) {
	s := v.Spec()
	first := reset(t, v, 1, 2, math.MaxUint64)
	if len(first) != Copies*s.ObservationDim || slices.ContainsFunc(first, notFinite) {
		t.Errorf("observations %v", first)
	}
	if d := cmp.Diff(first, reset(t, v, 1, 2, math.MaxUint64)); d != "" {
		t.Errorf("the same seeds begin elsewhere (-first +second):\n%s", d)
	}
	if slices.Equal(first[:s.ObservationDim], first[s.ObservationDim:2*s.ObservationDim]) {
		t.Error("two seeds begin alike")
	}
}

// checkRepeats checks that the same seeds and actions lead to the same steps.
func checkRepeats(t *testing.T, v env.Vector) {
	const steps = 20
	run := func() (all []env.Step) {
		reset(t, v, 5, 6, 7)
		rng := rand.New(rand.NewPCG(1, 1))
		for range steps {
			all = append(all, step(t, v, Actions(rng, v.Spec(), Copies)))
		}
		return all
	}
	if d := cmp.Diff(run(), run()); d != "" {
		t.Errorf("the same seeds and actions (-first +second):\n%s", d)
	}
}

// checkApart checks that a copy's steps do not depend on the others.
func checkApart(t *testing.T, many, one env.Vector) {
	s := many.Spec()
	rng := rand.New(rand.NewPCG(2, 2))
	reset(t, many, 5, 6, 7)
	reset(t, one, 6)
	for range 20 {
		actions := Actions(rng, s, Copies)
		together, alone := step(t, many, actions), step(t, one, actions[s.ActionDim:2*s.ActionDim])
		middle := env.Step{
			Observations: together.Observations[s.ObservationDim : 2*s.ObservationDim],
			Rewards:      together.Rewards[1:2], Terminals: together.Terminals[1:2], Timeouts: together.Timeouts[1:2], Successes: together.Successes[1:2],
		}
		if d := cmp.Diff(alone, middle); d != "" {
			t.Fatalf("a copy by itself (-alone +among others):\n%s", d)
		}
	}
}

func checkClips(t *testing.T, v env.Vector) {
	var within, beyond []float32
	for range Copies {
		for _, high := range v.Spec().ActionHigh {
			within, beyond = append(within, high), append(beyond, 3*high+1)
		}
	}
	reset(t, v, 1, 2, 3)
	first := step(t, v, within)
	reset(t, v, 1, 2, 3)
	if d := cmp.Diff(first, step(t, v, beyond)); d != "" {
		t.Errorf("actions beyond their bounds (-at the bounds +beyond):\n%s", d)
	}
}

// checkEnds runs every copy to its end, and then on.
func checkEnds(t *testing.T, v env.Vector, limit int) {
	reset(t, v, 8, 9, 10)
	rng := rand.New(rand.NewPCG(3, 3))
	last := env.Step{Terminals: make([]bool, Copies), Timeouts: make([]bool, Copies)}
	for taken := 1; taken <= limit && !ended(last); taken++ {
		now := step(t, v, Actions(rng, v.Spec(), Copies))
		for i := range Copies {
			checkFlags(t, v.Spec(), taken, i, last, now)
		}
		last = now
	}
	if !ended(last) {
		t.Fatalf("some copies have not ended in %d steps: %+v", limit, last)
	}
	if !v.Spec().TellsSuccess && slices.Contains(last.Successes, true) {
		t.Errorf("a success is told of an environment that tells none: %+v", last)
	}
	after := step(t, v, Actions(rng, v.Spec(), Copies))
	last.Rewards = make([]float32, Copies)
	if d := cmp.Diff(last, after); d != "" {
		t.Errorf("ended copies do not stay (-at the end +after):\n%s", d)
	}
	reset(t, v, 8, 9, 10)
	if again := step(t, v, Actions(rng, v.Spec(), Copies)); slices.Contains(again.Timeouts, true) {
		t.Errorf("Reset does not begin anew: %+v", again)
	}
}

func checkFlags(t *testing.T, s env.Spec, taken, i int, last, now env.Step) {
	t.Helper()
	switch {
	case last.Terminals[i] || last.Timeouts[i]:
		if now.Terminals[i] != last.Terminals[i] || now.Timeouts[i] != last.Timeouts[i] || now.Rewards[i] != 0 {
			t.Fatalf("step %d, copy %d went on after its end: %+v", taken, i, now)
		}
	case now.Terminals[i] && now.Timeouts[i]:
		t.Fatalf("step %d, copy %d ended both ways", taken, i)
	case now.Timeouts[i] != (taken == s.MaxSteps && !now.Terminals[i]):
		t.Fatalf("step %d of %d, copy %d: terminal %v, timeout %v", taken, s.MaxSteps, i, now.Terminals[i], now.Timeouts[i])
	}
}

func ended(s env.Step) bool {
	for i := range s.Terminals {
		if !s.Terminals[i] && !s.Timeouts[i] {
			return false
		}
	}
	return true
}

// checkMisuse checks that wrong sizes are errors, after which all goes on.
func checkMisuse(t *testing.T, v env.Vector) {
	if _, err := v.Reset([]uint64{1}); err == nil {
		t.Errorf("1 seed was taken for %d copies", Copies)
	}
	before := reset(t, v, 1, 2, 3)
	if _, err := v.Step([]float32{0}); err == nil {
		t.Errorf("1 value was taken for the actions of %d copies", Copies)
	}
	step(t, v, make([]float32, Copies*v.Spec().ActionDim))
	if d := cmp.Diff(before, reset(t, v, 1, 2, 3)); d != "" {
		t.Errorf("after an error (-before +after):\n%s", d)
	}
}

// Actions draws an action for each of n copies evenly from within the bounds,
// [n, A].
func Actions(rng *rand.Rand, s env.Spec, n int) []float32 {
	actions := make([]float32, 0, n*s.ActionDim)
	for range n {
		for i := range s.ActionDim {
			low, high := s.ActionLow[i], s.ActionHigh[i]
			actions = append(actions, low+(high-low)*rng.Float32())
		}
	}
	return actions
}

func reset(t *testing.T, v env.Vector, seeds ...uint64) []float32 {
	t.Helper()
	observations, err := v.Reset(seeds)
	if err != nil {
		t.Fatal(err)
	}
	return observations
}

func step(t *testing.T, v env.Vector, actions []float32) env.Step {
	t.Helper()
	s, err := v.Step(actions)
	if err != nil {
		t.Fatal(err)
	}
	n := len(actions) / v.Spec().ActionDim
	if len(s.Observations) != n*v.Spec().ObservationDim || len(s.Rewards) != n || len(s.Terminals) != n || len(s.Timeouts) != n || len(s.Successes) != n {
		t.Fatalf("a step of %d copies gives %d observation values, %d rewards, %d, %d and %d flags",
			n, len(s.Observations), len(s.Rewards), len(s.Terminals), len(s.Timeouts), len(s.Successes))
	}
	return s
}

// farthest is the largest difference of two values, NaN where one is.
func farthest(a, b []float32) float64 {
	most := 0.0
	for i := range a {
		most = max(most, math.Abs(float64(a[i]-b[i]))) // max gives NaN where one is
	}
	return most
}

func notFinite(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }
