package study

import (
	"math"
	"testing"
)

// TestWelch has what SciPy's ttest_ind(equal_var=False) gives.
func TestWelch(t *testing.T) {
	tests := []struct {
		a, b []float64
		p    float64
	}{
		{[]float64{1, 2, 3}, []float64{1, 2, 3}, 1},
		{[]float64{0, 0, 0, 0, 0}, []float64{60, 80, 100, 90, 70}, 0.000347891440571},
		{[]float64{584, 565, 646, 738, 632}, []float64{633, 583, 582, 631, 575}, 0.368057389078},
	}
	for _, test := range tests {
		for _, swapped := range []bool{false, true} {
			a, b := test.a, test.b
			if swapped {
				a, b = b, a
			}
			if p := welch(a, b); p == nil || math.Abs(*p-test.p) > 1e-9 {
				t.Errorf("%v, %v: p %v, want %v", a, b, p, test.p)
			}
		}
	}
	for _, a := range [][]float64{nil, {1}, {2, 2, 2}} {
		if p := welch(a, []float64{3, 3}); p != nil {
			t.Errorf("%v: p %v, want none", a, *p)
		}
	}
}
