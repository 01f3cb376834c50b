package datasetio

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"diffstitch/io/attempt"
	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&awaitFn{})
	beam.RegisterDoFn(&nearestFn{})
	register.Emitter1[trajectory.Ends]()
}

// Await hands the batches of a PCollection<trajectory.PairBatch> on once staged, a
// PCollection<string> of one path, is there.
func Await(s beam.Scope, staged, batches beam.PCollection) beam.PCollection {
	s = s.Scope("datasetio.Await")
	return beam.ParDo(s, &awaitFn{}, batches, beam.SideInput{Input: staged})
}

type awaitFn struct{}

func (*awaitFn) ProcessElement(batch trajectory.PairBatch, _ string) trajectory.PairBatch {
	return batch
}

// Reach says where entries are looked for.
type Reach struct {
	Pool string `json:"pool"` // path of the staged pool of candidates
	// Scale is what a difference of states is divided by before it is measured,
	// [S].
	Scale []float32 `json:"scale"`
	// First and Last are the steps of a rollout at which an entry may stand.
	First int `json:"first"`
	Last  int `json:"last"`
}

// Nearest gives every pair of a PCollection<trajectory.Imagined> a state of the
// staged pool that is near each state it is imagined to reach, all but always the
// nearest, as its candidates. It makes a PCollection<trajectory.Ends>.
func Nearest(s beam.Scope, in Input, reach Reach, imagined beam.PCollection) (ends, dead beam.PCollection) {
	s = s.Scope("datasetio.Nearest")
	return beam.ParDo2(s, &nearestFn{fetcher{Input: in}, reach}, imagined)
}

type nearestFn struct {
	fetcher
	Reach Reach `json:"reach"`
}

func (fn *nearestFn) ProcessElement(ctx context.Context, w beam.Window, batch trajectory.Imagined, emit func(trajectory.Ends), dead func(trajectory.Failure)) error {
	return fn.in(w, func() error {
		reach := fn.Reach
		reach.Pool = inWindow(reach.Pool, w)
		work := func() (trajectory.Ends, error) { return fn.nearest(reach, batch) }
		return attempt.Batch(ctx, "nearest", batch.Batch.Span(), work, emit, dead)
	})
}

func (fn *nearestFn) nearest(reach Reach, in trajectory.Imagined) (trajectory.Ends, error) {
	ends := trajectory.Ends{Batch: in.Batch, Rollouts: in.Rollouts}
	pool, err := fn.store.candidates(reach.Pool)
	if err != nil {
		return ends, err
	}
	index, err := fn.store.neighbours(reach, pool)
	if err != nil {
		return ends, err
	}
	dim, whole := len(reach.Scale), len(in.Rollouts)/len(in.Batch.Pairs)
	for i := range in.Batch.Pairs {
		rollout := in.Rollouts[i*whole : (i+1)*whole]
		for step := reach.First; step <= reach.Last; step++ {
			place := index.nearest(rollout[step*dim : (step+1)*dim])
			ends.Candidates = append(ends.Candidates, pool[place].Ref)
			ends.Targets = append(ends.Targets, pool[place].State...)
		}
	}
	return ends, nil
}

// neighboursKey is the index of a pool, in a store's cache.
type neighboursKey struct{ Path string }

// neighbours builds the index of the pool, or takes the one that is kept.
func (st *Store) neighbours(reach Reach, pool []trajectory.Candidate) (*neighbours, error) {
	index, _, err := dataset.Cached(st.cache, neighboursKey{reach.Pool}, func() (*neighbours, int64, error) {
		if len(pool) == 0 {
			return nil, 0, fmt.Errorf("datasetio: no candidates in %q", reach.Pool)
		}
		n := newNeighbours(pool, reach.Scale)
		return n, 4 * int64(len(n.pivots)+len(n.states)+len(n.places)+len(n.starts)), nil
	})
	return index, err
}

// neighbours finds states of a pool that are near others, all but always the nearest.
// The pool is divided into cells, of what is nearest to each of some of its states,
// the pivots; a search looks into the cells of the nearest pivots. In the dozen
// dimensions of a state a k-d tree looks at a good part of all states instead.
type neighbours struct {
	scale  []float32
	pivots []float32 // [cells, S], scaled
	states []float32 // [pool, S], scaled, cell after cell
	places []int32   // [pool], of the states
	starts []int32   // [cells+1], of the cells
}

// cellsSearched is the share of the cells that a search looks into, one of so many.
const cellsSearched = 16

// newNeighbours takes as many pivots as their cells hold states in the mean.
func newNeighbours(pool []trajectory.Candidate, scale []float32) *neighbours {
	cells := int(math.Sqrt(float64(len(pool))))
	n := &neighbours{scale: scale, starts: make([]int32, cells+1)}
	for c := range cells {
		n.pivots = append(n.pivots, n.scaled(pool[c*len(pool)/cells].State)...)
	}
	members := make([][]int32, cells)
	for place, candidate := range pool {
		c, _ := closest(n.pivots, n.scaled(candidate.State))
		members[c] = append(members[c], int32(place))
	}
	for c, places := range members {
		n.places = append(n.places, places...)
		n.starts[c+1] = int32(len(n.places))
	}
	for _, place := range n.places {
		n.states = append(n.states, n.scaled(pool[place].State)...)
	}
	return n
}

func (n *neighbours) scaled(state []float32) []float32 {
	scaled := make([]float32, len(n.scale))
	for d := range scaled {
		scaled[d] = state[d] / n.scale[d]
	}
	return scaled
}

// nearest is the place of the state found for another one; any for one that is not
// finite, which qualification rejects.
func (n *neighbours) nearest(state []float32) int {
	dim, query := len(n.scale), n.scaled(state)
	found, least := int32(0), float32(math.Inf(1))
	for _, cell := range n.nearestCells(query) {
		from, to := int(n.starts[cell]), int(n.starts[cell+1])
		if i, distance := closest(n.states[from*dim:to*dim], query); distance < least {
			found, least = n.places[from+i], distance
		}
	}
	return int(found)
}

func (n *neighbours) nearestCells(query []float32) []int {
	dim, cells := len(n.scale), len(n.starts)-1
	distances, order := make([]float32, cells), make([]int, cells)
	for c := range cells {
		order[c], distances[c] = c, squared(n.pivots[c*dim:(c+1)*dim], query)
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(distances[a], distances[b]), cmp.Compare(a, b))
	})
	return order[:(cells+cellsSearched-1)/cellsSearched]
}

// closest is the row of rows, [n, S], nearest to a query, and its squared distance.
func closest(rows, query []float32) (row int, least float32) {
	dim := len(query)
	least = float32(math.Inf(1))
	for i := range len(rows) / dim {
		if distance := squared(rows[i*dim:(i+1)*dim], query); distance < least {
			row, least = i, distance
		}
	}
	return row, least
}

// squared is the squared L2 distance.
func squared(a, b []float32) (sum float32) {
	b = b[:len(a)]
	for d := range a {
		difference := a[d] - b[d]
		sum += difference * difference
	}
	return sum
}
