package engine

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"diffstitch/pipelines/failure"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/dataflow" // --runner dataflow
)

// dataflow is the runner that hands jobs to Google Cloud Dataflow.
const dataflow = "dataflow"

// prepareDataflow has the workers run this program, where they can and no other
// is named. It fails where accelerators are asked for in two ways, which Dataflow
// refuses after everything is staged.
func prepareDataflow() error {
	if *jobopts.WorkerBinary == "" && runtime.GOOS+"/"+runtime.GOARCH == "linux/amd64" {
		if err := runThis(); err != nil {
			return err
		}
	}
	hinted := slices.ContainsFunc(jobopts.ResourceHints, func(hint string) bool {
		return strings.Contains(hint, "accelerator")
	})
	options := flag.Lookup("dataflow_service_options").Value.String()
	if hinted && strings.Contains(options, "worker_accelerator") {
		return fmt.Errorf("%w: an accelerator is asked for by --resource_hints and by --dataflow_service_options: leave one of them out", failure.ErrUsage)
	}
	return nil
}
