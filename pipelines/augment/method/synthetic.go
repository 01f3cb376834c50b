package method

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"diffstitch/io/datasetio"
	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/augment/sample"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// synthetic is what the methods that generate episodes whole have in common.
type synthetic struct{}

// Batch is large: the nets are small, and the episodes short.
func (synthetic) Batch() int { return 1024 }

func (synthetic) Prepare(*Work) error { return nil }

func (synthetic) Survey(context.Context, *Work, int) (*Survey, error) { return nil, nil }

// Rejects are counted by reason alone, in the stages.
func (synthetic) Rejects(*Work) (file string, lines iter.Seq[any]) { return "", nil }

// Picture draws a sample of the generated transitions.
func (synthetic) Picture(w *Work, page *report.Report, of Sources) error {
	for _, o := range report.Thin(w.accepted(), sample.Size/4) {
		episodes, err := of.Staged.Block(context.Background(), o.Staged)
		if err != nil {
			return err
		}
		for _, e := range episodes {
			page.Transitions.Generated = sample.AppendTransitions(page.Transitions.Generated, e)
		}
	}
	return nil
}

// Measure counts the batches, and the shares that planned makes of them.
func (synthetic) Measure(w *Work, attempts int64, a *Amounts) {
	batch := int64(w.Batch)
	a.Batches = (attempts + batch - 1) / batch
	together := trajectory.Together(a.Batches)
	a.Partitions = (a.Batches + together - 1) / together
}

// facts are said of all methods.
func (synthetic) facts(w *Work, own ...report.Fact) []report.Fact {
	return append(append([]report.Fact{{Name: "backend", Value: w.Engine}}, own...),
		report.Fact{Name: "mix", Value: w.Mix.Ratio.String()},
		report.Fact{Name: "seed", Value: fmt.Sprint(w.Seed)})
}

// planned leaves a round's batches to the workers, in shares of neighbours, and gives
// them as a PCollection<trajectory.SampleBatch>.
func planned(ctx context.Context, w *Work, r Round, batches []trajectory.SampleBatch) (func(beam.Scope) beam.PCollection, error) {
	prefix := r.shares(w)
	together := int(trajectory.Together(int64(len(batches))))
	shares, err := datasetio.SaveShares(ctx, prefix, slices.Chunk(batches, together))
	if err != nil {
		return nil, err
	}
	return func(s beam.Scope) beam.PCollection {
		return datasetio.ReadShares[trajectory.SampleBatch](s, prefix, shares)
	}, nil
}
