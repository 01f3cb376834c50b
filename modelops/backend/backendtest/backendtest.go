// Package backendtest runs numerical tests on every backend that is here.
package backendtest

import (
	"os"
	"strings"
	"testing"

	"github.com/gomlx/compute"

	"diffstitch/modelops/backend"
)

// ForEach runs the test on pure Go, and on XLA where a plugin loads; elsewhere
// that half is skipped and says so.
func ForEach(t *testing.T, test func(t *testing.T, engine compute.Backend)) {
	t.Helper()
	ForEachName(t, func(t *testing.T, name string) { test(t, Open(t, name)) })
}

// ForEachName is ForEach for what opens the backend itself.
func ForEachName(t *testing.T, test func(t *testing.T, name string)) {
	t.Helper()
	for _, name := range []string{backend.Go, backend.XLA} {
		t.Run(name, func(t *testing.T) {
			Open(t, name)
			test(t, name)
		})
	}
}

// Open returns a backend for a test or a benchmark, which is skipped where no XLA
// plugin loads; unless GOMLX_BACKEND names one, for then it has to load.
func Open(t testing.TB, name string) compute.Backend {
	t.Helper()
	engine, _, err := backend.Open(name)
	named := strings.HasPrefix(os.Getenv(compute.ConfigEnvVar), backend.XLA)
	if err != nil && name == backend.XLA && !named {
		t.Skipf("not run on XLA: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return engine
}
