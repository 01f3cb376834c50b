package truth

import (
	"cmp"
	"math"
	"slices"

	"diffstitch/io/report"

	"gonum.org/v1/gonum/stat"
)

// levels are the shares that are kept.
var levels = []float64{0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1}

// boundQuantile of the shuffled transitions' errors is the bound.
const boundQuantile = 0.05

func (to *judged) summary(bound float64) TrueErrors {
	s := TrueErrors{Rows: to.rows, Unset: to.unset}
	if len(to.truth) > 0 {
		sorted := slices.Sorted(slices.Values(to.truth))
		at := func(p float64) float64 { return stat.Quantile(p, stat.LinInterp, sorted, nil) }
		s.Median, s.Q90, s.Q99, s.Max = at(0.5), at(0.9), at(0.99), sorted[len(sorted)-1]
		s.True = below(to.truth, bound)
	}
	return s
}

// wholly judges the episodes of a source by their worst transitions.
func wholly(all []worst, source string, bound float64) *Episodes {
	var truth []float64
	for _, w := range all {
		if w.source == source && !math.IsInf(w.truth, 0) {
			truth = append(truth, w.truth)
		}
	}
	if len(truth) == 0 {
		return nil
	}
	return &Episodes{Count: int64(len(truth)), True: below(truth, bound), Worst: quantileOf(truth, 0.5)}
}

func below(values []float64, bound float64) float64 {
	n := 0
	for _, v := range values {
		if v < bound {
			n++
		}
	}
	return float64(n) / float64(len(values))
}

// quantileOf values in any order, 0 of none.
func quantileOf(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return stat.Quantile(p, stat.LinInterp, slices.Sorted(slices.Values(values)), nil)
}

// filter compares the two errors, of those that have both.
func filter(all []worst, bound float64) *Filter {
	all = slices.DeleteFunc(slices.Clone(all), func(w worst) bool {
		return math.IsNaN(w.qualification) || math.IsInf(w.qualification, 0) || math.IsInf(w.truth, 0)
	})
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b worst) int {
		return cmp.Or(cmp.Compare(a.qualification, b.qualification), cmp.Compare(a.truth, b.truth))
	})
	qualification, truth := make([]float64, len(all)), make([]float64, len(all))
	for i, w := range all {
		qualification[i], truth[i] = w.qualification, w.truth
	}
	f := &Filter{Count: int64(len(all)), Spearman: report.Spearman(qualification, truth)}
	for _, share := range levels {
		n := max(1, int(math.Round(share*float64(len(all)))))
		f.Levels = append(f.Levels, Level{
			Share: share, Delta: qualification[n-1], Precision: below(truth[:n], bound), Median: quantileOf(truth[:n], 0.5),
		})
	}
	return f
}
