package qualify_test

import (
	"cmp"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/inpaint"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/qualify"
	"diffstitch/transforms/rank"
	"diffstitch/transforms/wrapup"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	gocmp "github.com/google/go-cmp/cmp"
)

// Of the runs of the test.
const (
	seed     = 11
	stitches = 10 // two batches and a half
	maxSteps = 4
	delta    = 6.5 // between the errors of models that know little
)

// data is the walks as a file, and its pools.
type data struct {
	input    datasetio.Input
	episodes map[int64]*trajectory.Episode
	metas    []trajectory.Meta
	pools    rank.Pools
}

func prepare(t *testing.T) data {
	t.Helper()
	d := data{input: datasetio.Input{Files: []string{filepath.Join(t.TempDir(), "walks.parquet")}}, episodes: map[int64]*trajectory.Episode{}}
	fixture.Write(t, d.input.Files[0], fixture.RandomWalks(fixture.Walks, fixture.WalksSeed)...)
	err := datasetio.ScanFile(t.Context(), d.input, 0, shape(), func(e *trajectory.Episode, m trajectory.Meta) {
		m.Score = m.Return
		d.episodes[e.ID] = e
		d.metas = append(d.metas, m)
	}, func(dataset.Reject) {}) // walks of one step
	if err != nil {
		t.Fatal(err)
	}
	if d.pools, err = rank.Split(rank.Config{Low: 0.5, High: 0.7}, d.metas); err != nil {
		t.Fatal(err)
	}
	return d
}

func shape() datasetio.Shape {
	return datasetio.Shape{ObservationDim: fixture.Walks.ObservationDim, ActionDim: fixture.Walks.ActionDim}
}

// planned gives the plan's batches as workers share them, and the blocks of
// candidates.
func planned(t *testing.T, s beam.Scope, plan pair.Config, d data) (batches, blocks beam.PCollection) {
	t.Helper()
	prefix, partitions := filepath.Join(t.TempDir(), "plan"), plan.Plan(d.pools)
	if plan.Strategy == pair.Crossings {
		leaps, _ := plan.Leaps(crossings(t, d).Take(d.pools.Low, plan.Count), maxSteps)
		partitions = slices.Chunk(leaps, 1)
	}
	shares, err := datasetio.SaveShares(t.Context(), prefix, partitions)
	if err != nil {
		t.Fatal(err)
	}
	return datasetio.ReadShares[trajectory.PairBatch](s, prefix, shares), beam.CreateList(s, plan.CandidatesOf(d.pools.High))
}

// crossings are those of the walks, for bridges of maxSteps states.
func crossings(t *testing.T, d data) *pair.Graph {
	t.Helper()
	cfg := pair.GraphConfig{Lead: maxSteps + 1, Hops: 1, Discount: 0.99, Reach: 100, Seed: seed}
	v := datasetio.Survey{
		Dir: t.TempDir(), Scale: fixture.Session(t).Info().DeltaScale, Reach: cfg.Reach,
		Lead: cfg.Lead, Stride: cfg.Stride(1), Discount: cfg.Discount,
	}
	p, s := beam.NewPipelineWithRoot()
	datasetio.Crossings(s, d.input, shape(), v)
	if _, err := beam.Run(t.Context(), "prism", p); err != nil {
		t.Fatal(err)
	}
	anchors, err := v.LoadAnchors()
	if err != nil {
		t.Fatal(err)
	}
	g := pair.NewGraph(cfg, d.metas, anchors)
	if err := v.LoadCrossings(g.Add); err != nil {
		t.Fatal(err)
	}
	g.Solve()
	return g
}

// stitched is what a run leaves behind, in the plan's order.
type stitched struct {
	Outcomes []trajectory.Outcome
	Bridges  []*trajectory.Episode
}

// stitch runs the paper's steps on one runner, from pairs to staged bridges.
func stitch(t *testing.T, runner, strategy string, d data) stitched {
	t.Helper()
	models, dir := fixture.Models(t), t.TempDir()
	models.Peaks = true
	records := filepath.Join(dir, "outcomes.parquet")
	p, s := beam.NewPipelineWithRoot()
	plan := pair.Config{Strategy: strategy, Seed: seed, Count: stitches, BatchSize: 4, Candidates: 6}
	steps := estimate.Config{Similarity: estimate.Similarity{Kind: estimate.Distance, Space: estimate.Normalised}, MinSteps: 1, MaxSteps: maxSteps}
	alive := fixture.NoneDead(s)
	batches, blocks := planned(t, s, plan, d)
	pairs := alive(datasetio.LowEnds(s, d.input, batches))
	pool := filepath.Join(dir, "candidates.parquet")
	switch strategy {
	case pair.Uniform:
		ends := alive(datasetio.Entries(s, d.input, pair.ByEntry(s, plan, pairs)))
		pairs = alive(estimate.Steps(s, steps, models, seed, ends))
	case pair.Reference:
		staged := datasetio.StageCandidates(s, d.input, pool, blocks)
		ends := alive(datasetio.Choices(s, d.input, staged, pairs))
		pairs = pair.ByEntry(s, plan, alive(estimate.Steps(s, steps, models, seed, ends)))
	case pair.Reachable:
		staged := datasetio.StageCandidates(s, d.input, pool, blocks)
		imagined := alive(estimate.Imagine(s, models, seed, datasetio.Await(s, staged, pairs)))
		reach := datasetio.Reach{Pool: pool, Scale: fixture.Session(t).Info().StateScale, First: 2, Last: maxSteps + 1}
		ends := alive(datasetio.Nearest(s, d.input, reach, imagined))
		pairs = pair.ByEntry(s, plan, alive(estimate.Steps(s, steps, models, seed, ends)))
	case pair.Crossings:
		pairs = pair.ByEntry(s, plan, pairs)
	}
	contexts := alive(datasetio.Contexts(s, d.input, fixture.Horizon, pairs))
	bridges := alive(wrapup.Transitions(s, models, alive(inpaint.Bridges(s, models, seed, contexts))))
	judged := alive(qualify.Stitches(s, qualify.Config{Delta: delta}, models, bridges))
	datasetio.WriteRecords[trajectory.Outcome](s, records, alive(datasetio.Stage(s, dir, shape(), judged)))
	if _, err := beam.Run(t.Context(), runner, p); err != nil {
		t.Fatal(err)
	}
	outcomes, err := datasetio.LoadRecords[trajectory.Outcome](records)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(outcomes, func(a, b trajectory.Outcome) int { return cmp.Compare(a.Index, b.Index) })
	got := stitched{Outcomes: outcomes}
	staged := datasetio.OpenStaged(dir)
	defer staged.Close()
	for _, o := range outcomes {
		bridge, err := staged.Fetch(o.Staged)
		if err != nil {
			t.Fatal(err)
		}
		got.Bridges = append(got.Bridges, bridge)
	}
	return got
}

