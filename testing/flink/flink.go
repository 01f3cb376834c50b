// Package flink runs a Flink for tests, by the scripts of deploy/flink: inside
// Beam's job server or as a cluster of processes that can be killed, with their
// memory measured.
package flink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"diffstitch/testing/fixture"
)

// Kinds of Flink.
const (
	Embedded = "embedded" // inside the job server
	Cluster  = "cluster"  // JobManager and TaskManager as processes of their own
)

// Processes of a cluster; an embedded Flink is in its job server.
const (
	JobServer   = "jobserver"
	JobManager  = "jobmanager"
	TaskManager = "taskmanager"
)

// kinds names the environment variable that says which Flinks tests may start.
const kinds = "DIFFSTITCH_FLINK"

// Flink is a running Flink that Start brought up.
type Flink struct {
	Kind     string
	Endpoint string // of the job server

	dir      string // of logs and process ids
	rest     string // of the JobManager
	settings []string
}

// Start brings up a Flink for the length of a test, which is skipped unless
// DIFFSTITCH_FLINK names the kind or says all. The settings are those of
// flink.sh, as in "FLINK_SLOTS=1".
func Start(t testing.TB, kind string, settings ...string) *Flink {
	t.Helper()
	if asked := os.Getenv(kinds); asked != kind && asked != "all" {
		t.Skipf("%s=%q does not ask for the kind %s of Flink; make flink-test does", kinds, asked, kind)
	}
	dir, port, rest := t.TempDir(), freePort(t), freePort(t)
	f := &Flink{
		Kind: kind, dir: dir, Endpoint: "127.0.0.1:" + port, rest: "127.0.0.1:" + rest,
		settings: append([]string{
			"FLINK_DIR=" + dir, "FLINK_PORT=" + port, "FLINK_REST_PORT=" + rest, "FLINK_RPC_PORT=" + freePort(t),
		}, settings...),
	}
	t.Cleanup(func() {
		if t.Failed() {
			f.logTails(t)
		}
		f.Script(t, "stop")
	})
	f.Script(t, "start", kind)
	return f
}

// freePort is a port of the loopback that nothing listens on.
func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// Script runs flink.sh on this Flink, as in Script(t, "start", TaskManager).
func (f *Flink) Script(t testing.TB, args ...string) {
	t.Helper()
	script := exec.Command(filepath.Join(fixture.Root(t), "deploy/flink/flink.sh"), args...)
	script.Env = append(os.Environ(), f.settings...)
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// ClearArtifacts removes the programs that jobs brought along, which nothing else
// does. No job must be running.
func (f *Flink) ClearArtifacts(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(f.dir, "tmp", "artifacts")); err != nil {
		t.Fatal(err)
	}
}

// PID is the number of a running process of this Flink.
func (f *Flink) PID(t testing.TB, process string) int {
	t.Helper()
	line, err := os.ReadFile(filepath.Join(f.dir, "pid", process))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// Kill ends a process as a crash would; its workers are left to themselves.
func (f *Flink) Kill(t testing.TB, process string) {
	t.Helper()
	pid := f.PID(t, process)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("killing the %s: %v", process, err)
	}
	for syscall.Kill(pid, 0) == nil { // it takes the kernel a while
		time.Sleep(10 * time.Millisecond)
	}
}

// Job is a job as a cluster sees it.
type Job struct {
	ID    string `json:"jid"`
	Name  string `json:"name"` // holds that of the pipeline, such as "stitching"
	State string `json:"state"`
}

// Jobs are a cluster's jobs, those that have ended too.
func (f *Flink) Jobs(t testing.TB) []Job {
	t.Helper()
	response, err := http.Get("http://" + f.rest + "/jobs/overview")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body struct{ Jobs []Job }
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return body.Jobs
}

// Checkpoints counts those that a job of a cluster has completed.
func (f *Flink) Checkpoints(t testing.TB, job string) int {
	t.Helper()
	response, err := http.Get(fmt.Sprintf("http://%s/jobs/%s/checkpoints", f.rest, job))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body struct{ Counts struct{ Completed int } }
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return body.Counts.Completed
}

// Cancel asks a cluster to cancel a job, as its web page does.
func (f *Flink) Cancel(t testing.TB, job string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, fmt.Sprintf("http://%s/jobs/%s?mode=cancel", f.rest, job), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("cancelling job %s: %s", job, response.Status)
	}
}

// logTails shows the ends of the logs, where a failure's cause is.
func (f *Flink) logTails(t testing.TB) {
	t.Helper()
	const lines = 40
	logs, err := filepath.Glob(filepath.Join(f.dir, "log", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		all := bytes.Split(text, []byte("\n"))
		t.Logf("the end of %s:\n%s", path, bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
	}
}
