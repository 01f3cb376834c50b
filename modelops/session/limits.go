package session

import (
	"errors"

	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
)

// Past marks, in a mask, the positions past the end of an episode.
const Past = diffusion.Past

// errEarlier is of denoisers whose details lack what sampling needs.
var errEarlier = errors.New("the denoiser was trained by an earlier version, which kept neither the range of the states nor what it learned from: run `diffstitch train` again, into a new folder")

// current refuses a denoiser of an earlier version.
func current(d training.Details) error {
	if d.Windows == nil || len(d.Statistics.ObservationLow) == 0 {
		return errEarlier
	}
	return nil
}

// windowStates is how many states a window has: the net's horizon, or as many as the
// longest episode of the training data, since the net learned nothing of longer ones.
func windowStates(cfg training.DenoiserConfig, d training.Details) int {
	return min(cfg.Diffusion.UNet.Horizon, d.Windows.Longest)
}

// firstBound is how far states may lie from the mean in the first reverse step, in
// normalised units, where that is within the range: a standard deviation, as they do where
// nothing is known of them.
const firstBound = 1

// limits are the range of the data's states with the configuration's margin, at last, and
// the dimensions that no step changes.
func limits(cfg diffusion.Config, d training.Details) diffusion.Limits {
	stats := d.Statistics
	bounds := func() []float32 { return make([]float32, len(stats.ObservationLow)) }
	first, last := diffusion.Bounds{Low: bounds(), High: bounds()}, diffusion.Bounds{Low: bounds(), High: bounds()}
	d.Normalizer.Apply(last.Low, stats.ObservationLow)
	d.Normalizer.Apply(last.High, stats.ObservationHigh)
	for i := range last.Low {
		margin := float32(cfg.Margin) * (last.High[i] - last.Low[i])
		last.Low[i], last.High[i] = last.Low[i]-margin, last.High[i]+margin
		first.Low[i], first.High[i] = max(last.Low[i], -firstBound), min(last.High[i], firstBound)
	}
	return diffusion.Limits{First: first, Last: last, Held: stats.EpisodeConstant}
}

// hold copies the dimensions that are held, bit for bit, from the known states that
// diffusion.Limits says.
//
//	states: [n, states, S]
//	mask:   [n, states]
func (s *sampler) hold(states, mask []float32) {
	if len(s.limits.Held) == 0 {
		return
	}
	dim := s.config.UNet.StateDim
	for first := 0; first < len(mask); first += s.states {
		source := -1
		for i := first; i < first+s.states; i++ {
			if mask[i] > 0 {
				source = i // the last known one, until another is found from the end on
			}
		}
		for i := first + s.states - 1; i >= first && source >= 0; i-- {
			if mask[i] > 0 {
				source = i
			}
			for _, d := range s.limits.Held {
				states[i*dim+d] = states[source*dim+d]
			}
		}
	}
}
