package rollout

import (
	"cmp"
	"slices"

	"diffstitch/io/trajectory"
)

// Plan lists the rollouts [first, first+count), of which first begins a batch of
// size: each begins in a state drawn uniformly from those of the data's episodes,
// which are given in the data's order. They are numbered in that order too, so that
// a batch reads a stretch of the data.
func Plan(metas []trajectory.Meta, seed uint64, first, count int64, size int) []trajectory.SampleBatch {
	if len(metas) == 0 {
		return nil
	}
	ends := make([]int64, len(metas)) // states up to each episode's last
	total := int64(0)
	for i, m := range metas {
		total += int64(m.Steps)
		ends[i] = total
	}
	places := make([]int64, count)
	for i := range places {
		places[i] = trajectory.Stream(seed, first+int64(i), trajectory.StageStart).Int64N(total)
	}
	slices.Sort(places)
	batches := trajectory.SampleBatches(first, count, size)
	for i := range batches {
		b := &batches[i]
		for _, place := range places[b.First-first : b.First-first+int64(b.Count)] {
			e, _ := slices.BinarySearchFunc(ends, place, func(end, place int64) int { return cmp.Compare(end, place+1) })
			step := place - (ends[e] - int64(metas[e].Steps))
			b.Starts = append(b.Starts, trajectory.StateRef{Episode: metas[e], Step: int32(step)})
		}
	}
	return batches
}
