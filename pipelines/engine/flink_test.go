package engine

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/pipelines/failure"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/google/go-cmp/cmp"
)

// workerFlags sets Beam's flags for the length of a test.
func workerFlags(t *testing.T, endpoint, kind, config, binary string) {
	t.Helper()
	for flag, value := range map[*string]string{
		jobopts.Endpoint: endpoint, jobopts.EnvironmentType: kind, jobopts.EnvironmentConfig: config, jobopts.WorkerBinary: binary,
	} {
		before := *flag
		t.Cleanup(func() { *flag = before })
		*flag = value
	}
}

// listening is the address of something that takes connections.
func listening(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func TestFlinkSaysWhatItLacks(t *testing.T) {
	const nobody = "127.0.0.1:9" // the discard service
	boot := `{"command":"/opt/apache/beam/boot"}`
	for name, test := range map[string]struct {
		endpoint, kind, config, binary string
		says                           string
		usage                          bool
	}{
		"no endpoint":             {says: "--endpoint", usage: true},
		"nobody answers":          {endpoint: nobody, kind: "LOOPBACK", says: "no job server answers at --endpoint " + nobody},
		"no boot program":         {endpoint: nobody, says: "make boot", usage: true},
		"command that is none":    {endpoint: nobody, config: "boot", says: `{"command":`, usage: true},
		"no such worker binary":   {endpoint: nobody, config: boot, binary: "nothing", says: "make build", usage: true},
		"pool without an address": {endpoint: nobody, kind: "external", says: "--environment_config HOST:PORT", usage: true},
		"unknown environment":     {endpoint: nobody, kind: "thread", says: "unknown --environment_type THREAD", usage: true},
	} {
		t.Run(name, func(t *testing.T) {
			workerFlags(t, test.endpoint, test.kind, test.config, test.binary)
			err := Prepare(t.Context(), flink)
			if err == nil || !strings.Contains(err.Error(), test.says) || errors.Is(err, failure.ErrUsage) != test.usage {
				t.Errorf("error %v, want one that says %q, of wrong usage: %v", err, test.says, test.usage)
			}
		})
	}
}

func TestFlinkFillsInWhatWorkersNeed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	boot := filepath.Join(filepath.Dir(self), "boot")
	if err := os.WriteFile(boot, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(boot)
	t.Setenv("GOMLX_BACKEND", "go:")
	workerFlags(t, listening(t), "", "", "")
	if err := Prepare(t.Context(), flink); err != nil {
		t.Fatal(err)
	}
	if *jobopts.EnvironmentType != "PROCESS" || *jobopts.WorkerBinary != self {
		t.Errorf("workers are %q of %q", *jobopts.EnvironmentType, *jobopts.WorkerBinary)
	}
	var config struct {
		Command string
		Env     map[string]string
	}
	if err := json.Unmarshal([]byte(*jobopts.EnvironmentConfig), &config); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{boot, "go:"}, []string{config.Command, config.Env["GOMLX_BACKEND"]}); d != "" {
		t.Error(d)
	}
}
