package method

import (
	"cmp"
	"context"
	"fmt"

	"diffstitch/io/datasetio"
	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/edm"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/synthesize"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// synthesizing is SynthER.
type synthesizing struct{ synthetic }

func (synthesizing) Words() Words {
	return Words{Step: "sample", Stage: "sampling", Attempts: "transitions", Made: "SynthER", Counters: "synthesize", Counted: "transitions"}
}

func (synthesizing) Validate(s Settings, _ uint64, _ int) error { return s.SynthER.Validate() }

func (synthesizing) Settle(*Work) error { return nil }

// Guess is just as many: hardly any is rejected.
func (synthesizing) Guess(_ *Work, transitions int64) int64 { return transitions }

func (synthesizing) Attempt(ctx context.Context, w *Work, r Round) (Attempts, error) {
	plan, err := planned(ctx, w, r, trajectory.SampleBatches(r.First, r.Count, w.Batch))
	if err != nil {
		return nil, err
	}
	return func(s beam.Scope, job *observe.Job) (beam.PCollection, []beam.PCollection) {
		sampled, unsampled := synthesize.Transitions(s, w.Session, w.Seed, plan(s))
		outcomes, unstaged := datasetio.StageSynthetic(s, w.Dir, w.Shape, job.Live(s, sampled))
		return outcomes, []beam.PCollection{unsampled, unstaged}
	}, nil
}

func (synthesizing) Funnel(*Work) []Part {
	return []Part{{"sample", []string{"synthesize", "stage"}}}
}

// steps are those of the sampler.
func (synthesizing) steps(w *Work) int {
	return cmp.Or(w.Settings.SynthER.Steps, w.Models.SamplerSteps)
}

func (m synthesizing) Measure(w *Work, attempts int64, a *Amounts) {
	m.synthetic.Measure(w, attempts, a)
	a.Generated = attempts
	a.ModelRuns = a.Batches * edm.Runs(m.steps(w))
}

func (m synthesizing) Summary(w *Work) []report.Fact {
	return m.facts(w, report.Fact{Name: "sampler", Value: fmt.Sprintf("Heun, %d steps", m.steps(w))})
}
