package datasetio

import "diffstitch/io/trajectory"

// Weight is what is fetched for some states: windows, and the bytes they take
// decoded.
type Weight struct {
	States  int64 `json:"states"`
	Windows int64 `json:"windows"`
	Bytes   int64 `json:"bytes"`
}

// Add adds another weight.
func (w Weight) Add(o Weight) Weight {
	return Weight{w.States + o.States, w.Windows + o.Windows, w.Bytes + o.Bytes}
}

// WeighLowEnds is the Weight of what LowEnds fetches for a batch, on its own.
func WeighLowEnds(shape Shape, batch trajectory.PairBatch) Weight {
	refs := make([]trajectory.StateRef, len(batch.Pairs))
	for i, p := range batch.Pairs {
		refs[i] = p.Low
	}
	return weigh(shape, refs, true)
}

// WeighStarts is the Weight of what Starts fetches for a batch, on its own.
func WeighStarts(shape Shape, batch trajectory.SampleBatch) Weight {
	return weigh(shape, batch.Starts, false)
}

// WeighCandidates is the Weight of what StageCandidates fetches for a block.
func WeighCandidates(shape Shape, block trajectory.CandidateBlock) Weight {
	return weigh(shape, block.Refs, false)
}

// WeighEpisodes is the Weight of all the states and rewards of episodes.
func WeighEpisodes(shape Shape, episodes []*trajectory.Meta) (w Weight) {
	for _, m := range episodes {
		steps := int64(m.Steps)
		w = w.Add(Weight{steps, 1 + (steps+windowRows-1)/windowRows, 4 * steps * int64(shape.ObservationDim+1)})
	}
	return w
}

// weigh counts each window of the states once, and the rewards of their
// episodes where those are fetched too.
func weigh(shape Shape, refs []trajectory.StateRef, rewards bool) Weight {
	w := Weight{States: int64(len(refs))}
	seen := map[any]bool{}
	count := func(key any, values int) {
		if !seen[key] {
			seen[key] = true
			w.Windows++
			w.Bytes += 4 * int64(values)
		}
	}
	for _, ref := range refs {
		m := ref.Episode
		window := int(ref.Step) / windowRows
		count(windowKey{m.Location, window}, (min((window+1)*windowRows, int(m.Steps))-window*windowRows)*shape.ObservationDim)
		if rewards {
			count(rewardsKey{m.Location}, int(m.Steps))
		}
	}
	return w
}
