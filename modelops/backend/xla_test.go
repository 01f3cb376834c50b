//go:build cgo && !noxla

package backend_test

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/backend/executables"
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

// TestCompiles compiles a graph and says what came of it; TestKept starts it.
func TestCompiles(t *testing.T) {
	if os.Getenv(environment) == "" {
		t.Skip("started by TestKept")
	}
	engine := backendtest.Open(t, backend.XLA)
	scale := os.Getenv("DIFFSTITCH_TEST_SCALE")
	compiled := graph.MustNewExec(engine, func(x *graph.Node) *graph.Node {
		return graph.ReduceAllSum(graph.MulScalar(graph.Tanh(x), float32(len(scale))))
	})
	sum := compiled.MustCall1([]float32{0.25, 0.5})
	kept, anew := executables.Counts()
	t.Logf("sum %x, %d from files, %d compiled", math.Float32bits(tensors.ToScalar[float32](sum)), kept, anew)
}

// TestKept: a second process compiles nothing that the first one did, and finds the same;
// another graph is compiled, and so is one whose file was damaged.
func TestKept(t *testing.T) {
	backendtest.Open(t, backend.XLA)
	cache := t.TempDir()
	compile := func(scale string) string {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run=^TestCompiles$", "-test.v")
		cmd.Env = append(os.Environ(), environment+"=1", "DIFFSTITCH_TEST_SCALE="+scale, "XDG_CACHE_HOME="+cache)
		output, err := cmd.CombinedOutput()
		_, said, found := strings.Cut(string(output), "sum ")
		if err != nil || !found {
			t.Fatalf("%v:\n%s", err, output)
		}
		said, _, _ = strings.Cut(said, "\n")
		return said
	}
	first, second, other := compile("a"), compile("a"), compile("aa")
	if !strings.HasSuffix(first, "0 from files, 1 compiled") || !strings.HasSuffix(second, "1 from files, 0 compiled") {
		t.Errorf("first %s, then %s", first, second)
	}
	if first[:8] != second[:8] || first[:8] == other[:8] || !strings.HasSuffix(other, "0 from files, 1 compiled") {
		t.Errorf("first %s, then %s; the other graph %s", first, second, other)
	}
	files, err := filepath.Glob(filepath.Join(cache, "diffstitch", "executables", "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v, error %v", files, err)
	}
	for _, file := range files {
		if err := os.Truncate(file, 100); err != nil {
			t.Fatal(err)
		}
	}
	if again := compile("a"); again != first {
		t.Errorf("where the file is damaged: %s, want %s", again, first)
	}
}
