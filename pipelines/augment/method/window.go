package method

import (
	"context"
	"slices"

	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// Of a stream, a window is stitched as a dataset of its own, of few episodes. All that the
// driver of a dataset does between its pipelines is done within one, on a worker.

// PlanWindow plans the stitches of a window, so many at most, from the index first on: its
// survey and its pairs. The episodes of Metas, in the data's order, are those of the
// window and those that may be entered; own tells those that stitches may begin in. What
// workers need beside the batches it leaves in Dir. There may be nothing to stitch.
func (w *Work) PlanWindow(ctx context.Context, st *datasetio.Store, own func(*trajectory.Meta) bool, first, count int64) ([]trajectory.PairBatch, error) {
	w.Pools.Low = slices.DeleteFunc(w.Pools.Low, func(m *trajectory.Meta) bool { return !own(m) })
	if len(w.Pools.Low) == 0 || len(w.Pools.High) == 0 || count == 0 {
		return nil, nil
	}
	r := Round{First: first, Count: count}
	if w.Settings.Pairing == pair.Crossings {
		if err := w.surveyHere(st); err != nil {
			return nil, err
		}
		return w.leapsHere(r), nil
	}
	plan := w.Settings.plan(w.Seed, w.Batch, r)
	if plan.ChoosesEntries() {
		if len(plan.LongEnough(w.Pools.High)) == 0 {
			return nil, nil
		}
		if err := st.SaveCandidates(ctx, w.path(candidatesFile), plan.CandidatesOf(w.Pools.High)); err != nil {
			return nil, err
		}
	}
	return slices.Concat(slices.Collect(plan.Plan(w.Pools))...), nil
}

// Rank sets the pools by the scores of all, of whom those that can be stitched are in
// Metas. It says false where they are too few or too much alike for two pools.
func (w *Work) Rank(all []trajectory.Meta) bool {
	pools, err := rank.Split(w.Settings.Pools, all)
	if err != nil {
		return false
	}
	w.Pools = rank.Pools{}
	for i := range w.Metas {
		m := &w.Metas[i]
		if contains(pools.Low, m) {
			w.Pools.Low = append(w.Pools.Low, m)
		} else if contains(pools.High, m) {
			w.Pools.High = append(w.Pools.High, m)
		}
	}
	return true
}

func contains(pool []*trajectory.Meta, m *trajectory.Meta) bool {
	_, found := slices.BinarySearchFunc(pool, m, func(a, b *trajectory.Meta) int { return a.Location.Compare(b.Location) })
	return found
}

// A window is planned in no more time however long the episodes are that may be entered:
// it has so many anchors and entries, at most or by a little more.
const windowAnchors, windowEntries = 1 << 12, 1 << 14

// surveyHere looks through the episodes for crossings, once for each bridge that a stitch
// may have.
func (w *Work) surveyHere(st *datasetio.Store) error {
	v, steps := survey(w, 0), 0
	for _, m := range w.Metas {
		steps += int(m.Steps)
	}
	v.Stride, v.EntryStride = max(v.Stride, steps/windowAnchors), max(v.EntryStride, steps/windowEntries)
	anchors, err := v.AnchorsHere(st, w.Metas)
	if err != nil {
		return err
	}
	w.crossings = pair.NewGraph(w.Settings.crossings(w.Models.Horizon, w.Seed), w.Metas, anchors)
	var gains []trajectory.Gain
	for more := true; more; gains = w.crossings.Gains() {
		found, err := v.LookHere(st, w.Metas, anchors, gains)
		if err != nil {
			return err
		}
		w.crossings.Add(found)
		more = w.crossings.Solve()
	}
	return nil
}

// leapsHere plans as many bridges as there are crossings for.
func (w *Work) leapsHere(r Round) []trajectory.PairBatch {
	plan := w.Settings.plan(w.Seed, w.Batch, r)
	batches, order := plan.Leaps(w.crossings.Take(w.Pools.Low, r.Count), w.Settings.lead(w.Models.Horizon)-1)
	w.planned = append(w.planned, order...)
	return batches
}

// WindowStitches builds what makes the stitches of a stream's windows, planned by
// PlanWindow: of a PCollection<trajectory.PairBatch> a PCollection<trajectory.Outcome> and
// PCollections<trajectory.Failure>. Input and Dir are those of all windows.
func (w *Work) WindowStitches(s beam.Scope, job *observe.Job, batches beam.PCollection) (outcomes beam.PCollection, dead []beam.PCollection) {
	but := func(out, failures beam.PCollection) beam.PCollection {
		dead = append(dead, failures)
		return out
	}
	settings := w.Settings
	plan := settings.plan(w.Seed, w.Batch, Round{Count: 1})
	low := but(datasetio.LowEnds(s, w.Input, batches))
	var pairs beam.PCollection
	switch settings.Pairing {
	case pair.Crossings:
		pairs = pair.ByEntry(s, plan, low)
	case pair.Uniform:
		ends := but(datasetio.Entries(s, w.Input, pair.ByEntry(s, plan, low)))
		pairs = but(estimate.Steps(s, settings.Estimate, w.Session, w.Seed, ends))
	case pair.Reference:
		ends := but(datasetio.WindowChoices(s, w.Input, w.path(candidatesFile), low))
		pairs = pair.ByEntry(s, plan, but(estimate.Steps(s, settings.Estimate, w.Session, w.Seed, ends)))
	default: // pair.Reachable
		imagined := but(estimate.Imagine(s, w.Session, w.Seed, low))
		ends := but(datasetio.Nearest(s, w.Input, reach(w), imagined))
		pairs = pair.ByEntry(s, plan, but(estimate.Steps(s, settings.Estimate, w.Session, w.Seed, ends)))
	}
	return w.bridges(s, job, pairs, but), dead
}
