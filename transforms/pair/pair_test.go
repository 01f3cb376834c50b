package pair

import (
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) { ptest.Main(m) }

func pools() rank.Pools {
	var p rank.Pools
	for i := range int64(20) {
		m := trajectory.Meta{ID: i, Location: trajectory.Location{Row: i}, Steps: int32(i + 2)}
		if i < 15 {
			p.Low = append(p.Low, m)
		} else {
			p.High = append(p.High, m)
		}
	}
	return p
}

func plan(cfg Config) (batches []trajectory.PairBatch) {
	size := int64(cfg.BatchSize)
	for first := cfg.First; first < cfg.First+cfg.Count; first += size {
		batches = append(batches, cfg.batch(pools(), first/size, min(size, cfg.First+cfg.Count-first)))
	}
	return batches
}

func TestPlan(t *testing.T) {
	for _, strategy := range []string{Uniform, Reference} {
		t.Run(strategy, func(t *testing.T) {
			cfg := Config{Strategy: strategy, Seed: 3, Count: 10, BatchSize: 4, Candidates: 8, Ahead: 5}
			want := plan(cfg)
			p, s := beam.NewPipelineWithRoot()
			passert.EqualsList(s, Plan(s, cfg, beam.Create(s, pools())), want)
			ptest.RunAndValidate(t, p)

			var index int64
			for _, b := range want {
				for _, pair := range b.Pairs {
					if pair.Index != index {
						t.Errorf("pair %d has index %d", index, pair.Index)
					}
					index++
				}
			}
			if index != cfg.Count {
				t.Errorf("%d pairs, want %d", index, cfg.Count)
			}
		})
	}
}

func TestRoundsContinueThePlan(t *testing.T) {
	whole := Config{Strategy: Reference, Seed: 3, Count: 12, BatchSize: 4, Candidates: 8}
	first, second := whole, whole
	first.Count, second.First, second.Count = 4, 4, 8
	if d := cmp.Diff(plan(whole), append(plan(first), plan(second)...)); d != "" {
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
	cfg := Config{Strategy: Reference, Count: 200, BatchSize: 8, Candidates: 16, Ahead: 12}
	for _, b := range plan(cfg) {
		for _, p := range b.Pairs {
			if p.Low.Step < 1 || p.Low.Step >= p.Low.Episode.Steps {
				t.Errorf("pair %d leaves at step %d of %d", p.Index, p.Low.Step, p.Low.Episode.Steps)
			}
		}
		for _, c := range b.Candidates {
			if c.Step < 0 || c.Step >= c.Episode.Steps || (c.Step > 0 && c.Episode.Steps-c.Step <= int32(cfg.Ahead)) {
				t.Errorf("a candidate at step %d of %d, want %d states after it", c.Step, c.Episode.Steps, cfg.Ahead)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	good := Config{Strategy: Reference, Count: 1, BatchSize: 1, Candidates: 1}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"strategy":   func(c *Config) { c.Strategy = "best" },
		"count":      func(c *Config) { c.Count = 0 },
		"batch":      func(c *Config) { c.BatchSize = 0 },
		"first":      func(c *Config) { c.BatchSize, c.First = 4, 2 },
		"candidates": func(c *Config) { c.Candidates = 0 },
	} {
		bad := good
		change(&bad)
		if bad.Validate() == nil {
			t.Errorf("a wrong %s is accepted", name)
		}
	}
}
