package layout_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"diffstitch/io/trajectory"

	"diffstitch/io/dataset"
)

// benchEpisodes are 100,000 transitions of 41 float32: 17 observations, 6
// actions, a reward and 17 next observations.
func benchEpisodes() []*trajectory.Episode {
	rng := rand.New(rand.NewPCG(1, 2))
	episodes := make([]*trajectory.Episode, 100)
	for i := range episodes {
		episodes[i] = randomEpisode(rng, int64(i), 1000, 17, 6)
	}
	return episodes
}

func randomEpisode(rng *rand.Rand, id int64, steps, observationDim, actionDim int) *trajectory.Episode {
	e := &trajectory.Episode{
		ID: id, ObservationDim: observationDim, ActionDim: actionDim,
		Observations:     normals(rng, steps*observationDim),
		Actions:          normals(rng, steps*actionDim),
		Rewards:          normals(rng, steps),
		FinalObservation: normals(rng, observationDim),
		End:              trajectory.End(rng.IntN(2)),
	}
	return e
}

func normals(rng *rand.Rand, n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(rng.NormFloat64())
	}
	return values
}

const benchBytes = 100_000 * 41 * 4

func benchFile(b *testing.B) string {
	b.Helper()
	path := os.Getenv("DIFFSTITCH_BENCH_FILE")
	if path == "" {
		path = filepath.Join(b.TempDir(), "bench.parquet")
	}
	writeFile(b, path, dataset.WriterConfig{ObservationDim: 17, ActionDim: 6}, benchEpisodes()...)
	return path
}

// writeFile writes episodes to path.
func writeFile(tb testing.TB, path string, config dataset.WriterConfig, episodes ...*trajectory.Episode) {
	tb.Helper()
	var buffer bytes.Buffer
	writeEpisodes(tb, &buffer, config, episodes...)
	if err := os.WriteFile(path, buffer.Bytes(), 0o644); err != nil {
		tb.Fatal(err)
	}
}

func writeEpisodes(tb testing.TB, out io.Writer, config dataset.WriterConfig, episodes ...*trajectory.Episode) {
	tb.Helper()
	w, err := dataset.NewWriter(out, config)
	if err != nil {
		tb.Fatal(err)
	}
	writeAll(tb, w, episodes)
}

// writeAll writes episodes and closes the writer.
func writeAll(tb testing.TB, w interface {
	Write(*trajectory.Episode) error
	Close() error
}, episodes []*trajectory.Episode) {
	tb.Helper()
	for _, e := range episodes {
		if err := w.Write(e); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
}

// reportCPU adds raw megabytes a CPU second, which a busy machine disturbs less
// than wall time. It is called before the loop, and what it returns after.
func reportCPU(b *testing.B) func() {
	before := cpuTime(b)
	return func() {
		spent := cpuTime(b) - before
		b.ReportMetric(float64(b.N)*benchBytes/1e6/spent.Seconds(), "MB/cpu-s")
	}
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkWriteCanonical(b *testing.B) {
	episodes := benchEpisodes()
	b.SetBytes(benchBytes)
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		writeEpisodes(b, io.Discard, dataset.WriterConfig{ObservationDim: 17, ActionDim: 6}, episodes...)
	}
}

func BenchmarkReadCanonical(b *testing.B) {
	path := benchFile(b)
	b.SetBytes(benchBytes)
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		f, err := dataset.Open(path, dataset.Options{})
		if err != nil {
			b.Fatal(err)
		}
		count := 0
		for item, err := range f.Episodes(b.Context()) {
			if err != nil || item.Reject != nil {
				b.Fatal(err, item.Reject)
			}
			count++
		}
		if count != 100 {
			b.Fatalf("read %d episodes", count)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFetch fetches episodes in a scattered order: from a file with a page
// index, and from one without, of which row groups are decoded.
func BenchmarkFetch(b *testing.B) {
	indexed := benchFile(b)
	b.Run("indexed", func(b *testing.B) { fetchScattered(b, indexed) })
	columns := transitionColumns(benchEpisodes()[:20], float32s)
	plain := writeTable(b, pick(columns, "episode_id", "observations", "actions", "rewards", "terminals"), 5000)
	b.Run("not indexed", func(b *testing.B) { fetchScattered(b, plain) })
}

func fetchScattered(b *testing.B, path string) {
	f := openFile(b, path, dataset.Options{})
	items := readAll(b, f)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 37) % len(items)
		if _, err := f.Fetch(items[i].Location); err != nil {
			b.Fatal(err)
		}
	}
}
