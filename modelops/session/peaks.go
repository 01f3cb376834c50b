package session

import (
	"fmt"
	"sync"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/training/execution"
)

// What one run of the graph takes: so many columns, and groups of together at most so many
// rows, whose products are 16 MB.
const (
	peakColumns = 1024
	peakRows    = 4096
)

// PeakWidth is how wide the rows and columns of Session.Peaks are.
func PeakWidth(stateDim int) int { return stateDim + 2 }

// peaks is the graph of Session.Peaks for one shape; what is smaller is padded.
type peaks struct {
	*execution.Net
	groups, each, width int
}

// newPeaks compiles the graph for groups of so many rows each.
func newPeaks(k key, each, width int) (*peaks, error) {
	p := &peaks{groups: min(k.batch, max(peakRows/each, 1)), each: each, width: width}
	onHost := backend.IsGo(k.engine) // whose greatest of many takes longer than their products
	net, err := execution.NewNet(k.engine, nil, func(_ *model.Scope, rows, columns *Node) *Node {
		products := DotGeneral(rows, []int{1}, nil, columns, []int{1}, nil)
		if onHost {
			return products
		}
		return ReduceMax(Reshape(products, p.groups, p.each, peakColumns), 1)
	})
	if err != nil {
		return nil, err
	}
	p.Net = net
	rows, columns := shapes.Make(dtypes.Float32, p.groups*each, width), shapes.Make(dtypes.Float32, peakColumns, width)
	return p, p.Compile(rows, columns)
}

// prepare runs the graph once, which on XLA takes many times what later runs do.
func (p *peaks) prepare() error {
	if backend.IsGo(p.Engine) {
		return nil
	}
	return p.block(make([]float32, 1), 1, make([]float32, p.each*p.width), make([]float32, p.width))
}

// of is Session.Peaks.
func (p *peaks) of(rows, columns []float32) ([]float32, error) {
	group := p.each * p.width
	n, m := len(rows)/group, len(columns)/p.width
	found := make([]float32, n*m)
	for first := 0; first < n; first += p.groups {
		some := min(p.groups, n-first)
		for column := 0; column < m; column += peakColumns {
			last := min(column+peakColumns, m)
			err := p.block(found[first*m+column:], m, rows[first*group:(first+some)*group], columns[column*p.width:last*p.width])
			if err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// block runs the graph on at most as many rows and columns as it takes. Each group's
// values lie a stride after those of the one before.
func (p *peaks) block(found []float32, stride int, rows, columns []float32) (err error) {
	inputs := []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(padded(rows, p.groups*p.each*p.width), p.groups*p.each, p.width),
		tensors.FromFlatDataAndDimensions(padded(columns, peakColumns*p.width), peakColumns, p.width),
	}
	groups, many := len(rows)/(p.each*p.width), len(columns)/p.width
	return p.Read(func(flat []float32) {
		each := len(flat) / (p.groups * peakColumns) // 1 where the graph finds the greatest
		var all sync.WaitGroup
		for g := range groups {
			all.Go(func() { greatest(found[g*stride:][:many], flat[g*each*peakColumns:(g+1)*each*peakColumns]) })
		}
		all.Wait()
	}, inputs...)
}

// greatest finds the greatest of each column of rows of peakColumns.
func greatest(found, rows []float32) {
	copy(found, rows)
	for at := peakColumns; at < len(rows); at += peakColumns {
		row := rows[at:][:len(found)]
		for i, v := range row {
			if v > found[i] {
				found[i] = v
			}
		}
	}
}

// padded is a copy of values with zeros behind.
func padded(values []float32, length int) []float32 {
	whole := make([]float32, length)
	copy(whole, values)
	return whole
}

// Peaks multiplies columns with groups of rows, a group for each state that was imagined
// from, and gives for each group and column the greatest product with one of the group's
// rows. Rounding is that of Info.Backend.Roundoff. Of rows that are not finite nothing is
// promised, but they do not touch other groups.
//
//	rows:    [n, H, K], K of PeakWidth
//	columns: [m, K]
//	result:  [n, m]
func (s *Session) Peaks(rows, columns []float32) (found []float32, err error) {
	width := PeakWidth(s.info.ObservationDim)
	if len(rows)%(s.info.Horizon*width) != 0 || len(columns)%width != 0 {
		return nil, fmt.Errorf("session: peaks of %d and %d values, which are no rows and columns of %d", len(rows), len(columns), width)
	}
	err = s.use(func(on *modelSet) (int, error) {
		if on.peaks == nil {
			return 0, fmt.Errorf("products are asked of models that were opened without")
		}
		found, err = on.peaks.of(rows, columns)
		return 0, err
	})
	return found, err
}
