package trajectory

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// numbered makes an episode whose every value tells where it belongs.
func numbered(id int64, steps int) *Episode {
	e := &Episode{ID: id, ObservationDim: 2, ActionDim: 1}
	for step := range steps {
		at := float32(100*id) + float32(step)
		e.Observations = append(e.Observations, at, -at)
		e.Actions = append(e.Actions, at+0.25)
		e.Rewards = append(e.Rewards, at+0.5)
	}
	end := float32(100*id) + float32(steps)
	e.FinalObservation = []float32{end, -end}
	return e
}

// spelledOut gives an episode next observations of its own, which differ from
// the observations one step later.
func spelledOut(e *Episode) *Episode {
	e.NextObservations = make([]float32, len(e.Observations))
	for i, v := range e.Observations {
		e.NextObservations[i] = v + 0.125
	}
	e.FinalObservation = e.NextObservations[len(e.NextObservations)-e.ObservationDim:]
	return e
}

func TestValidate(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	tests := []struct {
		name  string
		spoil func(e *Episode)
		want  string // part of the error, "" for none
	}{
		{"whole", func(*Episode) {}, ""},
		{"final unknown", func(e *Episode) { e.FinalObservation = nil }, ""},
		{"next observations of its own", func(e *Episode) { spelledOut(e) }, ""},
		{"no steps", func(e *Episode) { e.Rewards = nil }, "episode 3 has no steps"},
		{"an observation too few", func(e *Episode) { e.Observations = e.Observations[2:] }, "6 observation values, want 4 steps of 2"},
		{"an action too many", func(e *Episode) { e.Actions = append(e.Actions, 1) }, "5 action values, want 4 steps of 1"},
		{"next observations too few", func(e *Episode) { e.NextObservations = []float32{1, 2} }, "2 next-observation values, want 8"},
		{"a long final observation", func(e *Episode) { e.FinalObservation = []float32{1, 2, 3} }, "a final observation of 3 values, want 2"},
		{"NaN in an observation", func(e *Episode) { e.Observations[5] = nan }, "step 2: observations holds NaN"},
		{"infinite action", func(e *Episode) { e.Actions[3] = inf }, "step 3: actions holds -Inf"},
		{"NaN reward", func(e *Episode) { e.Rewards[0] = nan }, "step 0: rewards holds NaN"},
		{"NaN in a next observation", func(e *Episode) { spelledOut(e).NextObservations[3] = nan }, "step 1: next_observations holds NaN"},
		{"NaN at the end", func(e *Episode) { e.FinalObservation[1] = nan }, "final observation holds NaN"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := numbered(3, 4)
			test.spoil(e)
			err := e.Validate()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestFromStates(t *testing.T) {
	e := FromStates(7, []float32{1, 2, 3, 4, 5, 6}, []float32{8, 9}, []float32{0, 1})
	want := &Episode{
		ID: 7, ObservationDim: 2, ActionDim: 1, Observations: []float32{1, 2, 3, 4},
		Actions: []float32{8, 9}, Rewards: []float32{0, 1}, FinalObservation: []float32{5, 6},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNextObservation(t *testing.T) {
	unknown := numbered(1, 3)
	unknown.FinalObservation = nil
	tests := []struct {
		name    string
		episode *Episode
		want    [][]float32 // nil where unknown
	}{
		{"one step later", numbered(1, 3), [][]float32{{101, -101}, {102, -102}, {103, -103}}},
		{"final unknown", unknown, [][]float32{{101, -101}, {102, -102}, nil}},
		{"its own", spelledOut(numbered(1, 3)), [][]float32{{100.125, -99.875}, {101.125, -100.875}, {102.125, -101.875}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for step, want := range test.want {
				got, known := test.episode.NextObservation(step)
				if d := cmp.Diff(want, got); d != "" || known != (want != nil) {
					t.Errorf("step %d: known %v (-want +got):\n%s", step, known, d)
				}
			}
		})
	}
}

func TestFinite(t *testing.T) {
	nan := []float32{0, float32(math.NaN())}
	tests := []struct {
		name   string
		bridge Bridge
		want   bool
	}{
		{"numbers", Bridge{States: []float32{1, 2}, Actions: []float32{3}, Rewards: []float32{4}, Errors: []float32{5}}, true},
		{"states alone", Bridge{States: []float32{1, 2}}, true},
		{"a state", Bridge{States: nan}, false},
		{"an action", Bridge{Actions: nan}, false},
		{"a reward", Bridge{Rewards: nan}, false},
		{"an error", Bridge{Errors: []float32{float32(math.Inf(1))}}, false},
	}
	for _, test := range tests {
		if got := test.bridge.Finite(); got != test.want {
			t.Errorf("%s: finite %v, want %v", test.name, got, test.want)
		}
	}
}

func TestGenerated(t *testing.T) {
	p := &Provenance{Source: SynthER}
	if d := cmp.Diff([]Range{{0, 9}}, p.Generated(9)); d != "" {
		t.Errorf("without qualification errors (-want +got):\n%s", d)
	}
	p = &Provenance{Source: Stitched, Bridges: []Range{{3, 5}, {6, 7}}, Errors: make([]float32, 3)}
	if d := cmp.Diff([]Range{{3, 5}, {6, 7}}, p.Generated(9)); d != "" || p.GeneratedRows(9) != 3 {
		t.Errorf("of two bridges %d rows (-want +got):\n%s", p.GeneratedRows(9), d)
	}
}
