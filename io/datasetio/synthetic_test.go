package datasetio

import (
	"testing"

	"diffstitch/io/trajectory"

	"github.com/google/go-cmp/cmp"
)

// rollouts are episodes of 1 to 5 steps, of which every seventh is rejected.
func rollouts(n int) trajectory.SyntheticBatch {
	batch := trajectory.SyntheticBatch{Plan: trajectory.SampleBatch{Index: 3, First: 300, Count: int32(n)}, Source: trajectory.TATU}
	for i := range n {
		steps := 1 + i%5
		e := trajectory.SyntheticEpisode{Index: 300 + int64(i), Terminal: i%2 == 0}
		for step := range steps {
			e.States = append(e.States, float32(i), float32(step))
			e.Actions = append(e.Actions, float32(step))
			e.Rewards = append(e.Rewards, 1)
			e.Errors = append(e.Errors, float32(i))
		}
		e.States = append(e.States, float32(i), float32(steps-1)) // the last step stays in place
		if i%7 == 6 {
			e.Rejected = "cut"
		}
		batch.Episodes = append(batch.Episodes, e)
	}
	return batch
}

// TestBlocksOfSyntheticEpisodes: every episode that stands is in one block, comes
// back as it was, and the others are counted.
func TestBlocksOfSyntheticEpisodes(t *testing.T) {
	fn := &stageSyntheticFn{Dir: t.TempDir(), Shape: Shape{ObservationDim: 2, ActionDim: 1}}
	batch := rollouts(100)
	outcomes, err := fn.stage(batch)
	if err != nil {
		t.Fatal(err)
	}
	staged := OpenStaged(fn.Dir)
	defer staged.Close()
	var got, want []*trajectory.Episode
	for _, e := range batch.Episodes {
		if e.Rejected == "" {
			want = append(want, e.Episode(batch.Source))
		}
	}
	var attempts int64
	for i, o := range outcomes {
		attempts += o.Attempts()
		if o.Rejected != "" {
			if o.Episodes != 14 || o.Index != 306 {
				t.Errorf("rejected: %+v", o)
			}
			continue
		}
		block, err := staged.Block(t.Context(), o.Staged)
		if err != nil {
			t.Fatal(err)
		}
		if block[0].ID != o.Index || len(block) != int(o.Episodes) || o.BridgeReturn != float64(o.Rows()) {
			t.Errorf("block %d of %d episodes from %d on: %+v", i, len(block), block[0].ID, o)
		}
		if last := i == len(outcomes)-2; o.Rows() < blockRows && !last || o.Rows() >= blockRows+5 {
			t.Errorf("block %d has %d rows", i, o.Rows())
		}
		if o.MaxError != float32(block[len(block)-1].ID-300) {
			t.Errorf("block %d: largest error %g", i, o.MaxError)
		}
		got = append(got, block...)
	}
	if attempts != 100 {
		t.Errorf("outcomes stand for %d of 100 attempts", attempts)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-staged +read):\n%s", diff)
	}
}
