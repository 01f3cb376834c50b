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
	"gonum.org/v1/gonum/spatial/kdtree"
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

// Nearest gives every pair of a PCollection<trajectory.Imagined> the state of the
// staged pool that is nearest to each state it is imagined to reach, as its
// candidates. It makes a PCollection<trajectory.Ends>.
func Nearest(s beam.Scope, in Input, reach Reach, imagined beam.PCollection) (ends, dead beam.PCollection) {
	s = s.Scope("datasetio.Nearest")
	return beam.ParDo2(s, &nearestFn{fetcher{Input: in}, reach}, imagined)
}

type nearestFn struct {
	fetcher
	Reach Reach `json:"reach"`
}

func (fn *nearestFn) ProcessElement(ctx context.Context, batch trajectory.Imagined, emit func(trajectory.Ends), dead func(trajectory.Failure)) error {
	work := func() (trajectory.Ends, error) { return fn.nearest(batch) }
	return attempt.Batch(ctx, "nearest", batch.Batch.Span(), work, emit, dead)
}

func (fn *nearestFn) nearest(in trajectory.Imagined) (trajectory.Ends, error) {
	ends := trajectory.Ends{Batch: in.Batch, Rollouts: in.Rollouts}
	pool, err := fn.store.candidates(fn.Reach.Pool)
	if err != nil {
		return ends, err
	}
	tree, err := fn.store.neighbours(fn.Reach, pool)
	if err != nil {
		return ends, err
	}
	dim, whole := len(fn.Reach.Scale), len(in.Rollouts)/len(in.Batch.Pairs)
	for i := range in.Batch.Pairs {
		rollout := in.Rollouts[i*whole : (i+1)*whole]
		for step := fn.Reach.First; step <= fn.Reach.Last; step++ {
			place := tree.nearest(scaled(rollout[step*dim:(step+1)*dim], fn.Reach.Scale))
			ends.Candidates = append(ends.Candidates, pool[place].Ref)
			ends.Targets = append(ends.Targets, pool[place].State...)
		}
	}
	return ends, nil
}

// neighboursKey is the tree of a pool, in a store's cache.
type neighboursKey struct{ Path string }

// neighbours builds the tree of the pool, or takes the one that is kept.
func (st *Store) neighbours(reach Reach, pool []trajectory.Candidate) (neighbours, error) {
	tree, _, err := dataset.Cached(st.cache, neighboursKey{reach.Pool}, func() (neighbours, int64, error) {
		if len(pool) == 0 {
			return neighbours{}, 0, fmt.Errorf("datasetio: no candidates in %q", reach.Pool)
		}
		points := make(places, len(pool))
		for i, c := range pool {
			points[i] = &place{index: i, point: scaled(c.State, reach.Scale)}
		}
		bytes := int64(len(pool)) * (entryBytes + 8*int64(len(reach.Scale)))
		return neighbours{kdtree.New(points, false)}, bytes, nil
	})
	return tree, err
}

func scaled(state, scale []float32) kdtree.Point {
	point := make(kdtree.Point, len(scale))
	for d := range point {
		point[d] = float64(state[d] / scale[d])
	}
	return point
}

// neighbours finds the states of a pool that are nearest to others.
type neighbours struct{ tree *kdtree.Tree }

// nearest is the place of the state nearest to a point: the first place where
// none is, as with a point that is not finite, for qualification to reject.
func (n neighbours) nearest(point kdtree.Point) int {
	found, distance := n.tree.Nearest(&place{point: point})
	if found == nil || math.IsInf(distance, 0) || math.IsNaN(distance) {
		return 0
	}
	return found.(*place).index
}

// place is a state of the pool as a point of the tree.
type place struct {
	index int
	point kdtree.Point
}

func (p *place) Compare(c kdtree.Comparable, d kdtree.Dim) float64 {
	return p.point[d] - c.(*place).point[d]
}
func (p *place) Dims() int { return len(p.point) }
func (p *place) Distance(c kdtree.Comparable) float64 {
	return p.point.Distance(c.(*place).point)
}

// places are cut in halves at the median itself, not at one of random places as
// kdtree.Points are, so that all workers build the same tree.
type places []*place

func (p places) Index(i int) kdtree.Comparable         { return p[i] }
func (p places) Len() int                              { return len(p) }
func (p places) Slice(start, end int) kdtree.Interface { return p[start:end] }
func (p places) Pivot(d kdtree.Dim) int {
	slices.SortFunc(p, func(a, b *place) int {
		return cmp.Or(cmp.Compare(a.point[d], b.point[d]), cmp.Compare(a.index, b.index))
	})
	return len(p) / 2
}
