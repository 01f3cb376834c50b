package report

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// finite drops NaN and ±Inf.
func finite(values []float64) []float64 {
	kept := make([]float64, 0, len(values))
	for _, v := range values {
		if isFinite(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// quantile is the p-quantile of values in any order, NaN of none.
func quantile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return stat.Quantile(p, stat.LinInterp, slices.Sorted(slices.Values(values)), nil)
}

// kolmogorovSmirnov is the largest distance between the distribution functions
// of two samples, in [0, 1].
func kolmogorovSmirnov(a, b []float64) float64 {
	return stat.KolmogorovSmirnov(slices.Sorted(slices.Values(a)), nil, slices.Sorted(slices.Values(b)), nil)
}

// Spearman is the correlation of ranks, and 0 where one side is constant.
func Spearman(a, b []float64) float64 {
	if len(a) < 2 {
		return 0
	}
	return orZero(stat.Correlation(ranks(a), ranks(b), nil))
}

// ranks gives equal values the mean of the ranks they take.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(values[i], values[j]) })
	ranks := make([]float64, len(values))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && values[order[to]] == values[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			ranks[i] = float64(from+to-1) / 2
		}
		from = to
	}
	return ranks
}

func orZero(v float64) float64 {
	if !isFinite(v) {
		return 0
	}
	return v
}

// correlations is the matrix of the columns' correlations, [d][d]. A constant
// column correlates with nothing, itself excepted.
func correlations(columns [][]float64) [][]float64 {
	c := make([][]float64, len(columns))
	for i := range c {
		c[i] = make([]float64, len(columns))
		c[i][i] = 1
		for j := range i {
			c[i][j] = orZero(stat.Correlation(columns[i], columns[j], nil))
			c[j][i] = c[i][j]
		}
	}
	return c
}

// meanDifference is the mean of |a − b| over the pairs of different columns.
func meanDifference(a, b [][]float64) float64 {
	sum, n := 0.0, 0
	for i := range a {
		for j := range i {
			sum += math.Abs(a[i][j] - b[i][j])
			n++
		}
	}
	return sum / float64(max(n, 1))
}

// columnsOf turns rows [n, d] into columns [d][n].
func columnsOf(rows []float32, d int) [][]float64 {
	columns := make([][]float64, d)
	for j := range columns {
		columns[j] = make([]float64, 0, len(rows)/d)
		for i := j; i < len(rows); i += d {
			columns[j] = append(columns[j], float64(rows[i]))
		}
	}
	return columns
}

// components projects states onto their first two principal components.
type components struct {
	mean, spread []float64    // of each dimension
	vectors      [2][]float64 // unit length
	share        [2]float64   // of the variance
}

// fitComponents standardises each dimension first, so that units do not matter.
// It needs two dimensions and three states; ok is false where it fails.
func fitComponents(states []float32, d int) (c components, ok bool) {
	if d < 2 || len(states) < 3*d {
		return c, false
	}
	n := len(states) / d
	c.mean, c.spread = make([]float64, d), make([]float64, d)
	scaled := mat.NewDense(n, d, nil)
	for j, column := range columnsOf(states, d) {
		c.mean[j], c.spread[j] = stat.MeanStdDev(column, nil)
		if c.spread[j] == 0 {
			c.spread[j] = 1
		}
		for i, v := range column {
			scaled.Set(i, j, (v-c.mean[j])/c.spread[j])
		}
	}
	var pc stat.PC
	if !pc.PrincipalComponents(scaled, nil) {
		return c, false
	}
	var vectors mat.Dense
	pc.VectorsTo(&vectors)
	variances := pc.VarsTo(nil)
	total := 0.0
	for _, v := range variances {
		total += v
	}
	for k := range c.vectors {
		c.vectors[k] = mat.Col(nil, k, &vectors)
		c.share[k] = orZero(variances[k] / total)
	}
	return c, true
}

func (c components) project(state []float32) (x, y float64) {
	for j, v := range state {
		z := (float64(v) - c.mean[j]) / c.spread[j]
		x += z * c.vectors[0][j]
		y += z * c.vectors[1][j]
	}
	return x, y
}

// Thin takes at most n elements, evenly spread.
func Thin[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	kept := make([]T, n)
	for i := range kept {
		kept[i] = all[i*len(all)/n]
	}
	return kept
}

// binEdges cuts the range of the values into n bins, equal on the axis.
func binEdges(values []float64, n int, log bool) []float64 {
	if len(values) == 0 {
		return nil
	}
	low, high := slices.Min(values), slices.Max(values)
	if low == high { // one bar, with room on both sides
		return []float64{low - 0.5, low + 0.5}
	}
	edges := make([]float64, n+1)
	for i := range edges {
		at := float64(i) / float64(n)
		if log {
			edges[i] = low * math.Pow(high/low, at)
		} else {
			edges[i] = low + (high-low)*at
		}
	}
	edges[n] = high
	return edges
}

// count is how many values fall into each bin; the last bin is closed.
func count(values, edges []float64) []float64 {
	counts := make([]float64, len(edges)-1)
	for _, v := range values {
		if v < edges[0] || v > edges[len(edges)-1] {
			continue
		}
		bin, found := slices.BinarySearch(edges, v)
		if !found {
			bin--
		}
		counts[min(bin, len(counts)-1)]++
	}
	return counts
}
