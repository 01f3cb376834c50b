// Package engine runs Beam pipelines on the runners that there are: prism and the
// direct runner in this process, Flink and Dataflow elsewhere. It settles, before
// any work is done, what a runner needs; tells a pipeline's progress while it runs;
// cancels what was interrupted; and has workers that nobody waits for any more give
// up.
package engine

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"diffstitch/modelops/backend"
	"diffstitch/pipelines/engine/embedded"
	"diffstitch/pipelines/failure"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	//lint:ignore SA1019 the direct runner stays a choice while Beam ships it
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" // --runner direct
)

// The runners in this process.
const (
	prism  = "prism"
	direct = "direct"
)

// Runners are those that a pipeline can run on, the default first. Prism and
// direct need no service beside this process.
var Runners = []string{prism, direct, flink, dataflow}

// Prepare fails, before any work is done, where a runner lacks something or
// cannot do what it is asked to.
func Prepare(ctx context.Context, runner string) error {
	switch {
	case !slices.Contains(Runners, runner):
		return fmt.Errorf("%w: unknown runner %q: it is one of %s", failure.ErrUsage, runner, strings.Join(Runners, ", "))
	case runner == flink:
		return prepareFlink(ctx)
	case runner == dataflow:
		return prepareDataflow()
	case runner == prism && *jobopts.Endpoint == "":
		return preparePrism()
	}
	return nil
}

// preparePrism fails where workers are asked for that this process's prism has not.
func preparePrism() error {
	if kind := *jobopts.EnvironmentType; kind != "" && !jobopts.IsLoopback() {
		return fmt.Errorf("%w: --environment_type %s: prism's workers live in this process, unless --endpoint names another's", failure.ErrUsage, kind)
	}
	_, err := embedded.Prism()
	return err
}

// InProcess says whether a runner's workers live in this process.
func InProcess(runner string) bool {
	return runner == prism || runner == direct || jobopts.IsLoopback()
}

// Backend says what runs the models. Workers elsewhere may have a device that
// this machine lacks, so there a backend named by its kind is taken at its word;
// auto is what this machine has, for all of them alike.
func Backend(name, runner string) (backend.Info, error) {
	if !InProcess(runner) && (name == backend.Go || name == backend.XLA) {
		return backend.Info{Name: name, Kind: name, Description: name + " on the workers"}, nil
	}
	_, info, err := backend.Open(name)
	return info, err
}

// Precise reports a precision that this machine's backend lacks, if that runs the models.
func Precise(name, runner string, p backend.Precision) error {
	if !InProcess(runner) {
		return nil
	}
	opened, _, err := backend.Open(name)
	if err != nil {
		return err
	}
	_, err = backend.SetPrecision(opened, p)
	return err
}

// runThis has the workers run this program.
func runThis() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("engine: finding this program, which the workers run: %w; give --worker_binary", err)
	}
	*jobopts.WorkerBinary = self
	return nil
}
