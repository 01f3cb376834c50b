package method

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/inpaint"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/qualify"
	"diffstitch/transforms/rank"
	"diffstitch/transforms/refine"
	"diffstitch/transforms/wrapup"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// stitching is DiffStitch.
type stitching struct{}

func (stitching) Words() Words {
	return Words{Step: "stitch", Stage: "stitching", Attempts: "stitches", Made: "stitched", Counters: "qualify", Counted: "stitches"}
}

func (stitching) Batch() int { return 64 }

func (stitching) Validate(s Settings, seed uint64, batch int) error {
	s.Pairing = cmp.Or(s.Pairing, pair.Crossings) // Settle chooses: no setting fits that alone
	one := s.plan(seed, batch, Round{Count: 1})
	return errors.Join(s.Scoring.Validate(), s.Pools.Validate(), one.Validate(), s.Estimate.Validate(), s.guides(), s.refines(), s.crossings(lead+1, seed).Validate())
}

// guides reports a return that is none to aim at.
func (s StitchingSettings) guides() error {
	if !(s.GuidedReturn >= 0 && s.GuidedReturn <= 1) {
		return fmt.Errorf("--guided-return %g is not in [0, 1], the range of the data's returns", s.GuidedReturn)
	}
	return nil
}

// refines reports what is no choice.
func (s StitchingSettings) refines() error {
	if !slices.Contains([]string{"", RefineOn, RefineOff}, s.Refine) {
		return fmt.Errorf("--refine %q: want %s or %s, or leave it to the models", s.Refine, RefineOn, RefineOff)
	}
	return nil
}

// plan is that of a round's pairs.
func (s StitchingSettings) plan(seed uint64, batch int, r Round) pair.Config {
	return pair.Config{
		Strategy: s.Pairing, Seed: seed, First: r.First, Count: r.Count, BatchSize: batch,
		Candidates: s.Candidates, MinLeft: s.MinLeft,
	}
}

func (stitching) Settle(w *Work) error {
	s := &w.Settings
	if err := s.Sampler.Validate(w.Models.DenoisingSteps); err != nil {
		return err
	}
	if _, _, err := s.Estimate.Bounds(w.Models.Horizon); err != nil {
		return fmt.Errorf("%w: lower --min-steps or --constant-steps, or train with a larger --horizon", err)
	}
	s.Pairing = cmp.Or(s.Pairing, DefaultPairing(diffusion.Conditioning(w.Models.Conditioning)))
	if s.Pairing != pair.Crossings {
		s.Hops = 0
	}
	s.Delta = s.Delta.settled(w.Models)
	if s.Refine == "" {
		s.Refine = RefineOff
		if w.Models.Refiners > 0 {
			s.Refine = RefineOn
		}
	}
	w.Session.Refine, w.Session.Peaks = s.Refine == RefineOn, s.Pairing == pair.Reference
	return checkQualification(w)
}

// Lengths are how many transitions a bridge is planned with, at least and at most.
func (w *Work) Lengths() (shortest, longest int) {
	if w.Settings.Pairing == pair.Crossings {
		lead := w.Settings.lead(w.Models.Horizon)
		return lead, lead
	}
	return 1, w.Models.Horizon - 1
}

// checkQualification checks that the models can say what is asked of them.
func checkQualification(w *Work) error {
	s := w.Settings
	switch {
	case s.MaxDisagreement > 0 && w.Models.DynamicsNets < 2:
		return fmt.Errorf("--max-disagreement: the dynamics model in %q is one net, which has none to disagree with: train with --preset tiny, small or reference, or leave the flag out", w.Session.Dir)
	case s.RejectTerminal && !w.Models.Terminals:
		return fmt.Errorf("--reject-terminal: the reward model in %q does not predict terminal states: train with --preset reference, or leave the flag out", w.Session.Dir)
	}
	return s.qualify().Validate()
}

func (s StitchingSettings) qualify() qualify.Config {
	return qualify.Config{
		Delta: s.Delta.Value, Normalised: s.Delta.Normalised, Off: s.Delta.Off,
		MaxDisagreement: s.MaxDisagreement, RejectTerminal: s.RejectTerminal,
		RequireGain: s.RequireGain, AcceptTies: s.AcceptTies,
	}
}

