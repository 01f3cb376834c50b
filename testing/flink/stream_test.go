package flink_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diffstitch/testing/fixture"
	"diffstitch/testing/flink"
)

const (
	checkpoints = "FLINK_CHECKPOINTS=2s"
	streamed    = 15 * time.Second // that files arrive
)

var live = []string{
	"--data", "live", "--models", "models", "--out", "out", "--window", "1s", "--poll", "100ms",
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
	running := p.Stream(t, dir, live...)
	time.Sleep(streamed)
	files := feed.End()
	if look != nil {
		look()
	}
	summary := running.Drain(t)
	if summary.Files != files {
		t.Errorf("%d of %d files are published", summary.Files, files)
	}
	feed.Check(t, filepath.Join(dir, "out"))
	t.Logf("%s: %d files in %d windows; %.1f original episodes per second; latency %+v s", p.Name, summary.Files, summary.Windows,
		float64(summary.Original.Episodes)/summary.Seconds, summary.Latency)
}
