package checkpoint

import (
	"math"
	"slices"
	"testing"
)

// TestColumnsWithoutSpreadArePinned: whatever is generated for a column of one value, or
// of one that varies in its last bit alone, comes back as that value.
func TestColumnsWithoutSpreadArePinned(t *testing.T) {
	var data []float32 // always 1, varies, 1 up to the last bit, 0
	for i := range 100 {
		last := float32(1)
		if i%3 == 0 {
			last = math.Nextafter32(1, 2)
		}
		data = append(data, 1, float32(i), last, 0)
	}
	for _, kind := range []string{Gaussian, Quantile} {
		n, err := Fit(kind, data, 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Validate(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(n.Pinned, []int{0, 2, 3}) {
			t.Fatalf("%s: %v are pinned, want 0, 2 and 3", kind, n.Pinned)
		}
		row := []float32{3, 50, -8, 7}
		n.Apply(row, row)
		if row[0] != 0 || row[2] != 0 || row[3] != 0 {
			t.Errorf("%s: normalised to %v, want 0 but for column 1", kind, row)
		}
		row = []float32{2.36, 0, 1e6, -0.36}
		n.Invert(row, row)
		if row[0] != 1 || math.Abs(float64(row[2]-1)) > 1e-6 || row[3] != 0 {
			t.Errorf("%s: generated values came back as %v, want 1, …, 1, 0", kind, row)
		}
	}
	if n := (Normalizer{Kind: Gaussian, Mean: []float32{1}, Scale: []float32{1}, Pinned: []int{1}}); n.Validate() == nil {
		t.Error("a column is pinned that there is not")
	}
}

// TestMomentsOfLargeValues: the rounding of a large value stays small once it is
// divided by the deviation.
func TestMomentsOfLargeValues(t *testing.T) {
	mean, deviation := Moments([]float32{1e9, math.Nextafter32(1e9, 2e9)}, 1)
	if off := math.Abs(1e9-float64(mean[0])) / float64(deviation[0]); off > 0.1 {
		t.Errorf("mean %v, deviation %v: the last bit is %v of it", mean, deviation, off)
	}
}
