package trajectory

// Span is the place of a batch in the plan.
type Span struct {
	Batch int64 `json:"batch"`
	// ByEntry is whether the batch is one of the pairs by their entries into high
	// episodes, or one by their low ends, whose pairs follow each other.
	ByEntry   bool  `json:"by_entry"`
	FirstPair int64 `json:"first_pair"`
	Pairs     int64 `json:"pairs"`
}

// Failure is the dead letter of a batch that could not be worked on: where it
// stands in the plan, the stage it came to, and why it got no further.
type Failure struct {
	Span
	Stage string `json:"stage"`
	Error string `json:"error"`
}

// Span is the batch's place in the plan.
func (b PairBatch) Span() Span {
	s := Span{Batch: b.Index, ByEntry: b.ByEntry, Pairs: int64(len(b.Pairs))}
	if len(b.Pairs) > 0 {
		s.FirstPair = b.Pairs[0].Index
	}
	return s
}

// Span is the batch's place in the plan.
func (b BridgeBatch) Span() Span {
	s := Span{Batch: b.Index, ByEntry: true, Pairs: int64(len(b.Bridges))}
	if len(b.Bridges) > 0 {
		s.FirstPair = b.Bridges[0].Pair.Index
	}
	return s
}
