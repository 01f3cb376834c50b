package checkpoint

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestInvertUndoesApply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{Gaussian, Quantile}).Draw(t, "kind")
		dim := rapid.IntRange(1, 3).Draw(t, "dim")
		rows := rapid.IntRange(1, 400).Draw(t, "rows")
		// Coarse values make ties; a large offset makes the spread relatively small.
		value := rapid.Custom(func(t *rapid.T) float32 {
			return float32(rapid.IntRange(-30, 30).Draw(t, "v")) / 8
		})
		offset := float32(rapid.SampledFrom([]int{0, 0, 100}).Draw(t, "offset"))
		data := rapid.SliceOfN(value, rows*dim, rows*dim).Draw(t, "data")
		for i := range data {
			data[i] += offset
		}
		n, err := Fit(kind, data, dim)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Validate(); err != nil {
			t.Fatal(err)
		}
		// Values of the data, and values outside of its range.
		want := append(data[:dim:dim], rapid.SliceOfN(rapid.Float32Range(-300, 300), dim, dim).Draw(t, "x")...)
		got := make([]float32, len(want))
		n.Apply(got, want)
		n.Invert(got, got)
		for i := range want {
			if slices.Contains(n.Pinned, i%dim) && i >= dim {
				continue // comes back as the column's value, see TestColumnsWithoutSpreadArePinned
			}
			if math.Abs(float64(got[i]-want[i])) > 2e-3 {
				t.Fatalf("dimension %d: %v came back as %v", i%dim, want[i], got[i])
			}
		}
	})
}

func TestNormalizersScale(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]float32, 3*2000)
	for i := range data {
		switch i % 3 {
		case 0:
			data[i] = float32(5 + 2*rng.NormFloat64())
		case 1:
			data[i] = float32(math.Exp(rng.NormFloat64()))
		case 2:
			data[i] = 4 // never varies
		}
	}
	t.Run(Gaussian, func(t *testing.T) {
		got := applied(t, Gaussian, data)
		mean, deviation := Moments(got, 3)
		for d, want := range []float32{1, 1, 1} {
			if math.Abs(float64(mean[d])) > 1e-4 || math.Abs(float64(deviation[d]-want)) > 1e-3 {
				t.Errorf("dimension %d has mean %v and deviation %v", d, mean[d], deviation[d])
			}
		}
	})
	t.Run(Quantile, func(t *testing.T) {
		got := applied(t, Quantile, data)
		low, high := float32(math.Inf(1)), float32(math.Inf(-1))
		below := 0
		for i, v := range got {
			if i%3 != 1 {
				continue
			}
			low, high = min(low, v), max(high, v)
			if v < -0.5 {
				below++
			}
		}
		if low != -1 || high != 1 {
			t.Errorf("range [%v, %v], want [-1, 1]", low, high)
		}
		if below < 490 || below > 510 {
			t.Errorf("%d of 2000 values in the lowest quarter of the range, want a quarter", below)
		}
		if got[2] != 0 {
			t.Errorf("a constant became %v, want 0", got[2])
		}
	})
}

func applied(t *testing.T, kind string, data []float32) []float32 {
	t.Helper()
	n, err := Fit(kind, data, 3)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, len(data))
	n.Apply(got, data)
	return got
}

func TestNormalizerSurvivesJSON(t *testing.T) {
	for _, kind := range []string{Gaussian, Quantile} {
		want, err := Fit(kind, []float32{1, 2, 3, 4, 5, 9.1}, 2)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Normalizer
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

func TestNormalizerRefuses(t *testing.T) {
	if _, err := Fit("minmax", []float32{1}, 1); err == nil {
		t.Error("fitted an unknown kind")
	}
	if _, err := Fit(Gaussian, []float32{1, 2, 3}, 2); err == nil {
		t.Error("fitted a ragged table")
	}
	bad := []Normalizer{
		{Kind: "minmax"},
		{Kind: Gaussian, Mean: []float32{1}, Scale: []float32{0}},
		{Kind: Gaussian, Mean: []float32{1}},
		{Kind: Quantile, Knots: [][]float32{{1, 1}}, Positions: [][]float32{{-1, 1}}},
		{Kind: Quantile, Knots: [][]float32{{}}, Positions: [][]float32{{}}},
	}
	for _, n := range bad {
		if err := n.Validate(); err == nil {
			t.Errorf("%+v passed", n)
		}
	}
}
