package pipelines

import (
	"time"

	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.DoFn1x1[trajectory.BridgeBatch, trajectory.BridgeBatch](&watchFn{})
}

// watch passes batches on and tells the run's own process how many stitches of
// total have been attempted.
func watch(s beam.Scope, number, total int64, batches beam.PCollection) beam.PCollection {
	return beam.ParDo(s, &watchFn{Run: number, Total: total, Start: time.Now().UnixNano()}, batches)
}

type watchFn struct {
	Run   int64 `json:"run"`
	Total int64 `json:"total"`
	Start int64 `json:"start"` // Unix nanoseconds
}

func (fn *watchFn) ProcessElement(batch trajectory.BridgeBatch) trajectory.BridgeBatch {
	run := localRun(fn.Run)
	if run == nil || run.progress == nil {
		return batch
	}
	done := run.done.Add(int64(len(batch.Bridges)))
	elapsed := time.Since(time.Unix(0, fn.Start)).Seconds()
	run.progress(Progress{Task: "stitching", Done: done, Total: fn.Total, Unit: "stitches", Rate: float64(done) / elapsed})
	return batch
}
