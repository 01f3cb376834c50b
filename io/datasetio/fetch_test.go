package datasetio

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// counting makes an episode of one observation value: first, first+1, ….
func counting(first float32, steps int) *trajectory.Episode {
	e := &trajectory.Episode{ObservationDim: 1, ActionDim: 1, Actions: make([]float32, steps), Rewards: make([]float32, steps)}
	for i := range steps {
		e.Observations = append(e.Observations, first+float32(i))
	}
	return e
}

func TestHorizonOf(t *testing.T) {
	tests := []struct {
		name             string
		from, steps, to  int32
		highSteps        int
		wantKnown, wantM []float32
	}{
		{"the last state is hidden", 2, 2, 0, 9, []float32{3, 0, 0, 11, 12, 0}, []float32{1, 0, 0, 1, 1, 0}},
		{"it is s′_1", 2, 4, 0, 9, []float32{3, 0, 0, 0, 0, 11}, []float32{1, 0, 0, 0, 0, 1}},
		{"s′_1 alone", 2, 3, 0, 9, []float32{3, 0, 0, 0, 11, 0}, []float32{1, 0, 0, 0, 1, 0}},
		{"nothing between", 0, 0, 1, 9, []float32{1, 12, 13, 14, 15, 0}, []float32{1, 1, 1, 1, 1, 0}},
		{"a short high episode", 2, 1, 0, 2, []float32{3, 0, 11, 12, 0, 0}, []float32{1, 0, 1, 1, 0, 0}},
		{"its last state", 2, 1, 1, 2, []float32{3, 0, 12, 0, 0, 0}, []float32{1, 0, 1, 0, 0, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			low, high := counting(1, 4), counting(11, test.highSteps)
			known, mask := horizonOf(low.Observation(int(test.from)), high.Observations[test.to:], int(test.steps), 6)
			if d := cmp.Diff([][]float32{test.wantKnown, test.wantM}, [][]float32{known, mask}); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestHorizonOfAnyPair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		horizon := rapid.IntRange(2, 12).Draw(t, "horizon")
		low, high := counting(1, rapid.IntRange(1, 9).Draw(t, "low")), counting(101, rapid.IntRange(1, 9).Draw(t, "high"))
		p := trajectory.Pair{
			Low:   trajectory.StateRef{Step: int32(rapid.IntRange(0, low.Len()-1).Draw(t, "from"))},
			High:  trajectory.StateRef{Step: int32(rapid.IntRange(0, high.Len()-1).Draw(t, "to"))},
			Steps: int32(rapid.IntRange(0, horizon-2).Draw(t, "Δ")),
		}
		known, mask := horizonOf(low.Observation(int(p.Low.Step)), high.Observations[p.High.Step:], int(p.Steps), horizon)
		arrival := int(p.Steps) + 1
		for at, m := range mask {
			var want float32
			switch past := at - arrival; {
			case at == 0:
				want = low.Observation(int(p.Low.Step))[0]
			case past >= 0 && int(p.High.Step)+past < high.Len() && (past == 0 || at < horizon-1):
				want = high.Observation(int(p.High.Step) + past)[0]
			}
			if known[at] != want || m != 0 && m != 1 || (m == 1) != (want != 0) {
				t.Fatalf("state %d is %v with mask %v, want %v", at, known[at], m, want)
			}
		}
	})
}

// ref points at a state of an episode.
func ref(m trajectory.Meta, step int32) trajectory.StateRef {
	return trajectory.StateRef{Episode: m, Step: step}
}

// returns gives the pair what its episodes earn.
func returns(p trajectory.Pair, low, high *trajectory.Episode) trajectory.Pair {
	for step, r := range low.Rewards {
		if step < int(p.Low.Step) {
			p.LowReturn += float64(r)
		} else {
			p.LowRest += float64(r)
		}
	}
	if high != nil {
		for _, r := range high.Rewards[p.High.Step:] {
			p.HighReturn += float64(r)
		}
	}
	return p
}

func TestEnds(t *testing.T) {
	episodes := longWalks(12, 4)
	in := write(t, episodes...)
	_, m := readFile(t, in.Files[0])
	state := func(i, step int) []float32 { return episodes[i].Observation(step) }
	chosen := trajectory.PairBatch{Index: 3, Pairs: []trajectory.Pair{
		{Index: 6, Low: ref(m[1], 1), High: ref(m[5], 0)},
		{Index: 7, Low: ref(m[2], 0), High: ref(m[1], 1)},
	}}
	ended := trajectory.PairBatch{Index: 3, Low: slices.Concat(state(1, 1), state(2, 0)), Pairs: []trajectory.Pair{
		returns(chosen.Pairs[0], episodes[1], nil), returns(chosen.Pairs[1], episodes[2], nil),
	}}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		lows := fixture.NoneDead(s)(LowEnds(s, in, beam.Create(s, chosen)))
		passert.Equals(s, lows, ended)
		passert.Equals(s, fixture.NoneDead(s)(Entries(s, in, lows)),
			trajectory.Ends{Batch: ended, Candidates: []trajectory.StateRef{ended.Pairs[0].High, ended.Pairs[1].High}, Targets: slices.Concat(state(5, 0), state(1, 1))})
	})
}

