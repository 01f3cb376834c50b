package datasetio

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

// TestNearest: every pair is given, for each step in reach, the staged state that is
// nearest to the imagined one.
func TestNearest(t *testing.T) {
	episodes := longWalks(12, 4)
	in := write(t, episodes...)
	_, m := readFile(t, in.Files[0])
	path := filepath.Join(t.TempDir(), "candidates.parquet")
	batch := trajectory.PairBatch{Index: 4, Pairs: []trajectory.Pair{{Index: 8, Low: ref(m[0], 0)}, {Index: 9, Low: ref(m[1], 0)}}}
	shifted := func(state []float32) []float32 {
		state = slices.Clone(state)
		state[0] += 1e-4
		return state
	}
	a, b, c := episodes[3].Observation(0), episodes[3].Observation(1), episodes[2].Observation(1)
	imagined := trajectory.Imagined{Batch: batch, Rollouts: slices.Concat(a, shifted(c), shifted(a), b, c, shifted(b), b, a)}
	scale := slices.Repeat([]float32{1}, len(a))
	ptest.BuildAndRun(t, func(s beam.Scope) {
		blocks := beam.Create(s,
			trajectory.CandidateBlock{First: 1, Refs: []trajectory.StateRef{ref(m[3], 0), ref(m[3], 1)}},
			trajectory.CandidateBlock{First: 0, Refs: []trajectory.StateRef{ref(m[2], 1)}})
		ready := Await(s, StageCandidates(s, in, path, blocks), beam.Create(s, batch))
		passert.Equals(s, ready, batch)
		rollouts := beam.ParDo(s, &imagineFn{imagined}, ready)
		ends := fixture.NoneDead(s)(Nearest(s, in, Reach{Pool: path, Scale: scale, First: 1, Last: 2}, rollouts))
		passert.Equals(s, ends, trajectory.Ends{
			Batch: batch, Rollouts: imagined.Rollouts,
			Candidates: []trajectory.StateRef{ref(m[2], 1), ref(m[3], 0), ref(m[3], 1), ref(m[3], 1)},
			Targets:    slices.Concat(c, a, b, b),
		})
	})
}

func init() { beam.RegisterDoFn(&imagineFn{}) }

// imagineFn stands for the imagination of a model.
type imagineFn struct{ Imagined trajectory.Imagined }

func (fn *imagineFn) ProcessElement(context.Context, trajectory.PairBatch) trajectory.Imagined {
	return fn.Imagined
}

// TestNeighbours: nine in ten of what the index finds is what looking at every state
// finds, and the rest is hardly farther.
func TestNeighbours(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	state := func() []float32 {
		s := make([]float32, 11)
		for d := range s {
			s[d] = float32(rng.NormFloat64()) / float32(d+1) // as of data, some directions matter more
		}
		return s
	}
	pool := make([]trajectory.Candidate, 5000)
	for i := range pool {
		pool[i] = trajectory.Candidate{Place: int32(i), State: state()}
	}
	reach := Reach{Pool: t.Name(), Scale: slices.Repeat([]float32{0.5}, 11)}
	index, err := OpenStore(write(t, longWalks(12, 4)...)).neighbours(reach, pool)
	if err != nil {
		t.Fatal(err)
	}
	const queries = 500
	exact, ratio := 0, 0.0
	for range queries {
		query := state()
		away := func(c trajectory.Candidate) float32 { return squared(query, c.State) }
		want := slices.MinFunc(pool, func(a, b trajectory.Candidate) int { return cmp.Compare(away(a), away(b)) })
		got := pool[index.nearest(query)]
		if got.Place == want.Place {
			exact++
		}
		ratio += math.Sqrt(float64(away(got)/away(want))) / queries
	}
	if exact < queries*9/10 || ratio > 1.02 {
		t.Errorf("%d of %d are the nearest, the mean distance is %.3f of the nearest's", exact, queries, ratio)
	}
	for _, c := range pool[:50] {
		if place := index.nearest(c.State); place != int(c.Place) {
			t.Errorf("place %d is found for the state at %d itself", place, c.Place)
		}
	}
	if place := index.nearest(slices.Repeat([]float32{float32(math.NaN())}, 11)); place < 0 || place >= len(pool) {
		t.Errorf("place %d for a state that is not finite", place)
	}
}

func BenchmarkNeighbours(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	pool := make([]trajectory.Candidate, 1<<16)
	for i := range pool {
		pool[i].State = make([]float32, 11)
		for d := range pool[i].State {
			pool[i].State[d] = float32(rng.NormFloat64())
		}
	}
	index := newNeighbours(pool, slices.Repeat([]float32{1}, 11))
	for i := 0; b.Loop(); i++ {
		index.nearest(pool[i%len(pool)].State)
	}
}
