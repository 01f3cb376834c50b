package trajectory

import (
	"cmp"
	"math"
)

// Location is where an episode's rows lie: enough to fetch it again without
// reading what comes before it.
type Location struct {
	File int32 // index into the run's sorted list of input files
	Row  int64 // first row of the episode in that file
	Rows int64 // rows it takes: T, or 1 where a row is a whole episode
}

// Compare orders locations as the data has their first rows.
func (l Location) Compare(o Location) int {
	return cmp.Or(cmp.Compare(l.File, o.File), cmp.Compare(l.Row, o.Row))
}

// Meta is what ranking and pairing know of an episode: all but its arrays.
type Meta struct {
	ID       int64
	Location Location
	Steps    int32 // T
	Return   float64
	// Score is what the episode is ranked by: its return, discounted or
	// normalised by length on request.
	Score float64
	End   End
	// HasFinal is whether the observation after the last step is known.
	HasFinal bool
}

// StateRef points at one state of an episode.
type StateRef struct {
	Episode Meta
	Step    int32
}

// Pair is one attempted stitch of the plan. Its Index fixes its batch, its
// random stream and the id of the episode that comes of it.
type Pair struct {
	Index int64
	Low   StateRef // s_T, where the low-return episode is left
	High  StateRef // s′_1, where the high-return episode is entered

	// Steps is Δ, the estimated number of states between s_T and s′_1.
	Steps int32
	// Similarity of s′_1 to the imagined state it was matched with.
	Similarity float32
	// Crossing is whether s′_1 was chosen since the low episode comes near it, and not by
	// what is imagined.
	Crossing bool

	// LowReturn is what the low episode earned before s_T and LowRest what it
	// earned from there; HighReturn is what the high one earns from s′_1 on.
	LowReturn, LowRest, HighReturn float64
}

// PairBatch holds some pairs that lie near each other in the data: by their low
// ends the pairs [Index·batchSize, (Index+1)·batchSize) of the plan, or the same
// number by their entries into high episodes.
type PairBatch struct {
	Index   int64
	ByEntry bool
	Pairs   []Pair
	// Candidates are places in the run's pool of candidates for every pair's
	// s′_1, where step estimation chooses it; empty where the plan has set High.
	Candidates []int32
	Low        []float32 // [pairs, S], s_T of each pair, once fetched
}

// CandidateBlock lists states of high episodes that lie near each other: those
// from the place First on in the run's pool of candidates.
type CandidateBlock struct {
	First int32
	Refs  []StateRef
}

// Candidate is a state of the pool.
type Candidate struct {
	Place int32
	Ref   StateRef
	State []float32 // [S]
}

// Outcome is what became of one pair: all but the bridge itself, which lies in
// a staged file. Of a method that generates episodes whole it stands for some of
// them.
type Outcome struct {
	Pair
	// Episodes is how many synthetic episodes the outcome stands for, 0 of a
	// stitch: those that lie staged one after the other, of which Index is the
	// first one's, or those of a batch that were rejected for the same reason. All
	// else of the pair is left out.
	Episodes int32
	// Rejected is the reason, empty for an accepted stitch.
	Rejected string
	// MaxError is the largest qualification error of the bridge's transitions,
	// in the units of the observations; NaN if one is.
	MaxError float32
	// MaxDisagreement is that of the bridge.
	MaxDisagreement float32
	// BridgeReturn is the sum of the bridge's inferred rewards.
	BridgeReturn float64
	// Staged is where the rows of the bridge, or of the synthetic episodes, lie in
	// the run's staged files: none where they are not finite.
	Staged Location
	// Onward are the further bridges of a stitch, in order: each leaves the episode that
	// the one before enters. Known once stitches are laid out.
	Onward []Hop
}

// Hop is a further bridge of a stitch.
type Hop struct {
	Pair
	BridgeReturn float64
	Staged       Location
}

// BridgeRows is the number of generated transitions, from s_T to s′_1: Δ+1.
func (p Pair) BridgeRows() int { return int(p.Steps) + 1 }

// StitchedRows is the length of the stitched episode: the low episode up to
// s_T, the bridge, and the high episode from s′_1, or, of several bridges, what is
// kept of each episode between them.
func (o Outcome) StitchedRows() int {
	rows, last := int(o.Low.Step)+o.BridgeRows(), o.High
	for _, hop := range o.Onward {
		rows += int(hop.Low.Step-last.Step) + hop.BridgeRows()
		last = hop.High
	}
	return rows + int(last.Episode.Steps-last.Step)
}

