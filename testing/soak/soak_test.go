// Package soak has streams of the real binary run for long, and looks at how fast they are
// and whether their memory stays what it is.
//
// It runs where DIFFSTITCH_SOAK says for how long: see `make soak`.
package soak

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/testing/fixture"
	"diffstitch/testing/flink"
)

const (
	duration = "DIFFSTITCH_SOAK"
	// A file comes each so often, with so many episodes.
	everyFile    = time.Second
	fileEpisodes = 2
	// everyLook is how often memory is looked at.
	everyLook = time.Second
	// growth is by how much of itself memory may grow from the second third of a soak to the
	// last: the collector of garbage moves it by as much.
	growth = 0.25
)

func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(duration))
	if err != nil {
		t.Skipf("set %s to how long streams are to run (make soak)", duration)
	}
	embedded := t.TempDir()
	t.Run("prism", func(t *testing.T) {
		t.Parallel()
		soak(t, flink.Product{Name: "prism"}, embedded, length, func(dir string) bool { return dir == embedded })
	})
	t.Run("Flink", func(t *testing.T) {
		t.Parallel()
		cluster := flink.Start(t, flink.Cluster, "FLINK_CHECKPOINTS=10s").On("PROCESS")
		soak(t, cluster, t.TempDir(), length, func(dir string) bool { return dir != embedded })
	})
}

// soak has files arrive in a folder for long, and a reader read all the while. It looks at
// the memory of processes that run in the folders that count.
func soak(t *testing.T, p flink.Product, dir string, length time.Duration, counts func(dir string) bool) {
	flink.Product{Name: "generate"}.Run(t, dir, "generate", "pointmaze", "--out", "maze.parquet", "--episodes", "40", "--seed", "5")
	flink.Product{Name: "train"}.Run(t, dir, "train", "--data", "maze.parquet", "--models", "models", "--steps", "40", "--seed", "2", "--backend", "go")
	feed := fixture.StartFeed(t, filepath.Join(dir, "live"), everyFile, fileEpisodes)
	running := p.Stream(t, dir, "--data", "live", "--models", "models", "--out", "out", "--window", "5s", "--poll", "500ms",
		"--batch", "16", "--candidates", "64", "--sampler-steps", "4", "--delta", "off", "--refine", "off", "--backend", "go", "--seed", "7")
	resident, reads := map[string][]int64{}, 0
	out := filepath.Join(dir, "out")
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(everyLook) {
		for role, kib := range flink.Resident(counts) {
			resident[role] = append(resident[role], kib)
		}
		if s, err := snapshot.Current(out); err == nil {
			reads++
			if err := s.Check(false); err != nil {
				t.Errorf("a reader sees %q: %v", s.ID, err)
			}
		}
	}
	files := feed.End()
	s := running.Drain(t)
	if s.Files != files {
		t.Errorf("%d of %d files are published", s.Files, files)
	}
	lost, doubled := feed.Check(t, out)
	t.Logf("%s, %v: %d files in %d windows, %.1f original and %.1f stitched episodes per second, from file to snapshot %.1f s in the median, %.1f s at 90%%, %.1f s at most; %d rows lost, %d doubled; %d reads",
		p.Name, length, s.Files, s.Windows, float64(s.Original.Episodes)/s.Seconds, float64(s.Stitched.Episodes)/s.Seconds, s.Latency.Median, s.Latency.P90, s.Latency.Max, lost, doubled, reads)
	for role, kib := range resident {
		checkFlat(t, role, kib)
	}
}

// checkFlat compares memory in the second third of a soak with that in the last.
func checkFlat(t *testing.T, role string, kib []int64) {
	third := len(kib) / 3
	if third < 10 {
		return // not a process of the stream's
	}
	before, after := median(kib[third:2*third]), median(kib[2*third:])
	t.Logf("%s: %d MiB in the second third, %d MiB in the last, %d MiB at most", role, before>>10, after>>10, slices.Max(kib)>>10)
	if float64(after) > (1+growth)*float64(before) {
		t.Errorf("the memory of the %s grows", role)
	}
}

func median(of []int64) int64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
