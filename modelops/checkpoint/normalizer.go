package checkpoint

import (
	"fmt"
	"slices"
	"sort"
)

// The kinds of Normalizer.
const (
	Gaussian = "gaussian"
	Quantile = "quantile"
)

// quantileKnots is the number of quantiles kept per dimension, a compromise between
// following the distribution and the size of model.json.
const quantileKnots = 257

// Normalizer maps rows of dim values to the range a network likes, and back.
//
// gaussian subtracts the mean and divides by the standard deviation. quantile
// maps a value through its distribution function to [-1, 1], linearly between
// knots, and goes on linearly outside of the data's range, so that it can be
// inverted everywhere.
//
// A column without spread (see Constant) is pinned: it is normalised to 0, whatever
// its value, and what is inverted is the column's value, whatever was generated.
type Normalizer struct {
	Kind string `json:"kind"`

	Mean  []float32 `json:"mean,omitempty"`  // [dim], gaussian
	Scale []float32 `json:"scale,omitempty"` // [dim], gaussian

	// One curve per dimension, quantile: Knots[d] and Positions[d] both rise strictly.
	Knots     [][]float32 `json:"knots,omitempty"`
	Positions [][]float32 `json:"positions,omitempty"`

	Pinned []int `json:"pinned,omitempty"` // the columns without spread, rising
}

// Fit makes a normaliser of the given kind from values, rows of dim columns.
func Fit(kind string, values []float32, dim int) (Normalizer, error) {
	if dim < 1 || len(values) == 0 || len(values)%dim != 0 {
		return Normalizer{}, fmt.Errorf("checkpoint: fitting a normaliser of %d dimensions to %d values", dim, len(values))
	}
	switch kind {
	case Gaussian:
		mean, scale := Moments(values, dim)
		return Normalizer{Kind: Gaussian, Mean: mean, Scale: scale, Pinned: Constant(values, dim)}, nil
	case Quantile:
		return fitQuantile(values, dim), nil
	default:
		return Normalizer{}, fmt.Errorf("checkpoint: no normaliser %q, there are %s and %s", kind, Gaussian, Quantile)
	}
}

func fitQuantile(values []float32, dim int) Normalizer {
	n := Normalizer{Kind: Quantile, Knots: make([][]float32, dim), Positions: make([][]float32, dim), Pinned: Constant(values, dim)}
	column := make([]float32, len(values)/dim)
	for d := range dim {
		for row := range column {
			column[row] = values[row*dim+d]
		}
		slices.Sort(column)
		n.Knots[d], n.Positions[d] = quantileCurve(column)
		if slices.Contains(n.Pinned, d) {
			n.Knots[d], n.Positions[d] = []float32{column[len(column)/2]}, []float32{0}
		}
	}
	return n
}

// quantileCurve is the distribution function of a sorted column on at most
// quantileKnots distinct values. A value that spans many quantiles gets the
// middle of them; the smallest is at -1 and the largest at 1.
func quantileCurve(sorted []float32) (knots, positions []float32) {
	last := len(sorted) - 1
	if sorted[0] == sorted[last] {
		return []float32{sorted[0]}, []float32{0}
	}
	for i := 0; i < quantileKnots; {
		value := sorted[last*i/(quantileKnots-1)]
		end := i
		for end < quantileKnots && sorted[last*end/(quantileKnots-1)] == value {
			end++
		}
		middle := float32(i+end-1) / (quantileKnots - 1)
		knots, positions = append(knots, value), append(positions, middle-1)
		i = end
	}
	positions[0], positions[len(positions)-1] = -1, 1
	return knots, positions
}

// Dim is the number of columns.
func (n Normalizer) Dim() int { return max(len(n.Mean), len(n.Knots)) }

// Validate reports a normaliser that cannot be used, as after reading it from a
// file.
func (n Normalizer) Validate() error {
	switch n.Kind {
	case Gaussian:
		if len(n.Mean) != len(n.Scale) || slices.ContainsFunc(n.Scale, func(s float32) bool { return !(s > 0) }) {
			return fmt.Errorf("checkpoint: gaussian normaliser with %d means and %d scales, all of which must be positive", len(n.Mean), len(n.Scale))
		}
	case Quantile:
		if len(n.Knots) != len(n.Positions) {
			return fmt.Errorf("checkpoint: quantile normaliser with %d and %d curves", len(n.Knots), len(n.Positions))
		}
		for d := range n.Knots {
			if len(n.Knots[d]) == 0 || len(n.Knots[d]) != len(n.Positions[d]) || !rises(n.Knots[d]) || !rises(n.Positions[d]) {
				return fmt.Errorf("checkpoint: quantile normaliser: the curve of dimension %d does not rise", d)
			}
		}
	default:
		return fmt.Errorf("checkpoint: no normaliser %q, there are %s and %s", n.Kind, Gaussian, Quantile)
	}
	if slices.ContainsFunc(n.Pinned, func(d int) bool { return d < 0 || d >= n.Dim() }) {
		return fmt.Errorf("checkpoint: normaliser of %d dimensions with %v pinned", n.Dim(), n.Pinned)
	}
	return nil
}

func rises(values []float32) bool {
	for i := 1; i < len(values); i++ {
		if !(values[i] > values[i-1]) {
			return false
		}
	}
	return true
}

// Apply normalises rows of Dim values from src into dst, which may be src.
func (n Normalizer) Apply(dst, src []float32) {
	dim := n.Dim()
	for i, v := range src {
		d := i % dim
		if n.Kind == Gaussian {
			dst[i] = (v - n.Mean[d]) / n.Scale[d]
		} else {
			dst[i] = interpolate(n.Knots[d], n.Positions[d], v)
		}
	}
	n.pin(dst[:len(src)], func(int) float32 { return 0 })
}

// Invert undoes Apply, up to rounding.
func (n Normalizer) Invert(dst, src []float32) {
	dim := n.Dim()
	for i, v := range src {
		d := i % dim
		if n.Kind == Gaussian {
			dst[i] = v*n.Scale[d] + n.Mean[d]
		} else {
			dst[i] = interpolate(n.Positions[d], n.Knots[d], v)
		}
	}
	n.pin(dst[:len(src)], n.value)
}

// pin sets the pinned columns of rows.
func (n Normalizer) pin(rows []float32, value func(d int) float32) {
	for _, d := range n.Pinned {
		v := value(d)
		for i := d; i < len(rows); i += n.Dim() {
			rows[i] = v
		}
	}
}

// value is that of a pinned column.
func (n Normalizer) value(d int) float32 {
	if n.Kind == Gaussian {
		return n.Mean[d]
	}
	return n.Knots[d][0]
}

// interpolate is the piecewise linear function through (xs, ys). Outside of xs it
// goes on with the slope of the whole curve, which unlike that of the last piece
// is never extreme; a curve of one point has slope 1.
func interpolate(xs, ys []float32, x float32) float32 {
	last := len(xs) - 1
	if last == 0 {
		return ys[0] + (x - xs[0])
	}
	from, to, origin := 0, last, 0
	switch {
	case x < xs[0]:
	case x > xs[last]:
		origin = last
	default:
		to = max(1, sort.Search(last, func(i int) bool { return xs[i] >= x }))
		from, origin = to-1, to-1
	}
	slope := (float64(ys[to]) - float64(ys[from])) / (float64(xs[to]) - float64(xs[from]))
	return float32(float64(ys[origin]) + slope*(float64(x)-float64(xs[origin])))
}
