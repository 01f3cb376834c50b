package pointmaze

import (
	"math"
	"math/rand/v2"
	"testing"

	"diffstitch/modelops/env"
	"diffstitch/modelops/env/envtest"
)

func TestVector(t *testing.T) {
	envtest.Vector(t, EpisodeSteps, func(_ *testing.T, n int) env.Vector { return NewVector(n) })
}

func TestSimulator(t *testing.T) {
	envtest.Simulator(t, 0, true, NewVector(envtest.Copies), NewSimulator())
}

// referenceEpisodes are enough for the means to vary by less than tolerance from
// one set of seeds to another.
const referenceEpisodes, tolerance = 10_000, 1

func TestReference(t *testing.T) {
	tests := []struct {
		name string
		want float64
		act  func(m *Maze, rng *rand.Rand, p *pilot, obs [ObservationDim]float32) [ActionDim]float32
	}{
		{"random", randomReturn, func(_ *Maze, rng *rand.Rand, _ *pilot, _ [ObservationDim]float32) [ActionDim]float32 {
			return [ActionDim]float32{2*rng.Float32() - 1, 2*rng.Float32() - 1}
		}},
		{"expert", expertReturn, func(_ *Maze, _ *rand.Rand, p *pilot, obs [ObservationDim]float32) [ActionDim]float32 {
			return p.act(obs)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, sum := Default(), 0.0
			for i := range referenceEpisodes {
				rng := startStream(uint64(i))
				p := m.begin(rng)
				obs := p.start()
				p.expert, p.target = true, m.goal
				for range EpisodeSteps {
					var reward float32
					obs, reward = m.Step(obs, test.act(m, rng, p, obs))
					sum += float64(reward)
				}
			}
			if mean := sum / referenceEpisodes; math.Abs(mean-test.want) > tolerance {
				t.Errorf("the mean return is %.1f, recorded is %v", mean, test.want)
			}
		})
	}
}
