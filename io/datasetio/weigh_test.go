package datasetio

import (
	"testing"

	"diffstitch/io/trajectory"
)

func TestWeights(t *testing.T) {
	long := trajectory.Meta{Location: trajectory.Location{Row: 0, Rows: 600}, Steps: 600}
	short := trajectory.Meta{Location: trajectory.Location{Row: 600, Rows: 10}, Steps: 10}
	refs := []trajectory.StateRef{ref(long, 0), ref(long, 255), ref(long, 599), ref(short, 9)}
	batch := trajectory.PairBatch{}
	for _, r := range refs {
		batch.Pairs = append(batch.Pairs, trajectory.Pair{Low: r, High: ref(long, 300)})
	}
	states := int64(256 + 88 + 10)
	for _, test := range []struct{ got, want Weight }{
		{WeighCandidates(shape, trajectory.CandidateBlock{Refs: refs}), Weight{States: 4, Windows: 3, Bytes: 4 * 3 * states}},
		{WeighLowEnds(shape, batch), Weight{States: 4, Windows: 5, Bytes: 4*3*states + 4*610}},
		{WeighEpisodes(shape, []*trajectory.Meta{&long, &short}), Weight{States: 610, Windows: 6, Bytes: 4 * 4 * 610}},
	} {
		if test.got != test.want {
			t.Errorf("got %+v, want %+v", test.got, test.want)
		}
	}
}
