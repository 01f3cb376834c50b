package pipelines

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

func (rolling) words() words {
	return words{step: "roll out", stage: "rolling out", attempts: "rollouts", made: "TATU", counters: "rollout", counted: "rollouts"}
}

func (rolling) validate(o AugmentOptions) error { return o.TATU.Validate() }

func (rolling) settle(run *augmentation) error {
	if run.models.DynamicsNets < 2 || run.models.MaxDisagreement == 0 {
		return fmt.Errorf("--method tatu: the dynamics model in %q is one net, which has none to disagree with: train with --method tatu, in another folder or together with other methods", run.options.Models)
	}
	return nil
}

// guess is as many as would do if each went its whole length.
func (rolling) guess(o AugmentOptions, wanted int64) int64 {
	length := int64(o.TATU.Length)
	return (wanted + length - 1) / length
}

func (rolling) attempt(ctx context.Context, run *augmentation, round int, first, count int64) (attempts, error) {
	o, models := run.options, run.session()
	plan, err := run.planned(ctx, round, tatu.Plan(run.metas, o.Seed, first, count, o.Batch))
	if err != nil {
		return nil, err
	}
	return func(s beam.Scope, job *observe.Job) (beam.PCollection, []beam.PCollection) {
		starts, unfetched := datasetio.Starts(s, run.input, plan(s))
		rolled, unrolled := tatu.Episodes(s, o.TATU, models, o.Seed, starts)
		outcomes, unstaged := datasetio.StageSynthetic(s, run.staging.WorkDir(), run.shape, job.Live(s, rolled))
		return outcomes, []beam.PCollection{unfetched, unrolled, unstaged}
	}, nil
}

func (rolling) funnel() []funnelPart {
	return []funnelPart{{"roll out", []string{"starts", "rollout", "stage"}}}
}

// measure plans, and adds up what would be fetched.
func (m rolling) measure(run *augmentation, count int64, a *Amounts) {
	m.synthetic.measure(run, count, a)
	o := run.options
	a.Generated = count * int64(o.TATU.Length)
	a.ModelRuns = a.Batches * o.TATU.Runs()
	for _, b := range tatu.Plan(run.metas, o.Seed, 0, count, o.Batch) {
		a.Starts = a.Starts.Add(datasetio.WeighStarts(run.shape, b))
	}
}

func (m rolling) summary(run *augmentation) []report.Fact {
	o := run.options.TATU
	return m.facts(run,
		report.Fact{Name: "length", Value: fmt.Sprintf("%d steps at most", o.Length)},
		report.Fact{Name: "truncation", Value: fmt.Sprintf("at an uncertainty of %.4g (%g of the data's largest)", o.Truncation*run.models.MaxDisagreement, o.Truncation)},
		report.Fact{Name: "penalty λ", Value: fmt.Sprint(o.Penalty)})
}
