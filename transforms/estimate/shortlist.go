package estimate

import (
	"math"

	"diffstitch/modelops/session"
)

// shortlist says which of the targets that a batch shares may be the one that a pair
// takes. All rollouts are multiplied with all targets on the device; what its rounding
// leaves in doubt stays on the list, so that who looks at the list alone finds what he
// would have found among all.
type shortlist struct {
	products []float32 // [pairs, targets]: the similarity, or −d²/2 of a distance d
	targets  int
	errors   []float64 // [pairs], the most that a product may be off; not finite where nobody knows
	least    float64   // a product from which on a target comes to the threshold; +Inf without one
}

// greatest is where float32 has room for the squares of what is compared, and sums of them.
const greatest = 1e37

// shortlist compares rollouts, [pairs, H, S], with targets, [n, S].
func (fn *stepsFn) shortlist(rollouts, targets []float32) (list shortlist, err error) {
	info := fn.Info()
	dim, width := info.ObservationDim, session.PeakWidth(info.ObservationDim)
	v := vectors{cosine: fn.Config.Similarity.Kind == Cosine, dim: dim, centre: mean(targets, dim)}
	columns, reach := v.columns(targets)
	rows, reaches := v.rows(rollouts, info.Horizon, fn.first, fn.last)
	list = shortlist{targets: len(targets) / dim, least: fn.leastProduct()}
	for _, r := range reaches {
		size := (r + reach) * (r + reach)
		if !(size < greatest) {
			size = math.Inf(1)
		}
		list.errors = append(list.errors, 4*float64(width+8)*info.Backend.Roundoff*size)
	}
	list.products, err = fn.Peaks(rows, columns)
	return list, err
}

// leastProduct is the threshold as a product.
func (fn *stepsFn) leastProduct() float64 {
	threshold := fn.Config.Threshold
	switch {
	case threshold == 0 || fn.Config.Similarity.Kind == Distance && threshold > 0:
		return math.Inf(1)
	case fn.Config.Similarity.Kind == Distance:
		return -threshold * threshold / 2
	}
	return threshold
}

// of lists the targets for a pair, in order; nil are all.
func (l shortlist) of(pair int) (listed []int) {
	if l.targets == 0 {
		return nil
	}
	products, off := l.products[pair*l.targets:(pair+1)*l.targets], l.errors[pair]
	best := math.Inf(-1)
	for _, p := range products {
		best = max(best, float64(p))
	}
	if floor := min(best-off, l.least) - off; !math.IsNaN(floor) && !math.IsInf(floor, 0) {
		listed = make([]int, 0, 8)
		for target, p := range products {
			if !(float64(p) < floor) {
				listed = append(listed, target)
			}
		}
	}
	return listed
}

// vectors are states as their products are what is compared: scaled to length 1, or, with
// half the squares of their lengths beside them, [x, 1, −|x|²/2] and [y, −|y|²/2, 1].
// Distances are taken from the targets' mean, which keeps the squares small.
type vectors struct {
	cosine bool
	dim    int
	centre []float32
}

// columns are the vectors of targets, [n, S], and the greatest length of one.
func (v vectors) columns(targets []float32) (columns []float32, reach float64) {
	width := session.PeakWidth(v.dim)
	columns = make([]float32, len(targets)/v.dim*width)
	for i := range len(targets) / v.dim {
		column := columns[i*width:][:width]
		reach = max(reach, v.vector(column, targets[i*v.dim:][:v.dim]))
		column[v.dim], column[v.dim+1] = column[v.dim+1], column[v.dim]
	}
	return columns, reach
}

// rows are the vectors of rollouts, [pairs, H, S], where steps before the first and after
// the last are as these, and the greatest length of each pair's.
func (v vectors) rows(rollouts []float32, horizon, first, last int) (rows []float32, reaches []float64) {
	width := session.PeakWidth(v.dim)
	rows = make([]float32, len(rollouts)/v.dim*width)
	for pair := range len(rollouts) / (horizon * v.dim) {
		reach := 0.0
		for step := range horizon {
			at := pair*horizon + min(max(step, first), last)
			reach = max(reach, v.vector(rows[(pair*horizon+step)*width:][:width], rollouts[at*v.dim:][:v.dim]))
		}
		reaches = append(reaches, reach)
	}
	return rows, reaches
}

// vector writes a state's, and gives its length.
func (v vectors) vector(dst, state []float32) (length float64) {
	squares := 0.0
	for d, x := range state {
		if !v.cosine {
			x -= v.centre[d]
		}
		dst[d] = x
		squares += float64(x) * float64(x)
	}
	length = math.Sqrt(squares)
	if !v.cosine {
		dst[v.dim], dst[v.dim+1] = 1, float32(-squares/2)
		return length
	}
	if squares == 0 {
		return 0
	}
	for d, x := range state {
		dst[d] = float32(float64(x) / length)
	}
	return length / length // 1, or not a number
}

// mean is that of states, [n, S].
func mean(states []float32, dim int) []float32 {
	sums := make([]float64, dim)
	for i, x := range states {
		sums[i%dim] += float64(x)
	}
	means := make([]float32, dim)
	for d, sum := range sums {
		means[d] = float32(sum / float64(len(states)/dim))
	}
	return means
}
