package training

import (
	"math"
	"math/rand/v2"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/nets"
)

// toy is a point that moves in the plane by its action: s′ = s + a/10. Its reward
// is 1 within the right half-plane, else 0. Every other episode knows its last
// next state.
func toy(episodes, steps int) *Data {
	rng := rand.New(rand.NewPCG(3, 5))
	data := &Data{ObservationDim: 2, ActionDim: 2, Fingerprint: "toy"}
	for i := range episodes {
		var t Trajectory
		x, y := rng.NormFloat64(), rng.NormFloat64()
		heading := rng.Float64() * 2 * math.Pi
		for range steps {
			heading += 0.3 * rng.NormFloat64()
			ax, ay := math.Cos(heading), math.Sin(heading)
			t.States = append(t.States, float32(x), float32(y))
			t.Actions = append(t.Actions, float32(ax), float32(ay))
			reward := float32(0)
			if x > 0 {
				reward = 1
			}
			t.Rewards = append(t.Rewards, reward)
			x, y = x+ax/10, y+ay/10
		}
		if i%2 == 0 {
			t.States = append(t.States, float32(x), float32(y))
		}
		data.Trajectories = append(data.Trajectories, t)
	}
	return data
}

// cliff is the toy's point driven to the right, until it comes past x = 1 or its
// time is over.
func cliff(episodes int) *Data {
	rng := rand.New(rand.NewPCG(7, 9))
	data := &Data{ObservationDim: 2, ActionDim: 2, Fingerprint: "cliff"}
	for range episodes {
		var t Trajectory
		x, y := rng.Float64()-0.5, rng.NormFloat64()
		for len(t.Rewards) < 40 && !t.Terminal {
			heading := 1.2 * rng.NormFloat64()
			ax, ay := math.Cos(heading), math.Sin(heading)
			t.States = append(t.States, float32(x), float32(y))
			t.Actions = append(t.Actions, float32(ax), float32(ay))
			t.Rewards = append(t.Rewards, float32(x+ay))
			x, y = x+ax/10, y+ay/10
			t.Terminal = x > 1
		}
		data.Trajectories = append(data.Trajectories, t)
	}
	return data
}

// toyConfig is a configuration that trains in a second.
func toyConfig() Config {
	schedule := Schedule{
		Steps: 40, Batch: 16, LearningRate: 3e-3, WarmupSteps: 5, Decay: Cosine, EMA: 0.9,
		EvaluateEvery: 16, SaveEvery: 16,
	}
	regressor := RegressorConfig{Schedule: schedule, Hidden: 16, Layers: 3, Activation: "swish", Members: 1, Elites: 1}
	denoiser := DenoiserConfig{
		Schedule: schedule, Normalizer: checkpoint.Gaussian,
		Diffusion: deviating(nets.UNetConfig{Horizon: 8, Channels: 8, Multipliers: []int{1, 2}, Kernel: 3, Groups: 4}),
	}
	denoiser.Batch = 4
	synther := transitions(16, 8, 8, schedule)
	return Config{Denoiser: denoiser, Inverse: withLayers(regressor, 2), Reward: regressor, Dynamics: regressor, SynthER: synther, Policy: rolloutPolicy(schedule, 16)}
}
