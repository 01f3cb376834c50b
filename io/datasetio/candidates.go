package datasetio

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"diffstitch/io/attempt"
	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&candidatesFn{})
	beam.RegisterDoFn(&choicesFn{})
	beam.RegisterDoFn(&windowChoicesFn{})
	register.Emitter1[trajectory.Candidate]()
}

// StageCandidates fetches the states of a PCollection<trajectory.CandidateBlock>
// and leaves them in a file, the run's pool of candidates. It gives a
// PCollection<string> of the file's path.
func StageCandidates(s beam.Scope, in Input, path string, blocks beam.PCollection) beam.PCollection {
	s = s.Scope("datasetio.StageCandidates")
	return WriteRecords[trajectory.Candidate](s, path, beam.ParDo(s, &candidatesFn{fetcher{Input: in}}, blocks))
}

// SaveCandidates leaves the states of blocks in a file as StageCandidates does, in this
// process.
func (st *Store) SaveCandidates(ctx context.Context, path string, blocks []trajectory.CandidateBlock) error {
	fn := candidatesFn{fetcher{store: st}}
	var all []trajectory.Candidate
	for _, block := range blocks {
		some, err := fn.fetch(ctx, block)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	return SaveRecords(ctx, path, all)
}

type candidatesFn struct{ fetcher }

func (fn *candidatesFn) ProcessElement(ctx context.Context, block trajectory.CandidateBlock, emit func(trajectory.Candidate)) error {
	work := func() ([]trajectory.Candidate, error) { return fn.fetch(ctx, block) }
	candidates, err := attempt.Do(ctx, "pool", strconv.Itoa(int(block.First)), work)
	for _, c := range candidates {
		emit(c)
	}
	return err
}

func (fn *candidatesFn) fetch(ctx context.Context, block trajectory.CandidateBlock) ([]trajectory.Candidate, error) {
	candidates := make([]trajectory.Candidate, len(block.Refs))
	for i, ref := range block.Refs {
		state, err := fn.appendState(ctx, nil, ref)
		if err != nil {
			return nil, err
		}
		candidates[i] = trajectory.Candidate{Place: block.First + int32(i), Ref: ref, State: state}
	}
	return candidates, nil
}

// Choices gives the batches of a PCollection<trajectory.PairBatch> the states of
// their candidates from the staged pool, once that is there: staged is the
// PCollection<string> of its path. It gives a PCollection<trajectory.Ends>.
func Choices(s beam.Scope, in Input, staged, batches beam.PCollection) (ends, dead beam.PCollection) {
	s = s.Scope("datasetio.Choices")
	return beam.ParDo2(s, &choicesFn{fetcher{Input: in}}, batches, beam.SideInput{Input: staged})
}

type choicesFn struct{ fetcher }

func (fn *choicesFn) ProcessElement(ctx context.Context, batch trajectory.PairBatch, staged string, emit func(trajectory.Ends), dead func(trajectory.Failure)) error {
	work := func() (trajectory.Ends, error) { return fn.choose(batch, staged) }
	return attempt.Batch(ctx, "candidates", batch.Span(), work, emit, dead)
}

// WindowChoices does for the windows of a stream what Choices does, from the pool that
// lies staged under a name in each one's folder.
func WindowChoices(s beam.Scope, in Input, path string, batches beam.PCollection) (ends, dead beam.PCollection) {
	s = s.Scope("datasetio.WindowChoices")
	return beam.ParDo2(s, &windowChoicesFn{choicesFn{fetcher{Input: in}}, path}, batches)
}

type windowChoicesFn struct {
	choicesFn
	Path string `json:"path"`
}

func (fn *windowChoicesFn) ProcessElement(ctx context.Context, w beam.Window, batch trajectory.PairBatch, emit func(trajectory.Ends), dead func(trajectory.Failure)) error {
	return fn.in(w, func() error {
		return fn.choicesFn.ProcessElement(ctx, batch, inWindow(fn.Path, w), emit, dead)
	})
}

func (fn *choicesFn) choose(batch trajectory.PairBatch, staged string) (trajectory.Ends, error) {
	ends := trajectory.Ends{Batch: batch, Shared: true}
	pool, err := fn.store.candidates(staged)
	if err != nil {
		return ends, err
	}
	for _, place := range batch.Candidates {
		if int(place) >= len(pool) {
			return ends, fmt.Errorf("datasetio: candidate %d of %d in %q asked for", place, len(pool), staged)
		}
		ends.Candidates = append(ends.Candidates, pool[place].Ref)
		ends.Targets = append(ends.Targets, pool[place].State...)
	}
	return ends, nil
}

// candidatesKey is the pool that lies staged at a path, in a store's cache.
type candidatesKey struct{ Path string }

// candidates loads the staged pool, in the order of places, or takes the one
// that is kept.
func (st *Store) candidates(path string) ([]trajectory.Candidate, error) {
	pool, _, err := dataset.Cached(st.cache, candidatesKey{path}, func() ([]trajectory.Candidate, int64, error) {
		pool, err := LoadRecords[trajectory.Candidate](path)
		if err != nil {
			return nil, 0, err
		}
		slices.SortFunc(pool, func(a, b trajectory.Candidate) int { return cmp.Compare(a.Place, b.Place) })
		bytes := int64(0)
		for _, c := range pool {
			bytes += entryBytes + 4*int64(len(c.State))
		}
		return pool, bytes, nil
	})
	return pool, err
}
