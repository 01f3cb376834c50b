package flink_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/testing/flink"
)

// BenchmarkEngine runs one augmentation on each engine and splits its time into
// what the models took and the rest, which is the engine's. Where models run at
// once, on several workers, the rest comes out too small.
func BenchmarkEngine(b *testing.B) {
	dir, models := b.TempDir(), b.TempDir()
	local := flink.Product{Name: "prism"}
	local.Run(b, dir, "generate", "pointmaze", "--out", "maze.parquet", "--episodes", "400", "--seed", "5")
	local.Run(b, dir, with(training, "--models", models)...)
	b.Run("prism", func(b *testing.B) { augment(b, local, dir, models) })
	b.Run("embedded", func(b *testing.B) {
		augment(b, flink.Start(b, flink.Embedded).On("LOOPBACK"), dir, models)
	})
	for _, slots := range []int{1, 2} {
		b.Run("cluster/slots="+strconv.Itoa(slots), func(b *testing.B) {
			augment(b, flink.Start(b, flink.Cluster, "FLINK_SLOTS="+strconv.Itoa(slots)).On("PROCESS"), dir, models)
		})
	}
}

// augment attempts a thousand stitches.
func augment(b *testing.B, p flink.Product, dir, models string) {
	out := b.TempDir()
	memory := flink.Watch(b)
	var total, inModels float64
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		manifest := flink.RunJSON[snapshot.Manifest](b, p, dir, with([]string{
			"augment", "--models", models, "--out", filepath.Join(out, strconv.Itoa(i)),
			"--stitches", "1024", "--delta", "off", "--seed", "7",
		}, data...)...)
		total += time.Since(start).Seconds()
		inModels += modelSeconds(manifest)
	}
	b.ReportMetric(total/float64(b.N), "total-s")
	b.ReportMetric(inModels/float64(b.N), "models-s")
	b.ReportMetric((total-inModels)/float64(b.N), "rest-s")
	for role, kib := range memory() {
		b.ReportMetric(float64(kib)/1024, role+"-MiB")
	}
}

// modelSeconds is the time that models took on their devices, all workers
// together.
func modelSeconds(m snapshot.Manifest) (sum float64) {
	for _, d := range m.Metrics.Distributions {
		if strings.HasPrefix(d.Namespace, "inference.") && d.Name == "inference_batch_latency_micro_secs" {
			sum += 1e-6 * float64(d.Sum)
		}
	}
	return sum
}
