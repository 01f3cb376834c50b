package report

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gonum.org/v1/plot"
	"pgregory.net/rapid"
)

var close6 = cmpopts.EquateApprox(0, 1e-6)

func TestRanks(t *testing.T) {
	tests := map[string]struct{ values, want []float64 }{
		"none":   {nil, []float64{}},
		"order":  {[]float64{3, 1, 2}, []float64{2, 0, 1}},
		"ties":   {[]float64{5, 1, 5, 5}, []float64{2, 0, 2, 2}},
		"all":    {[]float64{1, 1}, []float64{0.5, 0.5}},
		"beside": {[]float64{1, 1, 2, 2}, []float64{0.5, 0.5, 2.5, 2.5}},
	}
	for name, test := range tests {
		if diff := cmp.Diff(test.want, ranks(test.values)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSpearman(t *testing.T) {
	a := []float64{1, 2, 3, 4, 5}
	tests := map[string]struct {
		b    []float64
		want float64
	}{
		"rising":   {[]float64{1, 10, 100, 1000, 1e9}, 1},
		"falling":  {[]float64{5, 4, 3, 2, -9}, -1},
		"constant": {[]float64{7, 7, 7, 7, 7}, 0},
		"mixed":    {[]float64{2, 1, 4, 3, 5}, 0.8}, // 1 − 6·Σd²/(n(n²−1)), Σd² = 4
	}
	for name, test := range tests {
		if got := Spearman(a, test.b); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestKolmogorovSmirnov(t *testing.T) {
	tests := map[string]struct {
		a, b []float64
		want float64
	}{
		"same":     {[]float64{3, 1, 2}, []float64{2, 3, 1}, 0},
		"disjoint": {[]float64{1, 2}, []float64{4, 3}, 1},
		"half":     {[]float64{4, 1, 2, 3}, []float64{6, 5, 3, 4}, 0.5},
	}
	for name, test := range tests {
		if got := kolmogorovSmirnov(test.a, test.b); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestCorrelations(t *testing.T) {
	columns := columnsOf([]float32{1, -1, 9, 2, -2, 9, 3, -3, 9}, 3)
	want := [][]float64{{1, -1, 0}, {-1, 1, 0}, {0, 0, 1}} // the third is constant
	if diff := cmp.Diff(want, correlations(columns), close6); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	same := [][]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	if got := meanDifference(want, same); math.Abs(got-1.0/3) > 1e-6 {
		t.Errorf("mean difference %v, want 1/3", got)
	}
}

func TestComponents(t *testing.T) {
	// Two dimensions move together, in different units, and a third stands still.
	var states []float32
	for i := range 11 {
		states = append(states, float32(i), float32(1000*i), 4)
	}
	c, ok := fitComponents(states, 3)
	if !ok {
		t.Fatal("no components")
	}
	if diff := cmp.Diff([]float64{1, 0}, c.share[:], close6); diff != "" {
		t.Errorf("share of the variance (-want +got):\n%s", diff)
	}
	x, y := c.project(states[:3])
	farX, farY := c.project(states[30:])
	if got := []float64{x + farX, y, farY}; !cmp.Equal([]float64{0, 0, 0}, got, close6) || math.Abs(x) < 1 {
		t.Errorf("the ends lie at (%v, %v) and (%v, %v)", x, y, farX, farY)
	}
}

func TestCountsMissNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := rapid.Bool().Draw(t, "log")
		low := -100.0
		if log {
			low = 1e-6
		}
		values := rapid.SliceOfN(rapid.Float64Range(low, 100), 1, 50).Draw(t, "values")
		edges := binEdges(values, rapid.IntRange(1, 40).Draw(t, "bins"), log)
		if !slices.IsSorted(edges) {
			t.Fatalf("edges %v", edges)
		}
		sum := 0.0
		for _, n := range count(values, edges) {
			sum += n
		}
		if int(sum) != len(values) {
			t.Fatalf("%v of %d values are counted", sum, len(values))
		}
	})
}

func TestCount(t *testing.T) {
	got := count([]float64{0, 0.5, 1, 1.5, 2, 3, -1}, []float64{0, 1, 2})
	if diff := cmp.Diff([]float64{2, 3}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThin(t *testing.T) {
	all := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	if diff := cmp.Diff([]int{0, 2, 5, 7}, Thin(all, 4)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(all, Thin(all, 10)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNumber(t *testing.T) {
	tests := map[float64]string{
		0: "0", 1: "1", 0.25: "0.25", 1.0 / 3: "0.333", -12.345: "−12.3", 1234: "1234", 9999.6: "10000",
		12345: "12.3k", 2.5e6: "2.5M", 0.000123: "0.00012", 3e-7: "3e-07", math.Inf(1): "–",
	}
	for v, want := range tests {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestTicks(t *testing.T) {
	tests := map[string]struct {
		ticker    plot.Ticker
		low, high float64
		want      []string
	}{
		"nice":      {niceTicks{5}, 0, 1, []string{"0", "0.2", "0.4", "0.6", "0.8", "1.0"}},
		"negative":  {niceTicks{5}, -3, 12, []string{"0", "5", "10"}},
		"far":       {niceTicks{5}, 5000.1, 5000.9, []string{"5000.2", "5000.4", "5000.6", "5000.8"}},
		"thousands": {niceTicks{5}, 0, 50000, []string{"0", "10k", "20k", "30k", "40k", "50k"}},
		"no range":  {niceTicks{5}, 1, 1, nil},
		"counts":    {countTicks{}, 0, 2.2, []string{"0", "1", "2"}},
		"decade":    {logTicks{}, 0.1, 1, []string{"0.1", "0.2", "0.5", "1"}},
		"decades":   {logTicks{}, 0.01, 10, []string{"0.01", "0.03", "0.1", "0.3", "1", "3", "10"}},
		"many":      {logTicks{}, 1e-6, 1e6, []string{"1e-06", "0.0001", "0.01", "1", "100", "10k", "1M"}},
	}
	for name, test := range tests {
		var got []string
		for _, tick := range test.ticker.Ticks(test.low, test.high) {
			got = append(got, tick.Label)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