// TestStitching runs estimation, inpainting, wrap-up and qualification on the
// walks. Every bridge is what it should be, and the same on any runner and when
// run again.
func TestStitching(t *testing.T) {
	d := prepare(t)
	for _, strategy := range pair.Strategies {
		t.Run(strategy, func(t *testing.T) {
			first := stitch(t, "prism", strategy, d)
			if len(first.Outcomes) != stitches {
				t.Fatalf("%d of %d stitches", len(first.Outcomes), stitches)
			}
			s := fixture.Session(t)
			for i, o := range first.Outcomes {
				checkBridge(t, s, d, o, first.Bridges[i])
			}
			for _, runner := range []string{"prism", "direct"} {
				if diff := gocmp.Diff(first, stitch(t, runner, strategy, d)); diff != "" {
					t.Errorf("another run on the %s runner (-first +second):\n%s", runner, diff)
				}
			}
		})
	}
}

func checkBridge(t *testing.T, s *session.Session, d data, o trajectory.Outcome, bridge *trajectory.Episode) {
	t.Helper()
	info := s.Info()
	low, high := d.episodes[o.Low.Episode.ID], d.episodes[o.High.Episode.ID]
	if o.Steps < 1 || o.Steps > maxSteps || bridge.Len() != o.BridgeRows() || len(bridge.Provenance.Errors) != bridge.Len() {
		t.Errorf("stitch %d: Δ %d, %d rows, %d errors", o.Index, o.Steps, bridge.Len(), len(bridge.Provenance.Errors))
	}
	if err := bridge.Validate(); err != nil {
		t.Error(err)
	}
	joined, err := trajectory.Join(100+o.Index, []trajectory.Stretch{
		{Episode: low, To: int(o.Low.Step)}, {Episode: high, From: int(o.High.Step), To: high.Len()},
	}, []*trajectory.Episode{bridge})
	if err != nil {
		t.Fatal(err) // its states don't meet
	}
	if joined.Len() != o.StitchedRows() || math.Abs(joined.Return()-o.Return()) > 1e-9 {
		t.Errorf("stitch %d: %d rows that return %v, want %d and %v", o.Index, joined.Len(), joined.Return(), o.StitchedRows(), o.Return())
	}
	for i, a := range bridge.Actions {
		if a < info.ActionLow[i%info.ActionDim] || a > info.ActionHigh[i%info.ActionDim] {
			t.Errorf("stitch %d: action %v outside of the data's %v to %v", o.Index, a, info.ActionLow, info.ActionHigh)
		}
	}
	predicted, disagreement, err := s.Dynamics(bridge.Observations, bridge.Actions)
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.Max(disagreement); want == 0 || math.Abs(float64(o.MaxDisagreement-want)) > 1e-4*(1+float64(want)) {
		t.Errorf("stitch %d: disagreement %v, want %v", o.Index, o.MaxDisagreement, want)
	}
	checkErrors(t, o, bridge, predicted)
}

// checkErrors holds the errors to the predicted next states, [Δ+1, S].
func checkErrors(t *testing.T, o trajectory.Outcome, bridge *trajectory.Episode, predicted []float32) {
	t.Helper()
	for step, got := range bridge.Provenance.Errors {
		sum := 0.0
		next, _ := bridge.NextObservation(step)
		for i, v := range next {
			sum += math.Pow(float64(v)-float64(predicted[step*len(next)+i]), 2)
		}
		if want := math.Sqrt(sum); math.Abs(want-float64(got)) > 1e-4*(1+want) {
			t.Errorf("stitch %d step %d: error %v, want %v", o.Index, step, got, want)
		}
	}
	if worst := slices.Max(bridge.Provenance.Errors); o.MaxError != worst || (o.Rejected == "") != (worst < delta) {
		t.Errorf("stitch %d with the largest error %v has %v and is rejected as %q", o.Index, worst, o.MaxError, o.Rejected)
	}
}
