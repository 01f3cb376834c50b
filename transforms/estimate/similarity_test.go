package estimate

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestOf(t *testing.T) {
	tests := []struct {
		name string
		kind string
		a, b []float32
		want float64
	}{
		{"same direction", Cosine, []float32{1, 2}, []float32{2, 4}, 1},
		{"opposite", Cosine, []float32{1, 2}, []float32{-1, -2}, -1},
		{"at a right angle", Cosine, []float32{1, 0}, []float32{0, 3}, 0},
		{"nothing to compare with", Cosine, []float32{0, 0}, []float32{1, 3}, 0},
		{"equal", Distance, []float32{1, 2}, []float32{1, 2}, 0},
		{"apart", Distance, []float32{0, 3}, []float32{4, 0}, -5},
	}
	for _, test := range tests {
		got := Similarity{Kind: test.kind}.of(test.a, test.b)
		if math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestBest(t *testing.T) {
	nan := float32(math.NaN())
	rollout := []float32{7, 1, 5, 2, 5, 9}
	tests := []struct {
		name        string
		rollout     []float32
		targets     []float32
		first, last int
		want        match
	}{
		{"the nearest", rollout, []float32{2.5}, 1, 5, match{step: 3, similarity: -0.5}},
		{"s_T is none of them", rollout, []float32{7}, 1, 4, match{step: 2, similarity: -2}},
		{"the earliest of equals", rollout, []float32{5}, 1, 5, match{step: 2}},
		{"within the bounds", rollout, []float32{5}, 3, 3, match{step: 3, similarity: -3}},
		{"the last one counts", rollout, []float32{9}, 1, 5, match{step: 5}},
		{"of several targets", rollout, []float32{-4, 8.75, 100}, 1, 5, match{target: 1, step: 5, similarity: -0.25}},
		{"the first of equal targets", rollout, []float32{2, 2}, 1, 5, match{step: 3}},
		{"some not finite", []float32{7, nan, 4, nan}, []float32{5}, 1, 3, match{step: 2, similarity: -1}},
		{"none finite", []float32{nan, nan, nan, nan}, []float32{5}, 2, 3, match{step: 2, similarity: math.Inf(-1)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Similarity{Kind: Distance, Space: Raw}.best(test.rollout, test.targets, 1, test.first, test.last)
			if d := cmp.Diff(test.want, got, cmp.AllowUnexported(match{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestOneOf: each of the targets that are similar enough is drawn, and no other; where
// none is, the best one is taken.
func TestOneOf(t *testing.T) {
	rollout, targets := []float32{7, 1, 5, 2, 5, 9}, []float32{5.25, 100, 9, 1.25, 12}
	s, drawn := Similarity{Kind: Distance, Space: Raw}, map[match]int{}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		drawn[s.oneOf(rng, -0.25, rollout, targets, 1, 1, 5)]++
	}
	for _, want := range []match{{0, 2, -0.25}, {2, 5, 0}, {3, 1, -0.25}} {
		if drawn[want] < 60 {
			t.Errorf("%+v was drawn %d times of 300, want about 100", want, drawn[want])
		}
	}
	if len(drawn) != 3 {
		t.Errorf("drawn: %v", drawn)
	}
	if got, want := s.oneOf(rng, 1, rollout, targets, 1, 1, 5), (match{2, 5, 0}); got != want {
		t.Errorf("where none is similar enough %+v, want %+v", got, want)
	}
}

func TestBestIsBeatenByNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Float32Range(-10, 10)
		s := Similarity{Kind: rapid.SampledFrom([]string{Cosine, Distance}).Draw(t, "kind")}
		const dim = 2
		rollout := rapid.SliceOfN(value, 6*dim, 6*dim).Draw(t, "rollout")
		targets := rapid.SliceOfN(value, 3*dim, 3*dim).Draw(t, "targets")
		first := rapid.IntRange(1, 5).Draw(t, "first")
		last := rapid.IntRange(first, 5).Draw(t, "last")
		m := s.best(rollout, targets, dim, first, last)
		if m.step < first || m.step > last {
			t.Fatalf("step %d is outside of [%d, %d]", m.step, first, last)
		}
		for target := range 3 {
			for step := first; step <= last; step++ {
				if v := s.of(rollout[step*dim:(step+1)*dim], targets[target*dim:(target+1)*dim]); v > m.similarity {
					t.Fatalf("target %d is more similar to step %d (%v) than the best, %+v", target, step, v, m)
				}
			}
		}
	})
}
