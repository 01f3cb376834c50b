package pair

import (
	"cmp"
	"iter"
	"slices"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&byEntryFn{})
	beam.RegisterDoFn(&inOrderFn{})
	register.Iter1[trajectory.PairBatch]()
	register.Emitter1[trajectory.PairBatch]()
	register.Emitter2[int64, trajectory.PairBatch]()
}

// share is the pairs [from, to) as a batch.
type share struct {
	partition, index, from, to int64
}

// cut cuts n pairs into batches, and those into partitions of neighbours.
func (c Config) cut(n int64) iter.Seq[share] {
	size := int64(c.BatchSize)
	batches := (n + size - 1) / size
	together := trajectory.Together(batches)
	return func(yield func(share) bool) {
		for b := range batches {
			if !yield(share{b / together, c.FirstBatch + b, b * size, min((b+1)*size, n)}) {
				return
			}
		}
	}
}

// Shares are the batches and the partitions that the plan is cut into.
func (c Config) Shares() (batches, partitions int64) {
	for s := range c.cut(c.Count) {
		batches, partitions = batches+1, s.partition+1
	}
	return batches, partitions
}

// inOrder hands out a PCollection<KV<int64, trajectory.PairBatch>> by partition,
// the batches of each in order.
func inOrder(s beam.Scope, batches beam.PCollection) beam.PCollection {
	return beam.ParDo(s, &inOrderFn{}, beam.GroupByKey(s, batches))
}

type inOrderFn struct{}

func (*inOrderFn) ProcessElement(_ int64, next func(*trajectory.PairBatch) bool, emit func(trajectory.PairBatch)) {
	batches := gatherBatches(next)
	slices.SortFunc(batches, func(a, b trajectory.PairBatch) int { return cmp.Compare(a.Index, b.Index) })
	for _, b := range batches {
		emit(b)
	}
}

func gatherBatches(next func(*trajectory.PairBatch) bool) []trajectory.PairBatch {
	var batches []trajectory.PairBatch
	var b trajectory.PairBatch
	for next(&b) {
		batches = append(batches, b)
	}
	return batches
}

// ByEntry cuts the pairs of a PCollection<trajectory.PairBatch>, whose entries
// into high episodes are known, into new batches and partitions in the order of
// the entries, as Plan does by low ends. An episode that many pairs enter is
// shared by many partitions.
func ByEntry(s beam.Scope, cfg Config, batches beam.PCollection) beam.PCollection {
	s = s.Scope("pair.ByEntry")
	return inOrder(s, beam.ParDo(s, &byEntryFn{Config: cfg}, beam.GroupByKey(s, beam.AddFixedKey(s, batches))))
}

type byEntryFn struct {
	Config Config `json:"config"`
}

func (fn *byEntryFn) ProcessElement(_ int, next func(*trajectory.PairBatch) bool, emit func(int64, trajectory.PairBatch)) {
	fn.Config.byEntry(gatherBatches(next), emit)
}

func (c Config) byEntry(batches []trajectory.PairBatch, emit func(partition int64, batch trajectory.PairBatch)) {
	type place struct {
		*trajectory.Pair
		low []float32
	}
	var pairs []place
	for _, b := range batches {
		dim := len(b.Low) / len(b.Pairs)
		for i := range b.Pairs {
			pairs = append(pairs, place{&b.Pairs[i], b.Low[i*dim : (i+1)*dim]})
		}
	}
	slices.SortFunc(pairs, func(a, b place) int {
		return cmp.Or(rank.ByLocation(a.High.Episode, b.High.Episode), cmp.Compare(a.High.Step, b.High.Step), cmp.Compare(a.Index, b.Index))
	})
	for s := range c.cut(int64(len(pairs))) {
		batch := trajectory.PairBatch{Index: s.index, ByEntry: true}
		for _, p := range pairs[s.from:s.to] {
			batch.Pairs = append(batch.Pairs, *p.Pair)
			batch.Low = append(batch.Low, p.low...)
		}
		emit(s.partition, batch)
	}
}
