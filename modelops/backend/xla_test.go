//go:build cgo && !noxla

package backend_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/compute"

	"diffstitch/modelops/backend"
)

// environment of a process of its own, in which TestReport reports.
const environment = "DIFFSTITCH_TEST_REPORT"

// TestReport prints what auto opens; other tests start it in a process of its
// own, since a process looks for plugins once.
func TestReport(t *testing.T) {
	if os.Getenv(environment) == "" {
		t.Skip("started by TestAutoFallsBack")
	}
	_, info, err := backend.Open(backend.Auto)
	t.Logf("kind %s, error %v, notice %s", info.Kind, err, info.Notice)
}

// TestAutoFallsBack takes pure Go where there is no plugin, or one that doesn't
// load, and says so in one line.
func TestAutoFallsBack(t *testing.T) {
	folder := t.TempDir()
	broken := filepath.Join(folder, "pjrt_c_api_cpu_plugin.so")
	if err := os.WriteFile(broken, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ variables, want []string }{
		"no plugin": {
			variables: []string{"PJRT_PLUGIN_LIBRARY_PATH=" + t.TempDir(), compute.ConfigEnvVar + "="},
			want:      []string{"notice no XLA plugin found", "backends install cpu"},
		},
		"broken plugin in the folder": {
			variables: []string{"PJRT_PLUGIN_LIBRARY_PATH=" + folder, compute.ConfigEnvVar + "="},
			want:      []string{"backends install cpu"},
		},
		"broken plugin named": {
			variables: []string{compute.ConfigEnvVar + "=xla:" + broken},
			want:      []string{"does not load", "backends install cpu"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			report := exec.Command(os.Args[0], "-test.run=^TestReport$", "-test.v")
			report.Env = append(append(os.Environ(), environment+"=1"), test.variables...)
			output, err := report.CombinedOutput()
			if err != nil {
				t.Fatalf("%v:\n%s", err, output)
			}
			for _, want := range append(test.want, "kind go, error <nil>") {
				if !strings.Contains(string(output), want) {
					t.Errorf("no %q in:\n%s", want, output)
				}
			}
		})
	}
}