func TestChoices(t *testing.T) {
	episodes := longWalks(12, 4)
	in := write(t, episodes...)
	_, m := readFile(t, in.Files[0])
	path := filepath.Join(t.TempDir(), "candidates.parquet")
	open := trajectory.PairBatch{Index: 4, Pairs: []trajectory.Pair{{Index: 8, Low: ref(m[0], 0)}}, Candidates: []int32{2, 0, 2}}
	none := trajectory.PairBatch{Index: 5, Pairs: open.Pairs, Candidates: []int32{3}}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		blocks := beam.Create(s,
			trajectory.CandidateBlock{First: 1, Refs: []trajectory.StateRef{ref(m[3], 0), ref(m[3], 1)}},
			trajectory.CandidateBlock{First: 0, Refs: []trajectory.StateRef{ref(m[2], 1)}})
		ends, dead := Choices(s, in, StageCandidates(s, in, path, blocks), beam.Create(s, open, none))
		passert.Equals(s, ends, trajectory.Ends{
			Batch: open, Shared: true, Candidates: []trajectory.StateRef{ref(m[3], 1), ref(m[2], 1), ref(m[3], 1)},
			Targets: slices.Concat(episodes[3].Observation(1), episodes[2].Observation(1), episodes[3].Observation(1)),
		})
		passert.Equals(s, dead, trajectory.Failure{
			Span: none.Span(), Stage: "candidates", Error: fmt.Sprintf("datasetio: candidate 3 of 3 in %q asked for", path),
		})
	})
}

func TestContexts(t *testing.T) {
	episodes := longWalks(12, 4)
	in := write(t, episodes...)
	_, m := readFile(t, in.Files[0])
	const horizon = 6
	batch := trajectory.PairBatch{Index: 2, ByEntry: true, Pairs: []trajectory.Pair{
		{Index: 4, Low: ref(m[1], 1), High: ref(m[5], 0), Steps: 2},
		{Index: 5, Low: ref(m[2], 0), High: ref(m[3], 1), Steps: 4},
	}}
	batch.Low = slices.Concat(episodes[1].Observation(1), episodes[2].Observation(0))
	want := trajectory.Contexts{Batch: trajectory.PairBatch{Index: 2, ByEntry: true}}
	for i, high := range []*trajectory.Episode{episodes[5], episodes[3]} {
		p := batch.Pairs[i]
		known, mask := horizonOf(batch.Low[3*i:3*i+3], high.Observations[3*p.High.Step:], int(p.Steps), horizon)
		want.Known, want.Mask = append(want.Known, known...), append(want.Mask, mask...)
		p.HighReturn = returns(p, high, high).HighReturn
		want.Batch.Pairs = append(want.Batch.Pairs, p)
	}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.Equals(s, fixture.NoneDead(s)(Contexts(s, in, horizon, beam.Create(s, batch))), want)
	})
}
