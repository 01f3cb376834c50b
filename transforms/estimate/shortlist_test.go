package estimate

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"diffstitch/modelops/backend"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/inference"
)

// TestShortlist: who looks at the listed targets alone finds the same as who looks at all,
// to the bit, whatever is equal, nothing or not finite.
func TestShortlist(t *testing.T) {
	const pairs, targets = 9, 1500 // more than one run of the device takes
	models := fixture.Models(t)
	models.Peaks = true
	dim, horizon := fixture.Walks.ObservationDim, fixture.Horizon
	rng := rand.New(rand.NewPCG(1, 2))
	rollouts, states := make([]float32, pairs*horizon*dim), make([]float32, targets*dim)
	for _, values := range [][]float32{rollouts, states} {
		for i := range values {
			values[i] = float32(rng.IntN(9)) - 3 // so that there are equals
			if i >= len(values)/2 {
				values[i] = float32(rng.NormFloat64()) + 5
			}
		}
	}
	copy(states[3*dim:], rollouts[3*dim:4*dim])
	clear(states[5*dim : 6*dim])
	rollouts[len(rollouts)-1], rollouts[len(rollouts)-1-horizon*dim] = float32(math.NaN()), 1e30
	for _, cfg := range []Config{
		{Similarity: Similarity{Kind: Distance, Space: Raw}},
		{Similarity: Similarity{Kind: Cosine, Space: Raw}},
		{Similarity: Similarity{Kind: Distance, Space: Raw}, Threshold: -0.5},
		{Similarity: Similarity{Kind: Cosine, Space: Raw}, Threshold: 0.9},
		{Similarity: Similarity{Kind: Cosine, Space: Raw}, Threshold: 2},
	} {
		t.Run(fmt.Sprint(cfg.Similarity.Kind, cfg.Threshold), func(t *testing.T) {
			fn := fixture.SetUp(t, &stepsFn{Config: cfg, imagination: imagination{Models: inference.Models{Options: models}}})
			list, err := fn.shortlist(rollouts, states)
			if err != nil {
				t.Fatal(err)
			}
			short := 0
			for i := range pairs {
				rollout := rollouts[i*horizon*dim:][:horizon*dim]
				got, want := fn.match(rollout, states, list.of(i), int64(i)), fn.match(rollout, states, nil, int64(i))
				if got != want {
					t.Errorf("pair %d: among the listed %+v, among all %+v", i, got, want)
				}
				if listed := list.of(i); listed != nil && len(listed) < targets/2 {
					short++
				}
			}
			if cfg.Threshold == 0 && short < pairs-2 { // but for those with what cannot be compared
				t.Errorf("the lists of %d of %d pairs are short", short, pairs)
			}
		})
	}
}

// BenchmarkRetrieval chooses among 2,048 states for 4,096 pairs, by the products of the
// device and without.
func BenchmarkRetrieval(b *testing.B) {
	const pairs, batch, targets, dim, horizon = 4096, 512, 2048, 11, 100
	models := fixture.ModelsOf(b, fixture.Shape{Episodes: 4, MaxSteps: 300, ObservationDim: dim, ActionDim: 2}, horizon)
	models.Batch, models.Peaks, models.Backend = batch, true, cmp.Or(os.Getenv("DIFFSTITCH_BENCH_BACKEND"), backend.Go)
	rng := rand.New(rand.NewPCG(1, 2))
	rollouts, states := make([]float32, batch*horizon*dim), make([]float32, targets*dim)
	for _, values := range [][]float32{rollouts, states} {
		for i := range values {
			values[i] = float32(rng.NormFloat64())
		}
	}
	for _, kind := range []string{Cosine, Distance} {
		fn := fixture.SetUp(b, &stepsFn{Config: Config{Similarity: Similarity{Kind: kind, Space: Raw}}, imagination: imagination{Models: inference.Models{Options: models}}})
		choose := func(list shortlist) {
			for i := range batch {
				fn.match(rollouts[i*horizon*dim:][:horizon*dim], states, list.of(i), int64(i))
			}
		}
		b.Run(kind+"/scalar", func(b *testing.B) {
			for b.Loop() {
				choose(shortlist{})
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*pairs/batch, "s/4096")
		})
		b.Run(kind+"/products", func(b *testing.B) {
			for b.Loop() {
				list, err := fn.shortlist(rollouts, states)
				if err != nil {
					b.Fatal(err)
				}
				choose(list)
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*pairs/batch, "s/4096")
		})
	}
}
