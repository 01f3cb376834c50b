package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"

	"diffstitch/io/datasetio"
	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/inpaint"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/qualify"
	"diffstitch/transforms/rank"
	"diffstitch/transforms/wrapup"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// stitching is DiffStitch.
type stitching struct{}

func (stitching) words() words {
	return words{step: "stitch", stage: "stitching", attempts: "stitches", made: "stitched", counters: "qualify", counted: "stitches"}
}

func (stitching) batch() int { return 64 }

func (stitching) validate(o AugmentOptions) error {
	if o.Batch == 0 {
		o.Batch = stitching{}.batch()
	}
	return errors.Join(o.Scoring.Validate(), o.Pools.Validate(), o.plan(0, 1).Validate(), o.Estimate.Validate())
}

func (o AugmentOptions) plan(first, count int64) pair.Config {
	return pair.Config{
		Strategy: o.Pairing, Seed: o.Seed, First: first, Count: count, BatchSize: o.Batch, Candidates: o.Candidates,
	}
}

func (stitching) settle(run *augmentation) error {
	o := &run.options
	if err := o.Sampler.Validate(run.models.DenoisingSteps); err != nil {
		return err
	}
	if _, _, err := o.Estimate.Bounds(run.models.Horizon); err != nil {
		return err
	}
	if o.Delta.Quantile > 0 {
		o.Delta.Value = run.models.DynamicsError.Quantile(o.Delta.Quantile)
	}
	return run.checkQualification()
}

// checkQualification checks that the models can say what is asked of them.
func (run *augmentation) checkQualification() error {
	o := run.options
	switch {
	case o.MaxDisagreement > 0 && run.models.DynamicsNets < 2:
		return fmt.Errorf("--max-disagreement: the dynamics model in %q is one net, which has none to disagree with: train with --preset reference, or leave the flag out", o.Models)
	case o.RejectTerminal && !run.models.Terminals:
		return fmt.Errorf("--reject-terminal: the reward model in %q does not predict terminal states: train with --preset reference, or leave the flag out", o.Models)
	}
	return o.qualify().Validate()
}

func (o AugmentOptions) qualify() qualify.Config {
	return qualify.Config{
		Delta: o.Delta.Value, Off: o.Delta.Off,
		MaxDisagreement: o.MaxDisagreement, RejectTerminal: o.RejectTerminal, RequireGain: o.RequireGain,
	}
}

// prepare ranks the episodes into the two pools.
func (stitching) prepare(run *augmentation) (err error) {
	run.pools, err = rank.Split(run.options.Pools, run.metas)
	return err
}

// guess is two batches: how many stitches are accepted is hard to tell.
func (stitching) guess(o AugmentOptions, _ int64) int64 { return 2 * int64(o.Batch) }

func (stitching) attempt(ctx context.Context, run *augmentation, round int, first, count int64) (attempts, error) {
	o, models := run.options, run.session()
	plan, prefix := o.plan(first, count), run.work(fmt.Sprintf(planShares, round))
	if err := run.savePlan(ctx, plan, prefix); err != nil {
		return nil, err
	}
	_, partitions := plan.Shares()
	return func(s beam.Scope, job *observe.Job) (outcomes beam.PCollection, dead []beam.PCollection) {
		but := func(out, failures beam.PCollection) beam.PCollection {
			dead = append(dead, failures)
			return out
		}
		pairs := but(datasetio.LowEnds(s, run.input, datasetio.ReadShares[trajectory.PairBatch](s, prefix, partitions)))
		switch o.Pairing {
		case pair.Uniform:
			ends := but(datasetio.Entries(s, run.input, pair.ByEntry(s, plan, pairs)))
			pairs = but(estimate.Steps(s, o.Estimate, models, o.Seed, ends))
		case pair.Reference:
			ends := but(datasetio.Choices(s, run.input, run.candidates(s, plan), pairs))
			pairs = pair.ByEntry(s, plan, but(estimate.Steps(s, o.Estimate, models, o.Seed, ends)))
		case pair.Reachable:
			ready := datasetio.Await(s, run.candidates(s, plan), pairs)
			imagined := but(estimate.Imagine(s, models, o.Seed, ready))
			ends := but(datasetio.Nearest(s, run.input, run.reach(), imagined))
			pairs = pair.ByEntry(s, plan, but(estimate.Steps(s, o.Estimate, models, o.Seed, ends)))
		}
		contexts := but(datasetio.Contexts(s, run.input, run.models.Horizon, pairs))
		bridges := but(inpaint.Bridges(s, models, o.Seed, contexts))
		judged := but(qualify.Stitches(s, o.qualify(), models, but(wrapup.Transitions(s, models, bridges))))
		outcomes = but(datasetio.Stage(s, run.staging.WorkDir(), run.shape, job.Live(s, judged)))
		return outcomes, dead
	}, nil
}

