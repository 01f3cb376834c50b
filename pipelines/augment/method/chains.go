package method

import (
	"cmp"
	"context"
	"slices"

	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/mix"
	"diffstitch/transforms/pair"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

const (
	// lead is how many transitions a bridge to a crossing has, where the horizon allows:
	// it begins as many steps before its episode comes near the other one.
	lead = 8
	// reachPerStep is how far from where an episode comes another may be entered, for
	// each step of the bridge, in what one step changes.
	reachPerStep = 0.75
	// discount of rewards where ranking has none.
	discount = 0.99
)

// DefaultPairing is that with models of a conditioning, where nothing is said: with the
// literal ones, the paper's and the authors', the authors' retrieval.
func DefaultPairing(of diffusion.Conditioning) string {
	if of == diffusion.ConditionZeros {
		return pair.Reference
	}
	return pair.Crossings
}

// lead is how many transitions a bridge to a crossing has.
func (s StitchingSettings) lead(horizon int) int {
	e := s.Estimate
	if e.Constant > 0 {
		return min(e.Constant, horizon-2) + 1
	}
	steps := max(lead-1, e.MinSteps)
	if e.MaxSteps > 0 {
		steps = min(steps, e.MaxSteps)
	}
	return min(steps, horizon-2) + 1
}

func (s StitchingSettings) crossings(horizon int, seed uint64) pair.GraphConfig {
	c := pair.GraphConfig{Lead: s.lead(horizon), Hops: s.Hops, Discount: discount, Seed: seed}
	c.Reach = reachPerStep * float64(c.Lead)
	if s.Scoring.Kind == trajectory.ScoreDiscounted {
		c.Discount = s.Scoring.Discount
	}
	return c
}

// survey is where crossings are looked for in a pass.
func survey(w *Work, pass int) datasetio.Survey {
	c := w.Settings.crossings(w.Models.Horizon, w.Seed)
	steps := int64(0)
	for _, m := range w.Metas {
		steps += int64(m.Steps)
	}
	return datasetio.Survey{
		Dir: w.Dir, Pass: pass, Scale: w.Models.DeltaScale, Reach: c.Reach,
		Lead: c.Lead, Stride: c.Stride(steps), EntryStride: c.EntryStride(steps), Discount: c.Discount,
	}
}

// Survey looks through the data for crossings, once for each bridge that a chain may have,
// as long as that finds more.
func (stitching) Survey(ctx context.Context, w *Work, pass int) (*Survey, error) {
	if w.Settings.Pairing != pair.Crossings || pass > 0 && w.surveyed {
		return nil, nil
	}
	v := survey(w, pass)
	if pass > 0 {
		if err := v.SaveGains(ctx, w.crossings.Gains()); err != nil {
			return nil, err
		}
	}
	return &Survey{
		Build: func(s beam.Scope, _ *observe.Job) { datasetio.Crossings(s, w.Input, w.Shape, v) },
		Load:  func() error { return w.loadCrossings(v) },
	}, nil
}

// loadCrossings works out what the crossings are worth with those of a pass.
func (w *Work) loadCrossings(v datasetio.Survey) error {
	if v.Pass == 0 {
		anchors, err := v.LoadAnchors()
		if err != nil {
			return err
		}
		w.crossings = pair.NewGraph(w.Settings.crossings(w.Models.Horizon, w.Seed), w.Metas, anchors)
	}
	if err := v.LoadCrossings(w.crossings.Add); err != nil {
		return err
	}
	w.surveyed = !w.crossings.Solve()
	return nil
}

// Rounds is how many rounds the attempts that are asked for are made in: one for each bridge
// that a chain may have, so that chains that are broken can go on by others.
func (w *Work) Rounds() int64 {
	if w.crossings == nil {
		return 1
	}
	return int64(w.Settings.Hops)
}

// leaps plans the crossings of a round: as many as there are.
func (w *Work) leaps(r Round) []trajectory.PairBatch {
	if r.Number > 0 {
		_, passed := w.crossed()
		w.crossings.Judge(passed)
	}
	plan := w.Settings.plan(w.Seed, w.Batch, r)
	plan.FirstBatch = w.firstBatch(r)
	batches, order := plan.Leaps(w.crossings.Take(w.Pools.Low, r.Count), w.Settings.lead(w.Models.Horizon)-1)
	w.planned = append(w.planned, order...)
	return batches
}

// firstBatch is that of a round, in each of which one may be begun twice: by crossings
// and by what is imagined.
func (w *Work) firstBatch(r Round) int64 {
	first := r.First / int64(w.Batch)
	if w.crossings != nil {
		first += int64(r.Number)
	}
	return first
}

// Stitches are the episodes of D_aug: accepted attempts, those to crossings as chains.
func (w *Work) Stitches() []trajectory.Outcome {
	accepted := w.accepted()
	if w.crossings == nil || w.Mix.Emit == mix.EmitBridge {
		return accepted
	}
	stitches := slices.DeleteFunc(accepted, func(o trajectory.Outcome) bool { return o.Crossing })
	crossed, passed := w.crossed()
	for _, chain := range w.crossings.Compose(passed) {
		o := crossed[chain[0]]
		for _, number := range chain[1:] {
			hop := crossed[number]
			o.Onward = append(o.Onward, trajectory.Hop{Pair: hop.Pair, BridgeReturn: hop.BridgeReturn, Staged: hop.Staged})
		}
		stitches = append(stitches, o)
	}
	slices.SortFunc(stitches, func(a, b trajectory.Outcome) int { return cmp.Compare(a.Index, b.Index) })
	return stitches
}

// crossed are the accepted crossings, by their numbers in the plan, and tells which those are.
func (w *Work) crossed() (byNumber map[int32]trajectory.Outcome, passed func(number int32) bool) {
	numbers := map[int64]int32{}
	for number, index := range w.planned {
		numbers[index] = int32(number)
	}
	byNumber = map[int32]trajectory.Outcome{}
	for _, o := range w.accepted() {
		if number, planned := numbers[o.Index]; planned {
			byNumber[number] = o
		}
	}
	return byNumber, func(number int32) bool {
		_, there := byNumber[number]
		return there
	}
}

// Idle counts the accepted bridges that no stitched episode holds: they lead nowhere
// without those that were rejected.
func (w *Work) Idle() int64 {
	held := map[int64]bool{}
	for _, o := range w.Stitches() {
		held[o.Index] = true
		for _, hop := range o.Onward {
			held[hop.Index] = true
		}
	}
	return int64(len(w.accepted()) - len(held))
}

// Kinds counts outcomes by how their entries were chosen; nil where there is one way.
func (w *Work) Kinds(of func(trajectory.Outcome) bool) map[string]int64 {
	if w.crossings == nil {
		return nil
	}
	kinds := map[string]int64{"crossings": 0, "imagined": 0}
	for _, o := range w.Outcomes {
		switch {
		case !of(o):
		case o.Crossing:
			kinds["crossings"]++
		default:
			kinds["imagined"]++
		}
	}
	return kinds
}
