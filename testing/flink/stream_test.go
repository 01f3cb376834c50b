package flink_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"diffstitch/pipelines/stream"
	"diffstitch/testing/fixture"
	"diffstitch/testing/flink"
)

const (
	checkpoints = "FLINK_CHECKPOINTS=2s"
	streamed    = 15 * time.Second // that files arrive
)

var live = []string{
	"stream", "--data", "live", "--models", "models", "--out", "out", "--window", "1s", "--poll", "100ms", "--json",
	"--batch", "8", "--candidates", "64", "--sampler-steps", "4", "--delta", "off", "--refine", "off", "--backend", "go", "--seed", "7",
}

func TestStreamEmbedded(t *testing.T) {
	testStream(t, flink.Start(t, flink.Embedded, checkpoints).On("LOOPBACK"), nil)
}

func TestStreamOnCluster(t *testing.T) {
	cluster := flink.Start(t, flink.Cluster, checkpoints)
	testStream(t, cluster.On("PROCESS"), func() {
		for _, job := range cluster.Jobs(t) {
			if strings.Contains(job.Name, "streaming") {
				done := cluster.Checkpoints(t, job.ID)
				t.Logf("the job %s took %d checkpoints", job.ID, done)
				if done == 0 {
					t.Error("no checkpoint was completed")
				}
				return
			}
		}
		t.Error("the cluster knows no streaming job")
	})
}

// testStream has files arrive while a stream runs, and drains it: each row that came is in D*,
// once. Before it is drained, look looks at the engine.
func testStream(t *testing.T, p flink.Product, look func()) {
	dir := maze(t)
	flink.Product{Name: "prism"}.Run(t, dir, with(training, "--models", "models")...)
	feed := fixture.StartFeed(t, filepath.Join(dir, "live"), 300*time.Millisecond, 4)
	cmd := p.Command(t, dir, live...)
	var said, printed bytes.Buffer
	cmd.Stderr, cmd.Stdout = &said, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(streamed)
	files := feed.End()
	if look != nil {
		look()
	}
	summary := drain(t, cmd, &printed, &said)
	if summary.Files != files {
		t.Errorf("%d of %d files are published", summary.Files, files)
	}
	feed.Check(t, filepath.Join(dir, "out"))
	t.Logf("%s: %d files in %d windows; %.1f original episodes per second; latency %+v s", p.Name, summary.Files, summary.Windows,
		float64(summary.Original.Episodes)/summary.Seconds, summary.Latency)
}

// drain asks a stream to end, which must go well.
func drain(t *testing.T, cmd *exec.Cmd, printed, said *bytes.Buffer) (s stream.Summary) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() }) // the test fails then
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the stream did not end well: %v\n%s", err, said)
	}
	if err := json.Unmarshal(printed.Bytes(), &s); err != nil {
		t.Fatalf("%v: %s", err, strconv.Quote(printed.String()))
	}
	return s
}