// savePlan leaves the plan's partitions, and in the first round the places of the
// candidates, to the workers. A job that is built and not run has none.
func (run *augmentation) savePlan(ctx context.Context, plan pair.Config, prefix string) error {
	if len(run.metas) == 0 {
		return nil
	}
	if _, err := datasetio.SaveShares(ctx, prefix, plan.Plan(run.pools)); err != nil {
		return err
	}
	if !plan.ChoosesEntries() || plan.First > 0 {
		return nil
	}
	_, err := datasetio.SaveShares(ctx, run.work(candidateShares), slices.Chunk(plan.CandidatesOf(run.pools.High), 1))
	return err
}

// candidates gives the path of the run's pool of candidates once it is there;
// the first round makes it.
func (run *augmentation) candidates(s beam.Scope, plan pair.Config) beam.PCollection {
	path := run.work(candidatesFile)
	if plan.First > 0 {
		return beam.Create(s, path)
	}
	blocks := datasetio.ReadShares[trajectory.CandidateBlock](s, run.work(candidateShares), plan.CandidateBlocks())
	return datasetio.StageCandidates(s, run.input, path, blocks)
}

// reach is where entries are looked for with pair.Reachable.
func (run *augmentation) reach() datasetio.Reach {
	first, last, _ := run.options.Estimate.Bounds(run.models.Horizon) // openModels checked it
	return datasetio.Reach{Pool: run.work(candidatesFile), Scale: run.models.StateScale, First: first, Last: last}
}

func (stitching) funnel() []funnelPart {
	return []funnelPart{
		{"pair", nil},
		{"estimate", []string{"ends", "candidates", "entries", "estimate"}},
		{"inpaint", []string{"contexts", "inpaint"}},
		{"wrap up", []string{"wrapup"}},
		{"qualify", []string{"qualify", "stage"}},
	}
}

// measure plans, and adds up what would be fetched.
func (stitching) measure(run *augmentation, count int64, a *Amounts) {
	a.LowEpisodes, a.HighEpisodes = int64(len(run.pools.Low)), int64(len(run.pools.High))
	a.HighPool = datasetio.WeighEpisodes(run.shape, run.pools.High)
	plan := run.options.plan(0, count)
	a.Batches, a.Partitions = plan.Shares()
	for batches := range plan.Plan(run.pools) {
		for _, b := range batches {
			a.LowEnds = a.LowEnds.Add(datasetio.WeighLowEnds(run.shape, b))
		}
	}
	if plan.ChoosesEntries() {
		for _, block := range plan.CandidatesOf(run.pools.High) {
			a.Candidates = a.Candidates.Add(datasetio.WeighCandidates(run.shape, block))
		}
	}
}

// rejectedStitch is a line of rejects/stitches.jsonl. JSON has no NaN or Inf:
// numbers that are not finite are null.
type rejectedStitch struct {
	Index         int64    `json:"index"`
	LowEpisodeID  int64    `json:"low_episode_id"`
	LowStep       int32    `json:"low_step"`
	HighEpisodeID int64    `json:"high_episode_id"`
	HighStep      int32    `json:"high_step"`
	Steps         int32    `json:"steps"`
	Similarity    *float32 `json:"similarity"`
	MaxError      *float32 `json:"max_qualification_error"`
	// Disagreement is left out where the dynamics model is one net.
	Disagreement *float32 `json:"max_ensemble_disagreement,omitempty"`
	Reason       string   `json:"reason"`
}

func rejection(o trajectory.Outcome, ensemble bool) rejectedStitch {
	r := rejectedStitch{
		Index: o.Index, LowEpisodeID: o.Low.Episode.ID, LowStep: o.Low.Step,
		HighEpisodeID: o.High.Episode.ID, HighStep: o.High.Step,
		Steps: o.Steps, Similarity: finite(o.Similarity), MaxError: finite(o.MaxError), Reason: o.Rejected,
	}
	if ensemble {
		r.Disagreement = finite(o.MaxDisagreement)
	}
	return r
}

// finite is nil for NaN and ±Inf.
func finite(v float32) *float32 {
	if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
		return nil
	}
	return &v
}

func (stitching) rejects(run *augmentation) error {
	stitches := filepath.Join(run.staging.RejectsDir(), "stitches.jsonl")
	return writeFile(stitches, func(w io.Writer) error {
		lines := json.NewEncoder(w)
		for _, o := range run.outcomes {
			if o.Rejected == "" {
				continue
			}
			if err := lines.Encode(rejection(o, run.models.DynamicsNets > 1)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (stitching) summary(run *augmentation) []report.Fact {
	o := run.options
	return []report.Fact{
		{Name: "backend", Value: run.engine.Description},
		{Name: "conditioning", Value: run.models.Conditioning},
		{Name: "sampler", Value: fmt.Sprintf("%s, %d steps", o.Sampler.Kind, o.Sampler.Steps)},
		{Name: "pairing", Value: o.Pairing},
		{Name: "similarity", Value: o.Estimate.Similarity.Kind + ", " + o.Estimate.Similarity.Space},
		{Name: "δ", Value: o.Delta.String()},
		{Name: "mix", Value: o.Mix.Ratio.String() + ", " + o.Mix.Emit},
		{Name: "seed", Value: fmt.Sprint(o.Seed)},
	}
}