// Attempts is how many attempts of the plan the outcome stands for.
func (o Outcome) Attempts() int64 { return max(1, int64(o.Episodes)) }

// Rows is the length of what comes of the outcome: of the stitched episode, or of
// all the synthetic ones.
func (o Outcome) Rows() int64 {
	if o.Episodes > 0 {
		return o.Staged.Rows
	}
	return int64(o.StitchedRows())
}

// Return is the return of the whole stitched episode.
func (o Outcome) Return() float64 {
	sum, rest := o.LowReturn+o.BridgeReturn, o.HighReturn
	for _, hop := range o.Onward {
		sum += rest - hop.LowRest + hop.BridgeReturn
		rest = hop.HighReturn
	}
	return sum + rest
}

// Gain is how much more the stitched episode returns than the one it begins in.
func (o Outcome) Gain() float64 { return o.Return() - o.LowReturn - o.LowRest }

// Last is the state at which the stitch enters the episode that it ends in.
func (o Outcome) Last() StateRef {
	if n := len(o.Onward); n > 0 {
		return o.Onward[n-1].High
	}
	return o.High
}

// Anchor is a state that an episode comes to, near which it may be left for another
// one: the bridge begins some steps before it.
type Anchor struct {
	File int32 // of the episode
	Row  int64
	Step int32 // of the state, T for that after the last step
	// Rest is the discounted sum of the episode's rewards from that step on.
	Rest  float64
	State []float32 // [S]
}

// Location is where the episode's rows begin.
func (a Anchor) Location() Location { return Location{File: a.File, Row: a.Row} }

// Gain is what can be gained by leaving an episode at an anchor or a later one, seen from
// that anchor.
type Gain struct{ Gain float64 }

const (
	// leastGain is the share of the larger one by which what is earned with a bridge and
	// without must differ: it must double what is earned, as bridges are for where they
	// are needed.
	leastGain = 0.5
	// leastRisk is that a bridge between states that coincide is rejected. It keeps chains
	// as short as they can be.
	leastRisk = 0.25
)

// Gained is what is gained by a bridge to a state from which value is earned, in the place
// of rest; 0 where that is not worth a bridge.
func Gained(value, rest float64) float64 {
	gain := value - rest
	if gain <= 0 || gain < leastGain*max(math.Abs(value), math.Abs(rest)) {
		return 0
	}
	return gain
}

// Worth is what may be gained by a bridge, by how likely that is to be accepted.
func Worth(value, rest, distance, reach float64) float64 {
	return Gained(value, rest) * Chance(distance, reach)
}

// Drawn is the share of its worth, at least half, by which a bridge from an anchor into an
// episode is compared with others: by a draw, so that anchors that lie near each other
// don't all choose the same few episodes.
func Drawn(anchor Location, step int32, into Location) float64 {
	seed := StreamSeed(uint64(anchor.Row), int64(step), StagePair)
	seed = StreamSeed(seed, into.Row, StagePair)
	seed = StreamSeed(seed, int64(anchor.File)<<32|int64(into.File), StagePair)
	return 0.5 + 0.5*float64(seed>>11)/(1<<53)
}

// Chance is how likely a bridge is to be accepted where nothing is known of it: half as much
// at the end of the reach, since fewer of the far ones are true.
func Chance(distance, reach float64) float64 {
	return (1 - leastRisk) * (1 - 0.5*distance/reach)
}

// Crossing is a state of another episode near an anchor, at which that may be entered.
type Crossing struct {
	Anchor int32 // place among the run's anchors, in the data's order
	File   int32 // of the episode that is entered
	Row    int64
	Step   int32
	Rest   float64 // as Anchor's, from the step that is entered on
	// Distance of the two states: ‖(s − s′)/σ_Δ‖₂, in what one step changes.
	Distance float32
}

// Location is where the rows of the episode that is entered begin.
func (x Crossing) Location() Location { return Location{File: x.File, Row: x.Row} }

// WaysEach is how many crossings are kept of each anchor in a pass over the data: those
// that are worth most, as drawn, of different episodes.
const WaysEach = 4
