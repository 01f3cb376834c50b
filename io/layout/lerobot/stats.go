package lerobot

import (
	"math"

	"diffstitch/io/layout"
)

// featureStats are a feature's statistics as LeRobot keeps them, of each of its
// values. Count is the number of rows.
type featureStats struct {
	Min   []float64 `json:"min"`
	Max   []float64 `json:"max"`
	Mean  []float64 `json:"mean"`
	Std   []float64 `json:"std"` // of the population
	Count []int64   `json:"count"`
}

// statsOf are the statistics of rows of so many values; nil of words.
func statsOf(c layout.Series) *featureStats {
	values, ok := numbers(c.Values)
	if !ok {
		return nil
	}
	rows := len(values) / c.Width
	s := &featureStats{
		Min: layout.Every(c.Width, math.Inf(1)), Max: layout.Every(c.Width, math.Inf(-1)),
		Mean: make([]float64, c.Width), Std: make([]float64, c.Width), Count: []int64{int64(rows)},
	}
	for i, v := range values {
		at := i % c.Width
		s.Min[at], s.Max[at] = min(s.Min[at], v), max(s.Max[at], v)
		s.Mean[at] += v
	}
	for at := range s.Mean {
		s.Mean[at] /= float64(rows)
	}
	for i, v := range values {
		at := i % c.Width
		s.Std[at] += (v - s.Mean[at]) * (v - s.Mean[at])
	}
	for at := range s.Std {
		s.Std[at] = math.Sqrt(s.Std[at] / float64(rows))
	}
	return s
}

// numbers are the values as float64; false of words.
func numbers(values any) (out []float64, ok bool) {
	switch v := values.(type) {
	case []float32:
		for _, x := range v {
			out = append(out, float64(x))
		}
	case []int64:
		for _, x := range v {
			out = append(out, float64(x))
		}
	case []bool:
		for _, x := range v {
			if x {
				out = append(out, 1)
			} else {
				out = append(out, 0)
			}
		}
	default:
		return nil, false
	}
	return out, true
}

// merge adds the statistics of more rows (Chan et al., 1979).
func (s *featureStats) merge(o *featureStats) {
	n, m := float64(s.Count[0]), float64(o.Count[0])
	for i := range s.Mean {
		s.Min[i], s.Max[i] = min(s.Min[i], o.Min[i]), max(s.Max[i], o.Max[i])
		difference := o.Mean[i] - s.Mean[i]
		squares := n*s.Std[i]*s.Std[i] + m*o.Std[i]*o.Std[i] + difference*difference*n*m/(n+m)
		s.Mean[i] += difference * m / (n + m)
		s.Std[i] = math.Sqrt(squares / (n + m))
	}
	s.Count[0] += o.Count[0]
}

// clone is a copy to merge into.
func (s *featureStats) clone() *featureStats {
	c := *s
	for _, list := range []*[]float64{&c.Min, &c.Max, &c.Mean, &c.Std} {
		*list = append([]float64(nil), *list...)
	}
	c.Count = append([]int64(nil), s.Count...)
	return &c
}
