// Package pipelines wires the transforms into whole Beam graphs and runs them:
// training the four models, augmenting a dataset, and the demo that does both.
package pipelines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	//lint:ignore SA1019 the direct runner stays a choice while Beam ships it
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" // --runner direct
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"  // --runner prism
)

// Version is the software's version, as manifests record it.
const Version = "0.1.0"

// Software is the name and version that manifests record.
const Software = "diffstitch " + Version

// Runners are those that a pipeline can run on. Prism and direct need no service
// beside this process.
var Runners = []string{"prism", "direct", dataflow}

// prepareRunner fails, before any work is done, where a runner cannot do what it
// is asked to.
func prepareRunner(runner string) error {
	switch {
	case !slices.Contains(Runners, runner):
		return fmt.Errorf("%w: unknown runner %q: it is one of %s", ErrUsage, runner, strings.Join(Runners, ", "))
	case runner == dataflow:
		return prepareDataflow()
	}
	return nil
}

// execute builds a pipeline and runs it to its end.
func execute(ctx context.Context, runner, name string, build func(s beam.Scope)) (metrics.QueryResults, error) {
	p, s := beam.NewPipelineWithRoot()
	build(s)
	result, err := beam.Run(ctx, runner, p)
	if ctx.Err() != nil {
		return metrics.QueryResults{}, ctx.Err()
	}
	if err != nil {
		return metrics.QueryResults{}, fmt.Errorf("pipelines: %s on the %s runner: %w", name, runner, rootCause(err))
	}
	if result == nil {
		return metrics.QueryResults{}, ErrNotRun
	}
	return result.Metrics().AllMetrics(), nil
}

// rootCause is what a DoFn said, without Beam's account of the plan around it.
func rootCause(err error) error {
	message := err.Error()
	at := strings.LastIndex(message, doFnFailed)
	if at < 0 {
		return err
	}
	return errors.New(strings.TrimSpace(message[at+len(doFnFailed):]))
}

// doFnFailed ends the line in which Beam names the DoFn that failed.
const doFnFailed = "] failed:\n"

// seconds sums a distribution of milliseconds.
func seconds(results metrics.QueryResults, namespace string) float64 {
	var total int64
	for _, d := range results.Distributions() {
		if d.Key.Namespace == namespace && d.Key.Name == "batch_milliseconds" {
			total += d.Result().Sum
		}
	}
	return float64(total) / 1000
}

// local is what DoFns in the driver's own process share with it. On other
// workers there is none, and they go without.
type local struct {
	ctx      context.Context
	progress func(Progress)
	err      atomic.Pointer[error]
	done     atomic.Int64 // elements that passed a watch
}

var (
	localRuns sync.Map // run number → *local
	runNumber atomic.Int64
)

// announce makes ctx and progress known to the process's DoFns under a number.
func announce(ctx context.Context, progress func(Progress)) (number int64, run *local, done func()) {
	number = runNumber.Add(1)
	run = &local{ctx: ctx, progress: progress}
	localRuns.Store(number, run)
	return number, run, func() { localRuns.Delete(number) }
}

// localRun is the run of that number, or nil on another machine.
func localRun(number int64) *local {
	if run, ok := localRuns.Load(number); ok {
		return run.(*local)
	}
	return nil
}
