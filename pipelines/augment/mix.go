package augment

import (
	"cmp"
	"context"

	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/mix"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// mix lays out and writes D*.
func (r *run) mix(ctx context.Context) error {
	out := datasetio.Output{
		Dir:         r.staging.DataDir(),
		Bridges:     r.work.Dir,
		Layout:      r.path(layoutShares),
		Shape:       r.dataset.Shape,
		OriginalIDs: r.dataset.OriginalIDs,
		BridgesOnly: r.options.Mix.Emit == mix.EmitBridge,
	}
	parts, err := datasetio.SaveShares(ctx, out.Layout, func(yield func([]trajectory.Entry) bool) {
		for part := range r.options.Mix.Layout(r.work.Metas, r.work.Stitches()) {
			if !yield(part.Entries) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	err = r.execute(ctx, "writing", writingTasks(r.expectedRows()), func(s beam.Scope, job *observe.Job) {
		written := job.Live(s, datasetio.Write(s, r.dataset.Input, out, parts))
		datasetio.WriteRecords[trajectory.PartInfo](s, r.path(partsFile), written)
	})
	if err != nil {
		return err
	}
	byIndex := func(a, b trajectory.PartInfo) int { return cmp.Compare(a.Index, b.Index) }
	r.parts, err = load(r.path(partsFile), byIndex)
	return err
}

// expectedRows is how many rows D* will have; 0 where a ratio decides it.
func (r *run) expectedRows() int64 {
	if ratio := r.options.Mix.Ratio; ratio.Original != 0 || ratio.Augmented != 0 {
		return 0
	}
	return originalRows(r.work.Metas) + r.augmentedRows()
}
