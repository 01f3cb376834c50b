package study

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// welch is p of Welch's t-test, of two sides: how often samples of equal means would be
// as far apart. It is nil of single values, and where none of them varies.
func welch(a, b []float64) *float64 {
	if len(a) < 2 || len(b) < 2 {
		return nil
	}
	meanA, varianceA := stat.MeanVariance(a, nil)
	meanB, varianceB := stat.MeanVariance(b, nil)
	ofA, ofB := varianceA/float64(len(a)), varianceB/float64(len(b)) // of the means
	if ofA+ofB == 0 {
		return nil
	}
	freedom := (ofA + ofB) * (ofA + ofB) / (ofA*ofA/float64(len(a)-1) + ofB*ofB/float64(len(b)-1))
	t := math.Abs(meanA-meanB) / math.Sqrt(ofA+ofB)
	p := 2 * distuv.StudentsT{Sigma: 1, Nu: freedom}.Survival(t)
	return &p
}
