package pair

import (
	"slices"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{BatchSize: rapid.IntRange(1, 50).Draw(t, "batch")}
		cfg.FirstBatch = rapid.Int64Range(0, 9).Draw(t, "first")
		n := rapid.Int64Range(1, 100_000).Draw(t, "pairs")
		at, batch, batches := int64(0), cfg.FirstBatch, map[int64]int{}
		last := int64(0)
		for s := range cfg.cut(n) {
			whole := s.to-s.from == int64(cfg.BatchSize) || s.to == n
			if s.from != at || s.to <= s.from || s.index != batch || !whole || s.partition < last {
				t.Fatalf("%+v; due is batch %d from %d", s, batch, at)
			}
			at, batch, last = s.to, batch+1, s.partition
			batches[s.partition]++
		}
		if at != n {
			t.Fatalf("%d of %d pairs", at, n)
		}
		for partition, n := range batches {
			if n > trajectory.MostBatches {
				t.Fatalf("partition %d has %d batches", partition, n)
			}
		}
	})
}

// entered is the plan with every pair's entry chosen: most of them in one high
// episode.
func entered(cfg Config) []trajectory.PairBatch {
	high := pools().High
	batches := plan(cfg)
	for i := range batches {
		b := &batches[i]
		for j := range b.Pairs {
			p := &b.Pairs[j]
			p.High = trajectory.StateRef{Episode: *high[2], Step: int32(p.Index * 7 % 5)}
			if p.Index%10 == 0 {
				p.High.Episode = *high[p.Index%int64(len(high))]
			}
			b.Low = append(b.Low, float32(p.Index), -float32(p.Index))
		}
	}
	return batches
}

// TestByEntry: the pairs of many batches come in the order of their entries,
// with their states, and one busy episode fills no partition beyond its bound.
func TestByEntry(t *testing.T) {
	cfg := Config{Strategy: Reference, Seed: 3, Count: 9000, BatchSize: 8, Candidates: 2}
	perPartition := map[int64]int{}
	partitionsOf := map[int64]map[int64]bool{}
	var want []trajectory.PairBatch
	var pairs []trajectory.Pair
	cfg.byEntry(entered(cfg), func(partition int64, b trajectory.PairBatch) {
		perPartition[partition]++
		want = append(want, b)
		for i, p := range b.Pairs {
			if b.Low[2*i] != float32(p.Index) || b.Low[2*i+1] != -float32(p.Index) {
				t.Errorf("pair %d has the state of another", p.Index)
			}
			if partitionsOf[p.High.Episode.ID] == nil {
				partitionsOf[p.High.Episode.ID] = map[int64]bool{}
			}
			partitionsOf[p.High.Episode.ID][partition] = true
		}
		pairs = append(pairs, b.Pairs...)
	})
	if len(pairs) != 9000 || !slices.IsSortedFunc(pairs, func(a, b trajectory.Pair) int { return rank.ByLocation(a.High.Episode, b.High.Episode) }) {
		t.Errorf("%d pairs, in the order of their entries", len(pairs))
	}
	for partition, batches := range perPartition {
		if batches > trajectory.MostBatches {
			t.Errorf("partition %d has %d batches", partition, batches)
		}
	}
	busy := partitionsOf[pools().High[2].ID]
	if len(busy) < trajectory.LeastPartitions {
		t.Errorf("the busy episode is in %d partitions", len(busy))
	}
	// In any order, on a runner.
	batches := entered(cfg)
	slices.Reverse(batches)
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.EqualsList(s, ByEntry(s, cfg, beam.CreateList(s, batches)), want)
	})
	again := entered(cfg)
	slices.Reverse(again)
	if d := gocmp.Diff(again, batches); d != "" {
		t.Errorf("the elements were changed (-before +after):\n%s", d)
	}
}
