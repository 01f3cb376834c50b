package pointmaze

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGenerateCorridorsIsDeterministic(t *testing.T) {
	first := slices.Collect(GenerateCorridors(20, 7))
	if diff := cmp.Diff(first, slices.Collect(GenerateCorridors(20, 7))); diff != "" {
		t.Errorf("the same seed (-first +second):\n%s", diff)
	}
}

// TestCorridorsAreApart looks at each episode's way and, at the junctions, at how its
// pilot flies.
func TestCorridorsAreApart(t *testing.T) {
	m := Default()
	rewarded := 0
	for e := range GenerateCorridors(300, 1) {
		starts, ends, passes, stops, sum := false, false, false, false, float32(0)
		for i := range len(e.Rewards) {
			obs := observation(e.Observations, i)
			at := cellAt(float64(obs[0]), float64(obs[1]))
			starts, ends = starts || at == m.start, ends || at == m.goal
			if next, _ := m.Step(obs, [2]float32(e.Actions[i*ActionDim:])); next != observation(e.Observations, i+1) {
				t.Fatalf("step %d does not replay", i)
			}
			for _, c := range junctions {
				if distance(position(obs), c.centre()) < 0.4 {
					fast := math.Abs(float64(obs[3])) > 0.4
					passes, stops = passes || fast, stops || !fast
				}
			}
			sum += e.Rewards[i]
		}
		switch {
		case starts && ends:
			t.Error("an episode holds both the start and the goal")
		case passes && stops:
			t.Error("an episode both passes junctions and stops there")
		case sum > 0 && len(e.Rewards) > maxGoalSteps:
			t.Errorf("%d steps that see a reward", len(e.Rewards))
		}
		if sum > 0 {
			rewarded++
		}
	}
	if rewarded < 50 || rewarded > 150 {
		t.Errorf("%d of 300 episodes see a reward", rewarded)
	}
}
