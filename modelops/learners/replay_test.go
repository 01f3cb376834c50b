package learners

import (
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/google/go-cmp/cmp"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
)

func TestParseRatio(t *testing.T) {
	for text, want := range map[string]Ratio{"2:1": {2, 1}, "1:0": {1, 0}, "0:1": {0, 1}} {
		got, err := ParseRatio(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2", "2:", "0:0", "-1:2", "a:b", "1:2:3"} {
		if _, err := ParseRatio(text); err == nil || !strings.Contains(err.Error(), "original:augmented") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRatioSplit(t *testing.T) {
	tests := []struct {
		ratio       Ratio
		batch, want int
	}{
		{Ratio{1, 0}, 256, 256}, {Ratio{0, 1}, 256, 0}, {Ratio{1, 1}, 256, 128},
		{Ratio{2, 1}, 256, 171}, {Ratio{1, 2}, 256, 85}, {Ratio{4, 1}, 256, 205},
		{Ratio{100, 1}, 4, 3}, {Ratio{1, 100}, 4, 1},
	}
	for _, tc := range tests {
		if got := tc.ratio.split(tc.batch); got != tc.want {
			t.Errorf("%v of %d: %d original, want %d", tc.ratio, tc.batch, got, tc.want)
		}
	}
}

// TestBatchesHoldTheRatio draws batches and counts the rows' kinds, which it tells by
// their rewards.
func TestBatchesHoldTheRatio(t *testing.T) {
	data := toyData(64)
	for row, augmented := range data.Augmented {
		data.Rewards[row] = 1
		if augmented {
			data.Rewards[row] = -1
		}
	}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		for _, ratio := range []Ratio{{1, 0}, {0, 1}, {1, 1}, {2, 1}, {1, 2}, {4, 1}} {
			cfg := toyConfig(t, IQL, 0)
			cfg.Ratio = ratio
			s, err := data.scaling(cfg)
			if err != nil {
				t.Fatal(err)
			}
			r, err := newReplay(data, ratio)
			if err != nil {
				t.Fatal(err)
			}
			const size = 30
			rewards := once(t, engine, func(inputs []*Node) []*Node {
				return []*Node{r.draw(inputs[0], newStreams(inputs[1]), size).rewards}
			}, r.transitions(data, s), tensors.FromFlatDataAndDimensions([]uint64{1, 2, 3, 4, 5, 6}, 2, 3))[0]
			for seed, drawn := range slices.Collect(slices.Chunk(rewards, size)) {
				original := 0
				for _, reward := range drawn {
					if reward > 0 {
						original++
					}
				}
				if want := ratio.split(size); original != want {
					t.Errorf("%v: seed %d has %d original rows of %d, want %d", ratio, seed, original, size, want)
				}
			}
		}
	})
}

// TestDrawnRows checks that what is drawn is rows of the data, normalised, and every
// row at some time.
func TestDrawnRows(t *testing.T) {
	data := toyData(16)
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		s, r := halfAugmented(t, IQL, data)
		const size = 400
		parts := once(t, engine, func(inputs []*Node) []*Node {
			b := r.draw(inputs[0], newStreams(inputs[1]), size)
			return []*Node{b.rewards, b.observations, b.actions, b.next, b.alive}
		}, r.transitions(data, s), tensors.FromFlatDataAndDimensions([]uint64{7, 8, 9}, 1, 3))
		seen := map[int]bool{}
		for i := range size {
			row := slices.Index(data.Rewards, parts[0][i])
			if row < 0 {
				t.Fatalf("drawn row %d has reward %v, which no transition has", i, parts[0][i])
			}
			seen[row] = true
			want := make([]float32, 3)
			s.observation(want, data.Observations[3*row:])
			if diff := cmp.Diff(want, parts[1][3*i:3*i+3]); diff != "" {
				t.Errorf("observation of row %d (-want +got):\n%s", row, diff)
			}
			if diff := cmp.Diff(data.Actions[2*row:2*row+2], parts[2][2*i:2*i+2]); diff != "" {
				t.Errorf("action of row %d (-want +got):\n%s", row, diff)
			}
			s.observation(want, data.Next[3*row:])
			if diff := cmp.Diff(want, parts[3][3*i:3*i+3]); diff != "" {
				t.Errorf("next observation of row %d (-want +got):\n%s", row, diff)
			}
			if alive := parts[4][i] == 1; alive == data.Terminals[row] {
				t.Errorf("row %d: alive %v, terminal %v", row, alive, data.Terminals[row])
			}
		}
		if len(seen) != len(data.Rewards) {
			t.Errorf("%d of %d rows were drawn", len(seen), len(data.Rewards))
		}
	})
}

func TestRatioWithoutRows(t *testing.T) {
	data := toyData(8)
	clear(data.Augmented)
	cfg := toyConfig(t, IQL, 0)
	cfg.Ratio = Ratio{2, 1}
	if _, err := Train(t.Context(), backendtest.Open(t, backend.Go), t.TempDir(), cfg, data, nil); err == nil || !strings.Contains(err.Error(), "none is augmented") {
		t.Errorf("got %v", err)
	}
}

// TestDrawnContexts checks that a context is consecutive steps of an episode, with the
// return that was still to come, and zeros after its end.
func TestDrawnContexts(t *testing.T) {
	data := toyData(16)
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		s, r := halfAugmented(t, DT, data)
		const size, context = 100, 3
		parts := once(t, engine, func(inputs []*Node) []*Node {
			c := r.drawContexts(inputs[0], newStreams(inputs[1]), size, context)
			return []*Node{c.actions, c.returns, ConvertDType(c.times, dtypes.Float32), c.known}
		}, r.contexts(data, s), tensors.FromFlatDataAndDimensions([]uint64{7, 8, 9}, 1, 3))
		short := 0
		for i := range size {
			row := slices.Index(data.Actions, parts[0][i*context*2]) / 2
			end := row - row%4 + 4
			for step := range context {
				want := []float32{0, 0, 0, float32(row%4 + step), 0}
				if row+step < end {
					toGo := float32(0)
					for _, reward := range data.Rewards[row+step : end] {
						toGo += reward
					}
					want = []float32{data.Actions[2*(row+step)], data.Actions[2*(row+step)+1], toGo, float32(row%4 + step), 1}
				} else {
					short++
				}
				k := i*context + step
				got := []float32{parts[0][2*k], parts[0][2*k+1], parts[1][k], parts[2][k], parts[3][k]}
				if !near(got, want, 1e-6) {
					t.Errorf("context from row %d, step %d: action, return, time, known are %v, want %v", row, step, got, want)
				}
			}
		}
		if short == 0 {
			t.Error("no context reaches past its episode's end")
		}
	})
}

// halfAugmented is the replay of a learner that draws as many augmented rows as others.
func halfAugmented(t *testing.T, learner Learner, data *Data) (scaling, replay) {
	t.Helper()
	cfg := toyConfig(t, learner, 0)
	cfg.Ratio = Ratio{1, 1}
	s, err := data.scaling(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newReplay(data, cfg.Ratio)
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}
