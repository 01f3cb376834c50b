package method

import (
	"context"
	"fmt"

	"diffstitch/io/datasetio"
	"diffstitch/io/report"
	"diffstitch/pipelines/observe"
	tatu "diffstitch/transforms/rollout"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// rolling is TATU.
type rolling struct{ synthetic }

func (rolling) Words() Words {
	return Words{Step: "roll out", Stage: "rolling out", Attempts: "rollouts", Made: "TATU", Counters: "rollout", Counted: "rollouts"}
}

func (rolling) Validate(s Settings, _ uint64, _ int) error { return s.TATU.Validate() }

func (rolling) Settle(w *Work) error {
	if w.Models.DynamicsNets < 2 || w.Models.MaxDisagreement == 0 {
		return fmt.Errorf("--method tatu: the dynamics model in %q is one net, which has none to disagree with: train with --method tatu, in another folder or together with other methods", w.Session.Dir)
	}
	return nil
}

// Guess is as many as would do if each went its whole length.
func (rolling) Guess(w *Work, transitions int64) int64 {
	length := int64(w.Settings.TATU.Length)
	return (transitions + length - 1) / length
}

func (rolling) Attempt(ctx context.Context, w *Work, r Round) (Attempts, error) {
	plan, err := planned(ctx, w, r, tatu.Plan(w.Metas, w.Seed, r.First, r.Count, w.Batch))
	if err != nil {
		return nil, err
	}
	return func(s beam.Scope, job *observe.Job) (beam.PCollection, []beam.PCollection) {
		starts, unfetched := datasetio.Starts(s, w.Input, plan(s))
		rolled, unrolled := tatu.Episodes(s, w.Settings.TATU, w.Session, w.Seed, starts)
		outcomes, unstaged := datasetio.StageSynthetic(s, w.Dir, w.Shape, job.Live(s, rolled))
		return outcomes, []beam.PCollection{unfetched, unrolled, unstaged}
	}, nil
}

func (rolling) Funnel(*Work) []Part {
	return []Part{{"roll out", []string{"starts", "rollout", "stage"}}}
}

// Measure plans, and adds up what would be fetched.
func (m rolling) Measure(w *Work, attempts int64, a *Amounts) {
	m.synthetic.Measure(w, attempts, a)
	a.Generated = attempts * int64(w.Settings.TATU.Length)
	a.ModelRuns = a.Batches * w.Settings.TATU.Runs()
	for _, b := range tatu.Plan(w.Metas, w.Seed, 0, attempts, w.Batch) {
		a.Starts = a.Starts.Add(datasetio.WeighStarts(w.Shape, b))
	}
}

func (m rolling) Summary(w *Work) []report.Fact {
	t := w.Settings.TATU
	return m.facts(w,
		report.Fact{Name: "length", Value: fmt.Sprintf("%d steps at most", t.Length)},
		report.Fact{Name: "truncation", Value: fmt.Sprintf("at an uncertainty of %.4g (%g of the data's largest)", t.Truncation*w.Models.MaxDisagreement, t.Truncation)},
		report.Fact{Name: "penalty λ", Value: fmt.Sprint(t.Penalty)})
}
