package pipelines

import (
	"context"
	"errors"

	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// Amounts says how much an augmentation would do.
type Amounts struct {
	Files       int   `json:"files"`
	Bytes       int64 `json:"bytes"` // of the files
	Episodes    int64 `json:"episodes"`
	Rejected    int64 `json:"rejected"`
	Transitions int64 `json:"transitions"`

	LowEpisodes  int64 `json:"low_episodes"`
	HighEpisodes int64 `json:"high_episodes"`

	// Pairs and what follows are of the first round, where --transitions or a
	// ratio asks for as many as it takes.
	Pairs      int64 `json:"pairs"`
	Batches    int64 `json:"batches"`
	Partitions int64 `json:"partitions"`
	FirstRound bool  `json:"first_round"`

	// What is fetched for the states left and for the run's pool of candidates.
	// Entries are known only once models have chosen them: a window of the high
	// pool is fetched about once, so that HighPool is the most it comes to.
	LowEnds    datasetio.Weight `json:"low_ends"`
	Candidates datasetio.Weight `json:"candidates"`
	HighPool   datasetio.Weight `json:"high_pool"`
}

// Files in which the planning pipeline leaves its weights.
const (
	endsWeightFile = "weight-ends.parquet"
	poolWeightFile = "weight-candidates.parquet"
)

// MeasureAugment reads, ranks and plans as Augment does, says how much there is
// to do, and publishes nothing.
func MeasureAugment(ctx context.Context, o AugmentOptions, progress func(Progress)) (amounts Amounts, err error) {
	run, err := begin(ctx, o, progress)
	if err != nil {
		return amounts, err
	}
	defer func() { err = errors.Join(err, run.close()) }()
	if err := run.read(ctx); err != nil {
		return amounts, err
	}
	count, err := run.firstRound()
	if err != nil {
		return amounts, err
	}
	amounts = run.amounts(count)
	return amounts, run.weighPlan(ctx, count, &amounts)
}

func (run *augmentation) amounts(count int64) Amounts {
	a := Amounts{
		Files:        len(run.files),
		Episodes:     int64(len(run.metas)),
		Rejected:     int64(len(run.rejects)),
		Transitions:  originalRows(run.metas),
		LowEpisodes:  int64(len(run.pools.Low)),
		HighEpisodes: int64(len(run.pools.High)),
		Pairs:        count,
		FirstRound:   run.options.Stitches == 0,
		HighPool:     datasetio.WeighEpisodes(run.shape, run.pools.High),
	}
	a.Batches, a.Partitions = run.options.plan(0, count).Shares()
	for _, f := range run.files {
		a.Bytes += f.Bytes
	}
	return a
}

// weighPlan makes the plan on the runner, and adds up what it would fetch.
func (run *augmentation) weighPlan(ctx context.Context, count int64, a *Amounts) error {
	o := run.options
	_, err := run.execute(ctx, "planning", planningTasks(count), func(s beam.Scope, _ *observe.Job) {
		plan := o.plan(0, count)
		low, high := rank.Episodes(s, o.Pools, datasetio.ReadRecords[trajectory.Meta](s, run.work(episodesFile)))
		ends := datasetio.WeighLowEnds(s, run.shape, pair.Plan(s, plan, low, high))
		datasetio.WriteRecords[datasetio.Weight](s, run.work(endsWeightFile), ends)
		if o.Pairing == pair.Reference {
			blocks := datasetio.WeighCandidates(s, run.shape, pair.Candidates(s, plan, high))
			datasetio.WriteRecords[datasetio.Weight](s, run.work(poolWeightFile), blocks)
		}
	})
	if err != nil {
		return err
	}
	if a.LowEnds, err = run.weight(endsWeightFile); err != nil {
		return err
	}
	a.Candidates, err = run.weight(poolWeightFile)
	return err
}

// weight is the sum of the weights in a file, which may be missing.
func (run *augmentation) weight(name string) (sum datasetio.Weight, err error) {
	weights, err := load(run.work(name), func(a, b datasetio.Weight) int { return 0 })
	for _, w := range weights {
		sum = sum.Add(w)
	}
	return sum, err
}
