package qualify_test

import (
	"path/filepath"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
)

// TestWindowsAreReadOnce plans many pairs over a file of many row groups, with a
// cache that holds a small part of it: every window that is needed is read about
// once all the same.
func TestWindowsAreReadOnce(t *testing.T) {
	const pairs, episodes = 480, 1500
	path := filepath.Join(t.TempDir(), "walks.parquet")
	walks := fixture.Walks
	walks.Episodes, walks.MaxSteps = episodes, 150
	fixture.Write(t, path, fixture.RandomWalks(walks, 3)...)
	in := datasetio.Input{Files: []string{path}, CacheMB: 1}
	var metas []trajectory.Meta
	err := datasetio.ScanFile(t.Context(), in, 0, shape(), func(e *trajectory.Episode, m trajectory.Meta) {
		m.Score = m.Return
		metas = append(metas, m)
	}, func(dataset.Reject) {})
	if err != nil {
		t.Fatal(err)
	}
	pools, err := rank.Split(rank.Config{Low: 0.7, High: 0.9}, metas)
	if err != nil {
		t.Fatal(err)
	}
	plan := pair.Config{Strategy: pair.Reference, Seed: seed, Count: pairs, BatchSize: 16, Candidates: 20}
	steps := estimate.Config{Similarity: estimate.Similarity{Kind: estimate.Distance, Space: estimate.Raw}}
	p, s := beam.NewPipelineWithRoot()
	alive := fixture.NoneDead(s)
	batches, blocks := planned(t, s, plan, data{pools: pools})
	staged := datasetio.StageCandidates(s, in, filepath.Join(t.TempDir(), "candidates.parquet"), blocks)
	lows := alive(datasetio.LowEnds(s, in, batches))
	models := fixture.Models(t)
	models.Peaks = true
	timed := alive(estimate.Steps(s, steps, models, seed, alive(datasetio.Choices(s, in, staged, lows))))
	contexts := alive(datasetio.Contexts(s, in, fixture.Horizon, pair.ByEntry(s, plan, timed)))
	passert.Count(s, contexts, "batches", pairs/plan.BatchSize)
	result, err := beam.Run(t.Context(), "prism", p)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int64{}
	for _, c := range result.Metrics().AllMetrics().Counters() {
		if c.Namespace() == "datasetio" {
			count[c.Name()] += c.Result()
		}
	}
	// Walks are shorter than a window: each pool has two windows an episode, its
	// states and its rewards. The high pool's states are read twice, for the
	// candidates and for the contexts.
	most := int64(2*len(pools.Low) + 3*len(pools.High))
	read, asked := count["windows_read"], count["windows_read"]+count["window_cache_hits"]
	if read > most*11/10 || read < most/4 {
		t.Errorf("%d windows were read, at most %d are needed", read, most)
	}
	if least := int64(4*pairs + 32*plan.Candidates); asked < least {
		t.Errorf("%d windows were asked for, want %d", asked, least)
	}
}
