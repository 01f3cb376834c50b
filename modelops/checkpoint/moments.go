package checkpoint

import "math"

// resolution is the share of a column's largest magnitude up to which a spread is no
// more than the rounding of float32 values, whose own precision is an eighth of it.
const resolution = 1e-6

// Resolution is the least difference between values of a column that says anything,
// where largest is the column's largest magnitude: below it lies the rounding of
// float32.
func Resolution(largest float32) float64 { return resolution * math.Abs(float64(largest)) }

// Moments is the mean and the standard deviation of each of dim columns. A column
// without spread has the deviation 1, so that dividing by it keeps the unit in place
// of blowing up rounding errors; or its Resolution, if that is more.
func Moments(values []float32, dim int) (mean, deviation []float32) {
	mean, deviation = make([]float32, dim), make([]float32, dim)
	for d, c := range columns(values, dim) {
		mean[d], deviation[d] = float32(c.mean), float32(c.deviation)
		if c.constant() {
			deviation[d] = float32(max(1, Resolution(c.largest)))
		}
	}
	return mean, deviation
}

// Constant lists the columns without spread: those of one value, and those that vary
// by the rounding of float32 alone.
func Constant(values []float32, dim int) (list []int) {
	for d, c := range columns(values, dim) {
		if c.constant() {
			list = append(list, d)
		}
	}
	return list
}

// column is what is known of a column.
type column struct {
	mean, deviation float64
	largest         float32 // magnitude
}

func (c column) constant() bool { return c.deviation <= Resolution(c.largest) }

// columns goes over values, [rows, dim].
func columns(values []float32, dim int) []column {
	rows, list := float64(len(values)/dim), make([]column, dim)
	for i, v := range values {
		c := &list[i%dim]
		c.mean += float64(v) // a sum, until all are added: that of equal values is exact
		c.largest = max(c.largest, v, -v)
	}
	for d := range list {
		list[d].mean /= rows
	}
	for i, v := range values {
		centred := float64(v) - list[i%dim].mean
		list[i%dim].deviation += centred * centred // a sum of squares, until all are added
	}
	for d := range list {
		list[d].deviation = math.Sqrt(list[d].deviation / rows)
	}
	return list
}