// Prepare ranks the episodes into the two pools.
func (stitching) Prepare(w *Work) (err error) {
	if w.Pools, err = rank.Split(w.Settings.Pools, w.Metas); err != nil {
		return err
	}
	if plan := w.Settings.plan(w.Seed, w.Batch, Round{}); len(w.Pools.High) > 0 && len(plan.LongEnough(w.Pools.High)) == 0 {
		longest := slices.MaxFunc(w.Pools.High, func(a, b *trajectory.Meta) int { return cmp.Compare(a.Steps, b.Steps) })
		return fmt.Errorf("--min-left %d: the longest episode of the high pool has %d steps: ask for no more", plan.MinLeft, longest.Steps)
	}
	return nil
}

// Guess is two batches: how many stitches are accepted is hard to tell.
func (stitching) Guess(w *Work, _ int64) int64 { return 2 * int64(w.Batch) }

func (stitching) Attempt(ctx context.Context, w *Work, r Round) (Attempts, error) {
	pairs, err := w.pairs(ctx, r)
	if err != nil {
		return nil, err
	}
	return func(s beam.Scope, job *observe.Job) (outcomes beam.PCollection, dead []beam.PCollection) {
		but := func(out, failures beam.PCollection) beam.PCollection {
			dead = append(dead, failures)
			return out
		}
		outcomes = w.bridges(s, job, pairs(s, but), but)
		return outcomes, dead
	}, nil
}

// bridges builds what makes bridges of pairs, a PCollection<trajectory.PairBatch> whose
// entries are known.
func (w *Work) bridges(s beam.Scope, job *observe.Job, pairs beam.PCollection, but dropping) (outcomes beam.PCollection) {
	contexts := but(datasetio.Contexts(s, w.Input, w.Models.Horizon, pairs))
	bridges := but(inpaint.Bridges(s, w.Session, w.Seed, contexts))
	bridges = but(wrapup.Transitions(s, w.Session, bridges))
	if w.Settings.Refine == RefineOn {
		bridges = but(refine.Bridges(s, w.Session, bridges))
	}
	judged := but(qualify.Stitches(s, w.Settings.qualify(), w.Session, bridges))
	return but(datasetio.Stage(s, w.Dir, w.Shape, job.Live(s, judged)))
}

// dropping gives what comes out of a composite, and keeps what failed in it.
type dropping func(out, dead beam.PCollection) beam.PCollection

// pairs plans the pairs of a round, and gives what builds them, a
// PCollection<trajectory.PairBatch>: crossings as far as there are, the others by what
// is imagined.
func (w *Work) pairs(ctx context.Context, r Round) (func(beam.Scope, dropping) beam.PCollection, error) {
	var crossings int64
	var leaps []trajectory.PairBatch
	if w.crossings != nil {
		leaps = w.leaps(r)
		for _, b := range leaps {
			crossings += int64(len(b.Pairs))
		}
	}
	rest := w.Settings.plan(w.Seed, w.Batch, Round{First: r.First + crossings, Count: r.Count - crossings})
	rest.FirstBatch = w.firstBatch(r) + int64(len(leaps))
	if rest.Strategy == pair.Crossings {
		rest.Strategy = pair.Reachable
	}
	saved, err := datasetio.SaveShares(ctx, r.leaps(w), shares(leaps))
	if err == nil && rest.Count > 0 {
		err = savePlan(ctx, w, rest, r)
	}
	return func(s beam.Scope, but dropping) beam.PCollection {
		var parts []beam.PCollection
		if saved > 0 {
			low := but(datasetio.LowEnds(s, w.Input, datasetio.ReadShares[trajectory.PairBatch](s, r.leaps(w), saved)))
			near := rest
			near.FirstBatch = w.firstBatch(r)
			parts = append(parts, pair.ByEntry(s, near, low))
		}
		if rest.Count > 0 {
			parts = append(parts, estimated(s, w, rest, r, but))
		}
		if len(parts) == 1 {
			return parts[0]
		}
		return beam.Flatten(s, parts...)
	}, err
}

// shares are batches by what a worker gets at once.
func shares(batches []trajectory.PairBatch) iter.Seq[[]trajectory.PairBatch] {
	return slices.Chunk(batches, int(trajectory.Together(int64(len(batches)))))
}

