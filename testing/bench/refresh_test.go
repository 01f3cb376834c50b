package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"diffstitch/io/snapshot"
)

// BenchmarkRefresh adds 5 % to a dataset of the built-in maze, and compares refreshes with
// the whole made anew, models too, in time; and D* with that of augment by the same models,
// to the hash.
func BenchmarkRefresh(b *testing.B) {
	binary := os.Getenv(binaryVariable)
	if binary == "" {
		b.Skipf("%s names no program: make bench-refresh does", binaryVariable)
	}
	const days = 20
	data, models := b.TempDir(), b.TempDir()
	day := func(i int) {
		execute(b, binary, "generate", "pointmaze", "--out", filepath.Join(data, fmt.Sprintf("day-%02d.parquet", i)), "--episodes", "30", "--seed", fmt.Sprint(i))
	}
	for i := range days - 1 {
		day(i)
	}
	train := []string{"train", "--data", data, "--seed", "1"}
	stitch := []string{"--data", data, "--stitches", "1024", "--seed", "1"}
	execute(b, binary, slices.Concat(train, []string{"--models", models})...)
	moving := b.TempDir()
	if err := os.CopyFS(moving, os.DirFS(models)); err != nil {
		b.Fatal(err)
	}
	kept, trained, anew := b.TempDir(), b.TempDir(), b.TempDir()
	timed := func(args ...string) float64 {
		start := time.Now()
		execute(b, binary, args...)
		return time.Since(start).Seconds()
	}
	augment := func(models, out string) float64 {
		return timed(slices.Concat([]string{"augment", "--models", models, "--out", out}, stitch)...)
	}
	refresh := func(models, out string, more ...string) float64 {
		return timed(slices.Concat([]string{"refresh", "--models", models, "--out", out, "--min-acceptance", "0", "--tolerance", "0.9"}, stitch, more)...)
	}
	for b.Loop() {
		refresh(models, kept)
		refresh(moving, trained)
		day(days - 1)
		full := timed(slices.Concat(train, []string{"--models", filepath.Join(anew, "models")})...)
		full += augment(filepath.Join(anew, "models"), filepath.Join(anew, "out"))
		b.ReportMetric(full, "rebuild-s")
		b.ReportMetric(refresh(models, kept)/full, "refresh/rebuild")
		same := filepath.Join(anew, "same")
		augment(models, same)
		if got, want := hashes(b, kept), hashes(b, same); !slices.Equal(got, want) {
			b.Errorf("refresh makes %q, augment %q", got, want)
		}
		b.ReportMetric(refresh(moving, trained, "--retrain", "always")/full, "retrain/rebuild")
		b.ReportMetric(refresh(models, kept)/full, "nothing/rebuild")
	}
}

// hashes are those of the files of a published D*.
func hashes(b *testing.B, out string) (sums []string) {
	b.Helper()
	s, err := snapshot.Current(out)
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range s.Manifest.Parts {
		sums = append(sums, p.SHA256)
	}
	return sums
}
