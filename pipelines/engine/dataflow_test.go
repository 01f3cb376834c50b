package engine

import (
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
)

func TestDataflowWorkersRunThisProgram(t *testing.T) {
	defer func(given string) { *jobopts.WorkerBinary = given }(*jobopts.WorkerBinary)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{"": self, "/opt/worker": "/opt/worker"} {
		*jobopts.WorkerBinary = given
		if err := prepareDataflow(); err != nil || *jobopts.WorkerBinary != want {
			t.Errorf("worker binary %q, want %q (%v)", *jobopts.WorkerBinary, want, err)
		}
	}
}
