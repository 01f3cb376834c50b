package trajectory

import "slices"

const (
	// LeastPartitions is how many workers a plan should keep busy, where it has
	// the batches.
	LeastPartitions = 64
	// MostBatches bounds a partition, however many pairs one episode has.
	MostBatches = 16
)

// Together is how many neighbouring batches a worker gets at once, of a plan of so many.
func Together(batches int64) int64 { return min(max(batches/LeastPartitions, 1), MostBatches) }

// Imagined holds the states that a batch's pairs are imagined to go through.
type Imagined struct {
	Batch    PairBatch
	Rollouts []float32 // [pairs, H, S], the first of each s_T
}

// Ends holds the states that step estimation needs for a batch of pairs.
type Ends struct {
	Batch PairBatch
	// Candidates for s′_1. Each pair has as many of its own, one after the other,
	// or, where they are Shared, all of them.
	Candidates []StateRef
	Targets    []float32 // [candidates, S]
	Shared     bool
	// Rollouts of Imagined, where the candidates were found by them.
	Rollouts []float32
}

// Own are the places [from, to) in Candidates of pair i of the batch.
func (e Ends) Own(i int) (from, to int) {
	if e.Shared {
		return 0, len(e.Candidates)
	}
	each := len(e.Candidates) / len(e.Batch.Pairs)
	return i * each, (i + 1) * each
}

// Contexts holds the known states that inpainting needs for a batch of pairs:
// s_T, Δ hidden states, s′_1 and the states of the high episode that follow.
type Contexts struct {
	Batch PairBatch
	Known []float32 // [pairs, H, S], zero where hidden
	Mask  []float32 // [pairs, H], 1 = known
}

// Bridge is a generated piece between two episodes.
type Bridge struct {
	Pair    Pair
	States  []float32 // [Δ+2, S], from s_T to s′_1, both included
	Actions []float32 // [Δ+1, A]
	Rewards []float32 // [Δ+1]
	Errors  []float32 // [Δ+1], qualification error of each transition
	// Residuals are [Δ+1], how far the state after each transition is from where the nets
	// that refined the bridge lead; nil where none did.
	Residuals []float32
	// MaxDisagreement is the largest disagreement of the dynamics model's nets on
	// a transition, in the units of the observations; 0 of one net alone.
	MaxDisagreement float32
	// Rejected is the reason, empty while the stitch stands.
	Rejected string
}

// Finite is whether every value of the bridge is a finite number.
func (b Bridge) Finite() bool {
	return !slices.ContainsFunc([][]float32{b.States, b.Actions, b.Rewards, b.Errors, b.Residuals}, func(values []float32) bool {
		return slices.ContainsFunc(values, notFinite)
	})
}

// BridgeBatch holds the bridges of one batch of the plan, in its order.
type BridgeBatch struct {
	Index   int64
	Bridges []Bridge
}

// Transitions lays the states before and after every transition of the batch
// end to end, both [n, S].
func (b BridgeBatch) Transitions(stateDim int) (states, next []float32) {
	for _, bridge := range b.Bridges {
		states = append(states, bridge.States[:len(bridge.States)-stateDim]...)
		next = append(next, bridge.States[stateDim:]...)
	}
	return states, next
}
