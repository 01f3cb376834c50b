package pipelines

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"diffstitch/modelops/backend"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/dataflow" // --runner dataflow
)

// dataflow is the runner that hands jobs to Google Cloud Dataflow.
const dataflow = "dataflow"

// ErrNotRun is returned where the runner was asked to build its jobs alone, as
// Dataflow's --dry_run and --template_location do.
var ErrNotRun = errors.New("the jobs were built, and none was run")

// prepareDataflow has the workers run this program, where they can and no other
// is named. It fails where accelerators are asked for in two ways, which Dataflow
// refuses after everything is staged.
func prepareDataflow() error {
	if *jobopts.WorkerBinary == "" && runtime.GOOS+"/"+runtime.GOARCH == "linux/amd64" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("pipelines: finding this program, which the workers run: %w; give --worker_binary", err)
		}
		*jobopts.WorkerBinary = self
	}
	hinted := slices.ContainsFunc(jobopts.ResourceHints, func(hint string) bool {
		return strings.Contains(hint, "accelerator")
	})
	options := flag.Lookup("dataflow_service_options").Value.String()
	if hinted && strings.Contains(options, "worker_accelerator") {
		return fmt.Errorf("%w: an accelerator is asked for by --resource_hints and by --dataflow_service_options: leave one of them out", ErrUsage)
	}
	return nil
}

// inProcess says whether a runner's workers live in this process.
func inProcess(runner string) bool {
	return runner == "prism" || runner == "direct" || jobopts.IsLoopback()
}

// openEngine says what runs the models. Workers elsewhere may have a device that
// this machine lacks, so there a backend named by its kind is taken at its word;
// auto is what this machine has, for all of them alike.
func openEngine(name, runner string) (backend.Info, error) {
	if !inProcess(runner) && (name == backend.Go || name == backend.XLA) {
		return backend.Info{Name: name, Kind: name, Description: name + " on the workers"}, nil
	}
	_, info, err := backend.Open(name)
	return info, err
}
