package trajectory

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// between makes the bridge of a pair with Δ hidden states from low's state from
// to high's state to.
func between(low *Episode, from int, high *Episode, to, steps int) Bridge {
	b := Bridge{Pair: Pair{
		Index: 9,
		Low:   StateRef{Episode: Meta{ID: low.ID, Steps: int32(low.Len())}, Step: int32(from)},
		High:  StateRef{Episode: Meta{ID: high.ID, Steps: int32(high.Len())}, Step: int32(to)},
		Steps: int32(steps),
	}}
	b.States = slices.Concat(low.Observation(from), make([]float32, steps*low.ObservationDim), high.Observation(to))
	for i := range b.Pair.BridgeRows() {
		b.Actions = append(b.Actions, 9000+float32(i))
		b.Rewards = append(b.Rewards, 9100+float32(i))
		b.Errors = append(b.Errors, 9200+float32(i))
	}
	return b
}

// joined is the stitch of two episodes.
func joined(low *Episode, from int, bridge, high *Episode, to int) (*Episode, error) {
	return Join(50, []Stretch{{low, 0, from}, {high, to, high.Len()}}, []*Episode{bridge})
}

func TestJoin(t *testing.T) {
	low, high := numbered(1, 4), numbered(2, 3)
	high.End = Terminal
	got, err := joined(low, 2, between(low, 2, high, 1, 1).Episode(2, 1), high, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := &Episode{
		ID: 50, ObservationDim: 2, ActionDim: 1,
		Observations:     []float32{100, -100, 101, -101, 102, -102, 0, 0, 201, -201, 202, -202},
		Actions:          []float32{100.25, 101.25, 9000, 9001, 201.25, 202.25},
		Rewards:          []float32{100.5, 101.5, 9100, 9101, 201.5, 202.5},
		FinalObservation: []float32{203, -203},
		End:              Terminal,
		Provenance:       &Provenance{Source: Stitched, LowID: 1, HighID: 2, Bridges: []Range{{2, 4}}, Origins: []Origin{{1, 0}, {2, 1}}, Errors: []float32{9200, 9201}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestJoinRefusesWhatDoesNotMeet(t *testing.T) {
	low, high := numbered(1, 4), numbered(2, 3)
	tests := []struct {
		name  string
		spoil func(bridge *Episode)
	}{
		{"another beginning", func(b *Episode) { b.Observations[1]++ }},
		{"another end", func(b *Episode) { b.FinalObservation[0]++ }},
		{"no end", func(b *Episode) { b.FinalObservation = nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bridge := between(low, 2, high, 1, 1).Episode(2, 1)
			test.spoil(bridge)
			_, err := joined(low, 2, bridge, high, 1)
			if err == nil || !strings.Contains(err.Error(), "step 2 of episode 1 to step 1 of episode 2 does not meet") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// source draws an episode, with or without a final observation, or with next
// observations of its own.
func source(t *rapid.T, name string, id int64) *Episode {
	e := numbered(id, rapid.IntRange(1, 6).Draw(t, name+" steps"))
	switch rapid.SampledFrom([]string{"known", "unknown", "own"}).Draw(t, name+" next observations") {
	case "unknown":
		e.FinalObservation = nil
	case "own":
		spelledOut(e)
	}
	e.End = End(rapid.IntRange(0, 1).Draw(t, name+" end"))
	return e
}

// TestJoinKeepsEveryTransition holds each transition of a stitch to the one it
// came from.
func TestJoinKeepsEveryTransition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low, high := source(t, "low", 1), source(t, "high", 2)
		from := rapid.IntRange(0, low.Len()-1).Draw(t, "from")
		to := rapid.IntRange(0, high.Len()-1).Draw(t, "to")
		b := between(low, from, high, to, rapid.IntRange(0, 3).Draw(t, "Δ"))
		bridge := b.Episode(2, 1)
		joined, err := joined(low, from, bridge, high, to)
		if err != nil {
			t.Fatal(err)
		}
		if err := joined.Validate(); err != nil || joined.Len() != (Outcome{Pair: b.Pair}).StitchedRows() || joined.End != high.End {
			t.Fatalf("%d rows of %d, end %v: %v", joined.Len(), (Outcome{Pair: b.Pair}).StitchedRows(), joined.End, err)
		}
		spelled := low.NextObservations != nil || high.NextObservations != nil
		if spelled != (joined.NextObservations != nil) {
			t.Fatalf("next observations spelled out: %v, want %v", !spelled, spelled)
		}
		for step := range joined.Len() {
			part, at := low, step
			switch {
			case step >= from+bridge.Len():
				part, at = high, to+step-from-bridge.Len()
			case step >= from:
				part, at = bridge, step-from
			}
			checkTransition(t, joined, step, part, at)
		}
	})
}

func checkTransition(t *rapid.T, joined *Episode, step int, part *Episode, at int) {
	next, known := part.NextObservation(at)
	if !known && joined.NextObservations != nil { // repeated where it has to be spelled out
		next, known = part.Observation(at), true
	}
	gotNext, gotKnown := joined.NextObservation(step)
	if !slices.Equal(joined.Observation(step), part.Observation(at)) || !slices.Equal(joined.Action(step), part.Action(at)) ||
		joined.Rewards[step] != part.Rewards[at] || known != gotKnown || !slices.Equal(next, gotNext) {
		t.Fatalf("step %d is not step %d of episode %d: next %v (%v), want %v (%v)", step, at, part.ID, gotNext, gotKnown, next, known)
	}
}

func TestBatchTransitions(t *testing.T) {
	batch := BridgeBatch{Bridges: []Bridge{{States: []float32{1, 2, 3}}, {States: []float32{8, 9}}}}
	states, next := batch.Transitions(1)
	if d := cmp.Diff([][]float32{{1, 2, 8}, {2, 3, 9}}, [][]float32{states, next}); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestOutcomeReturn(t *testing.T) {
	o := Outcome{Pair: Pair{LowReturn: 1, LowRest: 20, HighReturn: 300}, BridgeReturn: 4000}
	if got := o.Return(); got != 4301 {
		t.Errorf("return %v, want that of the kept part, the bridge and the high part", got)
	}
}