// estimated builds the pairs of a round, a PCollection<trajectory.PairBatch>, with
// their entries chosen and their steps estimated; but keeps what failed.
func estimated(s beam.Scope, w *Work, plan pair.Config, r Round, but dropping) beam.PCollection {
	settings := w.Settings
	_, partitions := plan.Shares()
	pairs := but(datasetio.LowEnds(s, w.Input, datasetio.ReadShares[trajectory.PairBatch](s, r.shares(w), partitions)))
	switch settings.Pairing {
	case pair.Uniform:
		ends := but(datasetio.Entries(s, w.Input, pair.ByEntry(s, plan, pairs)))
		return but(estimate.Steps(s, settings.Estimate, w.Session, w.Seed, ends))
	case pair.Reference:
		ends := but(datasetio.Choices(s, w.Input, candidates(s, w, plan), pairs))
		return pair.ByEntry(s, plan, but(estimate.Steps(s, settings.Estimate, w.Session, w.Seed, ends)))
	default: // pair.Reachable
		ready := datasetio.Await(s, candidates(s, w, plan), pairs)
		imagined := but(estimate.Imagine(s, w.Session, w.Seed, ready))
		ends := but(datasetio.Nearest(s, w.Input, reach(w), imagined))
		return pair.ByEntry(s, plan, but(estimate.Steps(s, settings.Estimate, w.Session, w.Seed, ends)))
	}
}

// The pool of candidates: the file it is staged in, and the prefix of those that
// say where its states lie.
const (
	candidatesFile  = "candidates.parquet"
	candidateShares = "candidates"
)

// savePlan leaves the plan's partitions, and in the first round the places of the
// candidates, to the workers. A job that is built and not run has none.
func savePlan(ctx context.Context, w *Work, plan pair.Config, r Round) error {
	if len(w.Metas) == 0 {
		return nil
	}
	if _, err := datasetio.SaveShares(ctx, r.shares(w), plan.Plan(w.Pools)); err != nil {
		return err
	}
	if !plan.ChoosesEntries() || w.pooled {
		return nil
	}
	_, err := datasetio.SaveShares(ctx, w.path(candidateShares), slices.Chunk(plan.CandidatesOf(w.Pools.High), 1))
	return err
}

// candidates gives the path of the run's pool of candidates once it is there;
// the first round makes it.
func candidates(s beam.Scope, w *Work, plan pair.Config) beam.PCollection {
	path := w.path(candidatesFile)
	if w.pooled {
		return beam.Create(s, path)
	}
	w.pooled = true
	blocks := datasetio.ReadShares[trajectory.CandidateBlock](s, w.path(candidateShares), plan.CandidateBlocks())
	return datasetio.StageCandidates(s, w.Input, path, blocks)
}

// reach is where entries are looked for with pair.Reachable.
func reach(w *Work) datasetio.Reach {
	first, last, _ := w.Settings.Estimate.Bounds(w.Models.Horizon) // Settle checked it
	return datasetio.Reach{Pool: w.path(candidatesFile), Scale: w.Models.StateScale, First: first, Last: last}
}

func (stitching) Funnel(w *Work) []Part {
	parts := []Part{
		{"pair", nil},
		{"estimate", []string{"nearest", "imagine", "ends", "candidates", "entries", "estimate"}},
		{"inpaint", []string{"contexts", "inpaint"}},
		{"wrap up", []string{"wrapup"}},
	}
	if w.Settings.Refine == RefineOn {
		parts = append(parts, Part{"refine", []string{"refine"}})
	}
	return append(parts, Part{"qualify", []string{"qualify", "stage"}})
}

// Measure plans, and adds up what would be fetched.
func (stitching) Measure(w *Work, attempts int64, a *Amounts) {
	a.LowEpisodes, a.HighEpisodes = int64(len(w.Pools.Low)), int64(len(w.Pools.High))
	a.HighPool = datasetio.WeighEpisodes(w.Shape, w.Pools.High)
	if w.crossings != nil {
		leaps := w.leaps(Round{Count: attempts})
		a.Batches = int64(len(leaps))
		a.Partitions = int64(len(slices.Collect(shares(leaps))))
		for _, b := range leaps {
			a.LowEnds = a.LowEnds.Add(datasetio.WeighLowEnds(w.Shape, b))
			a.Crossings += int64(len(b.Pairs))
		}
	}
	plan := w.Settings.plan(w.Seed, w.Batch, Round{Count: attempts - a.Crossings})
	if plan.Count == 0 {
		return
	}
	batches, partitions := plan.Shares()
	a.Batches, a.Partitions = a.Batches+batches, a.Partitions+partitions
	for batches := range plan.Plan(w.Pools) {
		for _, b := range batches {
			a.LowEnds = a.LowEnds.Add(datasetio.WeighLowEnds(w.Shape, b))
		}
	}
	if plan.ChoosesEntries() {
		for _, block := range plan.CandidatesOf(w.Pools.High) {
			a.Candidates = a.Candidates.Add(datasetio.WeighCandidates(w.Shape, block))
		}
	}
}
