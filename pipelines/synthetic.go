package pipelines

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"diffstitch/io/datasetio"
	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/edm"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/synthesize"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// synthetic is what the methods that generate episodes whole have in common.
type synthetic struct{}

// Batches are large: their nets are small, and their episodes short.
func (synthetic) batch() int { return 1024 }

func (synthetic) prepare(*augmentation) error { return nil }

// rejects are counted by reason alone, in the stages.
func (synthetic) rejects(*augmentation) error { return nil }

// picture draws a sample of the generated transitions.
func (synthetic) picture(run *augmentation, page *report.Report, of sources) error {
	accepted := slices.DeleteFunc(slices.Clone(run.outcomes), func(o trajectory.Outcome) bool { return o.Rejected != "" })
	for _, o := range spread(accepted, sampleSize/4) {
		episodes, err := of.staged.Block(context.Background(), o.Staged)
		if err != nil {
			return err
		}
		for _, e := range episodes {
			page.Transitions.Generated = appendTransitions(page.Transitions.Generated, e)
		}
	}
	return nil
}

// measure counts the batches, and the shares that planned makes of them.
func (synthetic) measure(run *augmentation, count int64, a *Amounts) {
	batch := int64(run.options.Batch)
	a.Batches = (count + batch - 1) / batch
	together := trajectory.Together(a.Batches)
	a.Partitions = (a.Batches + together - 1) / together
}

// facts are said of all methods.
func (synthetic) facts(run *augmentation, own ...report.Fact) []report.Fact {
	o := run.options
	return append(append([]report.Fact{{Name: "backend", Value: run.engine.Description}}, own...),
		report.Fact{Name: "mix", Value: o.Mix.Ratio.String()},
		report.Fact{Name: "seed", Value: fmt.Sprint(o.Seed)})
}

// planned leaves a round's batches to the workers, in shares of neighbours, and gives
// them as a PCollection<trajectory.SampleBatch>.
func (run *augmentation) planned(ctx context.Context, round int, batches []trajectory.SampleBatch) (func(beam.Scope) beam.PCollection, error) {
	prefix := run.work(fmt.Sprintf(planShares, round))
	together := int(trajectory.Together(int64(len(batches))))
	shares, err := datasetio.SaveShares(ctx, prefix, slices.Chunk(batches, together))
	if err != nil {
		return nil, err
	}
	return func(s beam.Scope) beam.PCollection {
		return datasetio.ReadShares[trajectory.SampleBatch](s, prefix, shares)
	}, nil
}

// synthesizing is SynthER.
type synthesizing struct{ synthetic }

func (synthesizing) words() words {
	return words{step: "sample", stage: "sampling", attempts: "transitions", made: "SynthER", counters: "synthesize", counted: "transitions"}
}

func (synthesizing) validate(o AugmentOptions) error { return o.SynthER.Validate() }

func (synthesizing) settle(*augmentation) error { return nil }

// guess is just as many: hardly any is rejected.
func (synthesizing) guess(_ AugmentOptions, wanted int64) int64 { return wanted }

func (synthesizing) attempt(ctx context.Context, run *augmentation, round int, first, count int64) (attempts, error) {
	o, models := run.options, run.session()
	plan, err := run.planned(ctx, round, trajectory.SampleBatches(first, count, o.Batch))
	if err != nil {
		return nil, err
	}
	return func(s beam.Scope, job *observe.Job) (beam.PCollection, []beam.PCollection) {
		sampled, unsampled := synthesize.Transitions(s, models, o.Seed, plan(s))
		outcomes, unstaged := datasetio.StageSynthetic(s, run.staging.WorkDir(), run.shape, job.Live(s, sampled))
		return outcomes, []beam.PCollection{unsampled, unstaged}
	}, nil
}

func (synthesizing) funnel() []funnelPart {
	return []funnelPart{{"sample", []string{"synthesize", "stage"}}}
}

// steps are those of the sampler.
func (synthesizing) steps(run *augmentation) int {
	return cmp.Or(run.options.SynthER.Steps, run.models.SamplerSteps)
}

func (m synthesizing) measure(run *augmentation, count int64, a *Amounts) {
	m.synthetic.measure(run, count, a)
	a.Generated = count
	a.ModelRuns = a.Batches * edm.Runs(m.steps(run))
}

func (m synthesizing) summary(run *augmentation) []report.Fact {
	return m.facts(run, report.Fact{Name: "sampler", Value: fmt.Sprintf("Heun, %d steps", m.steps(run))})
}
