package stream

import (
	"time"

	"diffstitch/io/datasetio"
	"diffstitch/io/storage"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/mix"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
)

// graph builds the pipeline. What is in a window stays in it: a window is planned once all
// of its files are read, laid out once all of its stitches are judged, and finished once
// all of its files are written, each of which the watermark tells.
func graph(s beam.Scope, job *observe.Job, from source, work method.Work, originalIDs bool) {
	f := from.Folder
	arrivals := beam.ParDo(s.Scope("stream.Source"), &sourceFn{Source: from}, beam.Impulse(s))
	arrivals = beam.WindowInto(s, window.NewFixedWindows(time.Duration(from.Window)), arrivals)

	taken, scanned, rejects := datasetio.Take(s, work.Input, work.Shape, work.Settings.Scoring, f.windows(), arrivals)
	batches, planned := beam.ParDo2(s.Scope("stream.Plan"), &planFn{planner{Folder: f}}, together(s, taken, scanned, rejects))

	outcomes, dead := work.WindowStitches(s, job, beam.Reshuffle(s, batches))
	parts, laid := beam.ParDo2(s.Scope("stream.Lay"), &layFn{planner{Folder: f}}, together(s, planned, outcomes, beam.Flatten(s, dead...)))

	out := datasetio.Output{
		Dir: f.windows(), Bridges: f.windows(), Layout: storage.Join(f.windows(), layoutName), Shape: work.Shape,
		OriginalIDs: originalIDs, BridgesOnly: work.Mix.Emit == mix.EmitBridge,
	}
	written := datasetio.WriteParts(s, work.Input, out, beam.Reshuffle(s, parts))
	beam.ParDo0(s.Scope("stream.Finish"), &finishFn{planner{Folder: f}}, together(s, laid, job.Live(s, written)))
}

// together brings all of a window to one call.
func together(s beam.Scope, all ...beam.PCollection) beam.PCollection {
	keyed := make([]beam.PCollection, len(all))
	for i, c := range all {
		keyed[i] = beam.AddFixedKey(s, c)
	}
	return beam.CoGroupByKey(s, keyed...)
}
