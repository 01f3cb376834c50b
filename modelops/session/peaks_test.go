package session

import (
	"math"
	"math/rand/v2"
	"testing"

	"diffstitch/modelops/backend/backendtest"
)

// TestPeaks compares with products in float64, over more groups and columns than one run
// of the graph takes.
func TestPeaks(t *testing.T) {
	dir := walkModels(t)
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		opts := ddim(dir, name)
		opts.Peaks = true
		s := mustOpen(t, opts)
		groups, columns, each, width := 2*opts.Batch+1, peakColumns+5, s.Info().Horizon, PeakWidth(s.Info().ObservationDim)
		rng := rand.New(rand.NewPCG(1, 1))
		random := func(n int) []float32 {
			values := make([]float32, n*width)
			for i := range values {
				values[i] = float32(rng.NormFloat64())
			}
			return values
		}
		a, b := random(groups*each), random(columns)
		found, err := s.Peaks(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != groups*columns {
			t.Fatalf("%d values, want %d", len(found), groups*columns)
		}
		for i, got := range found {
			rows, column := a[i/columns*each*width:][:each*width], b[i%columns*width:][:width]
			want := math.Inf(-1)
			for row := range each {
				want = max(want, product(rows[row*width:][:width], column))
			}
			if bound := 200 * s.Info().Backend.Roundoff; math.Abs(float64(got)-want) > bound {
				t.Fatalf("group %d, column %d: %v, want %v within %v", i/columns, i%columns, got, want, bound)
			}
		}
		if _, err := s.Peaks(a[1:], b); err == nil {
			t.Error("rows cut short are taken")
		}
		if _, err := mustOpen(t, ddim(dir, name)).Peaks(a, b); err == nil {
			t.Error("models opened without peaks give some")
		}
	})
}

func product(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
