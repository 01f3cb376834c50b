package trajectory

import "slices"

// SampleBatch lists episodes that are to be generated whole: those
// [First, First+Count) of the plan.
type SampleBatch struct {
	Index int64
	First int64
	Count int32
	// Starts are the states that the episodes begin in, [Count]; empty where they
	// may begin anywhere.
	Starts []StateRef
}

// Span is the batch's place in the plan.
func (b SampleBatch) Span() Span {
	s := Span{Batch: b.Index, FirstPair: b.First, Pairs: int64(b.Count)}
	for i := range int64(b.Count) {
		s.Indices = append(s.Indices, b.First+i)
	}
	return s
}

// Starts holds the states that the episodes of a batch begin in.
type Starts struct {
	Batch  SampleBatch
	States []float32 // [Count, S]
}

// SyntheticEpisode is an episode of T steps that was generated whole.
type SyntheticEpisode struct {
	Index   int64
	States  []float32 // [T+1, S]
	Actions []float32 // [T, A]
	Rewards []float32 // [T]
	// Errors are [T], the qualification error of each transition; nil where the
	// method has none.
	Errors   []float32
	Terminal bool // whether the last state is terminal
	// Rejected is the reason, empty while the episode stands.
	Rejected string
}

// Finite is whether every value of the episode is a finite number.
func (e SyntheticEpisode) Finite() bool {
	return !slices.ContainsFunc([][]float32{e.States, e.Actions, e.Rewards, e.Errors}, func(values []float32) bool {
		return slices.ContainsFunc(values, notFinite)
	})
}

// Episode is the episode with the index in the plan as its id.
func (e SyntheticEpisode) Episode(source string) *Episode {
	made := FromStates(e.Index, e.States, e.Actions, e.Rewards)
	made.Provenance = &Provenance{Source: source, Errors: e.Errors}
	if e.Terminal {
		made.End = Terminal
	}
	return made
}

// SyntheticBatch holds the episodes of one batch of the plan, in its order.
type SyntheticBatch struct {
	Plan     SampleBatch
	Source   string
	Episodes []SyntheticEpisode
}

// SampleBatches cuts the episodes [first, first+count) of a plan into batches of a
// size; first begins one.
func SampleBatches(first, count int64, size int) (batches []SampleBatch) {
	for from := first; from < first+count; from += int64(size) {
		batches = append(batches, SampleBatch{
			Index: from / int64(size), First: from, Count: int32(min(int64(size), first+count-from)),
		})
	}
	return batches
}
