package trajectory

// Span is the place of a batch in the plan.
type Span struct {
	Batch int64 `json:"batch"`
	// ByEntry is whether the batch is one of the pairs by their entries into high
	// episodes, or one by their low ends, whose pairs follow each other.
	ByEntry   bool  `json:"by_entry"`
	FirstPair int64 `json:"first_pair"`
	Pairs     int64 `json:"pairs"`
	// Indices are those of all the pairs.
	Indices []int64 `json:"indices"`
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
	for _, p := range b.Pairs {
		s.add(p)
	}
	return s
}

// Span is the batch's place in the plan.
func (b BridgeBatch) Span() Span {
	s := Span{Batch: b.Index, ByEntry: true, Pairs: int64(len(b.Bridges))}
	for _, bridge := range b.Bridges {
		s.add(bridge.Pair)
	}
	return s
}

func (s *Span) add(p Pair) {
	if len(s.Indices) == 0 {
		s.FirstPair = p.Index
	}
	s.Indices = append(s.Indices, p.Index)
}
