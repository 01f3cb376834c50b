package pair

import (
	"cmp"
	"slices"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	gocmp "github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) { ptest.Main(m) }

func pools() rank.Pools {
	var p rank.Pools
	for i := range int64(20) {
		m := trajectory.Meta{ID: i, Location: trajectory.Location{Row: i}, Steps: int32(i + 2)}
		if i < 15 {
			p.Low = append(p.Low, &m)
		} else {
			p.High = append(p.High, &m)
		}
	}
	return p
}

func plan(cfg Config) []trajectory.PairBatch {
	return slices.Concat(slices.Collect(cfg.Plan(pools()))...)
}

// byLow orders pairs as the data has their low ends.
func byLow(a, b trajectory.Pair) int {
	return cmp.Or(rank.ByLocation(a.Low.Episode, b.Low.Episode), cmp.Compare(a.Low.Step, b.Low.Step))
}

func TestPlan(t *testing.T) {
	for _, strategy := range Strategies {
		t.Run(strategy, func(t *testing.T) {
			cfg := Config{Strategy: strategy, Seed: 3, Count: 10, BatchSize: 4, Candidates: 8}
			var pairs []trajectory.Pair
			for _, b := range plan(cfg) {
				for _, pair := range b.Pairs {
					if pair.Index != int64(len(pairs)) || pair.Index/4 != b.Index {
						t.Errorf("pair %d of batch %d has index %d", len(pairs), b.Index, pair.Index)
					}
					pairs = append(pairs, pair)
				}
			}
			if len(pairs) != 10 || !slices.IsSortedFunc(pairs, byLow) {
				t.Errorf("pairs, not in the order of the data: %+v", pairs)
			}
		})
	}
}

// TestRoundsContinueThePlan: a later round draws what one longer round would
// have drawn, and numbers it on.
func TestRoundsContinueThePlan(t *testing.T) {
	whole := Config{Strategy: Reference, Seed: 3, Count: 12, BatchSize: 4, Candidates: 8}
	first, second := whole, whole
	first.Count, second.First, second.FirstBatch, second.Count = 4, 4, 1, 8
	ends := func(batches []trajectory.PairBatch) (ends []trajectory.StateRef) {
		for i, b := range batches {
			for j, p := range b.Pairs {
				if p.Index != int64(4*i+j) || b.Index != int64(i) {
					t.Errorf("pair %d of batch %d is number %d of batch %d", j, i, p.Index, b.Index)
				}
				ends = append(ends, p.Low)
			}
		}
		slices.SortFunc(ends, func(a, b trajectory.StateRef) int {
			return cmp.Or(rank.ByLocation(a.Episode, b.Episode), cmp.Compare(a.Step, b.Step))
		})
		return ends
	}
	if d := gocmp.Diff(ends(plan(whole)), ends(append(plan(first), plan(second)...))); d != "" {
		t.Error(d)
	}
}

func TestUniformJoinsLastToFirst(t *testing.T) {
	for _, b := range plan(Config{Strategy: Uniform, Count: 50, BatchSize: 8}) {
		if len(b.Candidates) > 0 {
			t.Fatal("uniform pairs have candidates")
		}
		for _, p := range b.Pairs {
			if p.Low.Step != p.Low.Episode.Steps-1 || p.High.Step != 0 {
				t.Errorf("pair %d leaves at step %d of %d and enters at step %d", p.Index, p.Low.Step, p.Low.Episode.Steps, p.High.Step)
			}
		}
	}
}

func TestReferenceLeavesAfterATransition(t *testing.T) {
	cfg := Config{Strategy: Reference, Count: 200, BatchSize: 8, Candidates: 16}
	for _, b := range plan(cfg) {
		for _, p := range b.Pairs {
			if p.Low.Step < 1 || p.Low.Step >= p.Low.Episode.Steps {
				t.Errorf("pair %d leaves at step %d of %d", p.Index, p.Low.Step, p.Low.Episode.Steps)
			}
		}
		for _, place := range b.Candidates {
			if place < 0 || int(place) >= cfg.pool() {
				t.Errorf("a candidate at place %d of %d", place, cfg.pool())
			}
		}
	}
}

// TestCandidates: the pool is numbered in the data's order, and every episode gets
// its share.
func TestCandidates(t *testing.T) {
	cfg := Config{Strategy: Reference, Seed: 5, Count: 1, BatchSize: 1, Candidates: 70}
	want := cfg.candidates(pools().High)
	shares := map[int64]int{}
	for i, ref := range want {
		shares[ref.Episode.ID]++
		if ref.Step < 0 || ref.Step >= ref.Episode.Steps {
			t.Errorf("a candidate at step %d of %d", ref.Step, ref.Episode.Steps)
		}
		if i > 0 && cmp.Or(rank.ByLocation(want[i-1].Episode, ref.Episode), cmp.Compare(want[i-1].Step, ref.Step)) > 0 {
			t.Errorf("candidate %d lies before the one ahead of it", i)
		}
	}
	for id, n := range shares {
		if even := len(want) / len(pools().High); n < even*4/5 || n > even*6/5 {
			t.Errorf("%d of %d candidates are of episode %d", n, len(want), id)
		}
	}
	var blocks []trajectory.CandidateBlock
	for first := 0; first < len(want); first += blockStates {
		blocks = append(blocks, trajectory.CandidateBlock{First: int32(first), Refs: want[first:min(first+blockStates, len(want))]})
	}
	if len(blocks) < 2 || int64(len(blocks)) != cfg.CandidateBlocks() {
		t.Fatalf("%d blocks, %d were announced", len(blocks), cfg.CandidateBlocks())
	}
	if d := gocmp.Diff(blocks, cfg.CandidatesOf(pools().High)); d != "" {
		t.Error(d)
	}
}

// TestCandidatesWithStepsLeft: episodes that are too short have none, and the last state
// that has as many steps left is one.
func TestCandidatesWithStepsLeft(t *testing.T) {
	var high []*trajectory.Meta
	for i, steps := range []int32{5, 9, 30, 10} {
		high = append(high, &trajectory.Meta{ID: int64(i), Steps: steps, Location: trajectory.Location{Row: int64(i)}})
	}
	cfg := Config{Strategy: Reference, Seed: 5, Count: 1, BatchSize: 1, Candidates: 70, MinLeft: 10}
	latest := map[int64]int32{}
	for _, block := range cfg.CandidatesOf(high) {
		for _, ref := range block.Refs {
			latest[ref.Episode.ID] = max(latest[ref.Episode.ID], ref.Step)
		}
	}
	if d := gocmp.Diff(map[int64]int32{2: 20, 3: 0}, latest); d != "" {
		t.Errorf("latest candidate of each episode (-want +got):\n%s", d)
	}
}

func TestValidate(t *testing.T) {
	good := Config{Strategy: Reference, Count: 1, BatchSize: 1, Candidates: 1}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"strategy":                func(c *Config) { c.Strategy = "best" },
		"count":                   func(c *Config) { c.Count = 0 },
		"batch":                   func(c *Config) { c.BatchSize = 0 },
		"number of steps left":    func(c *Config) { c.MinLeft = -1 },
		"strategy for steps left": func(c *Config) { c.Strategy, c.MinLeft = Uniform, 5 },
		"candidates":              func(c *Config) { c.Candidates = 0 },
	} {
		bad := good
		change(&bad)
		if bad.Validate() == nil {
			t.Errorf("a wrong %s is accepted", name)
		}
	}
}
