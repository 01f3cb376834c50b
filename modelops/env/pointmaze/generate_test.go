package pointmaze

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGenerateIsDeterministic(t *testing.T) {
	m := Default()
	first := slices.Collect(m.Generate(20, 7))
	if diff := cmp.Diff(first, slices.Collect(m.Generate(20, 7))); diff != "" {
		t.Errorf("the same seed (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(first[13], m.Episode(7, 13)); diff != "" {
		t.Errorf("an episode by itself (-first +second):\n%s", diff)
	}
	if cmp.Equal(first, slices.Collect(m.Generate(20, 8))) {
		t.Error("another seed gives the same episodes")
	}
	if cmp.Equal(first[0], first[1]) {
		t.Error("two indices give the same episode")
	}
}

func TestGenerateReplays(t *testing.T) {
	m := Default()
	touched, transitions := 0, 0
	for e := range m.Generate(100, 1) {
		steps := len(e.Rewards)
		if steps < minSteps || steps > maxSteps {
			t.Errorf("%d steps", steps)
		}
		for i := range steps {
			obs, want := observation(e.Observations, i), observation(e.Observations, i+1)
			next, reward := m.Step(obs, [2]float32(e.Actions[i*ActionDim:]))
			if next != want || reward != e.Rewards[i] {
				t.Fatalf("step %d leads to %v, %v, stored %v, %v", i, next, reward, want, e.Rewards[i])
			}
			if m.CrossesWall([2]float32(obs[:2]), [2]float32(next[:2])) {
				t.Fatalf("step %d goes through a wall from %v to %v", i, obs, next)
			}
			transitions++
			if obs[2] != 0 && next[2] == 0 || obs[3] != 0 && next[3] == 0 {
				touched++
			}
		}
		last := steps * ObservationDim
		for i, err := range m.StepErrors(e.Observations[:last], e.Actions, e.Observations[ObservationDim:]) {
			if err != 0 {
				t.Fatalf("step %d is off by %v", i, err)
			}
		}
	}
	if share := float64(touched) / float64(transitions); share > 0.001 {
		t.Errorf("%.2f%% of the steps touch a wall: such dynamics is hard to learn", 100*share)
	}
}

func TestStepErrors(t *testing.T) {
	m := Default()
	observations := []float32{1.5, 4.5, 1, 0, 3.5, 4.5, 1, 0}
	next := []float32{1.58, 4.5, 0, 0, 3.58 + 3, 4.5 + 4, 0, 0}
	got := m.StepErrors(observations, make([]float32, 4), next)
	if len(got) != 2 || got[0] > 1e-6 || got[1] < 5-1e-6 || got[1] > 5+1e-6 {
		t.Errorf("errors %v, want 0 and 5", got)
	}
}

func TestReturnsAreSpread(t *testing.T) {
	var returns []float64
	for e := range Default().Generate(400, 3) {
		sum := 0.0
		for _, r := range e.Rewards {
			sum += float64(r)
		}
		returns = append(returns, sum)
	}
	slices.Sort(returns)
	median, high, top := returns[200], returns[360], returns[399]
	if median != 0 || high < 30 || top < 100 {
		t.Errorf("returns: median %v, 90 %% %v, highest %v", median, high, top)
	}
}

func TestExpertsAreSpreadEvenly(t *testing.T) {
	for block := range 50 {
		experts := 0
		for i := range expertEvery {
			if expert(5, block*expertEvery+i) {
				experts++
			}
		}
		if experts != 1 {
			t.Errorf("block %d has %d experts, want 1", block, experts)
		}
	}
}
