// Package bench measures whole paths: stitching by batch size, Beam's overhead
// per element, and the memory of reading and planning at scale. `make bench` runs
// it beside io/dataset's benchmarks; docs/benchmarks.md says how to read it.
package bench

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/session"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/train"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.Function1x1(identity)
	register.DoFn2x1[int, func(*int64) bool, int](&countFn{})
	register.Iter1[int64]()
}

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	os.Exit(m.Run())
}

func identity(n int64) int64 { return n }

// countFn ends a pipeline: the bundle before it has an output.
type countFn struct{}

func (*countFn) ProcessElement(_ int, values func(*int64) bool) (n int) {
	for v := int64(0); values(&v); {
		n++
	}
	return n
}

func count(s beam.Scope, values beam.PCollection) {
	beam.ParDo(s, &countFn{}, beam.GroupByKey(s, beam.AddFixedKey(s, values)))
}

// trained makes the maze's dataset and barely trained tiny models: speed does
// not depend on how good they are.
func trained(b *testing.B, backend string) (data, models string) {
	b.Helper()
	dir := b.TempDir()
	data, models = filepath.Join(dir, "maze.parquet"), filepath.Join(dir, "models")
	if _, err := exchange.GeneratePointMaze(b.Context(), exchange.GenerateOptions{Out: data, Episodes: 100, Seed: 1}); err != nil {
		b.Fatal(err)
	}
	_, err := train.Run(b.Context(), train.Options{
		Data: input.Data{Path: data}, Models: models, Preset: "tiny", Steps: 5, Backend: backend, Runner: "prism",
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return data, models
}

// backendName is the engine to measure: DIFFSTITCH_BENCH_BACKEND, or pure Go.
func backendName() string {
	if name := os.Getenv("DIFFSTITCH_BENCH_BACKEND"); name != "" {
		return name
	}
	return "go"
}

var batches = []int{16, 64, 256}

func BenchmarkStitching(b *testing.B) {
	data, models := trained(b, backendName())
	for _, batch := range batches {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			o := augment.DefaultOptions()
			o.Refine = method.RefineOff
			o.Data, o.Models, o.Backend = input.Data{Path: data}, models, backendName()
			o.Stitches, o.Batch, o.Delta = 512, batch, method.Delta{Off: true}
			for b.Loop() {
				o.Out = filepath.Join(b.TempDir(), "out")
				if _, err := augment.Run(b.Context(), o, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(o.Stitches)*float64(b.N)/b.Elapsed().Seconds(), "stitches/s")
		})
	}
}

func BenchmarkDenoiserForward(b *testing.B) {
	const steps = 20
	_, models := trained(b, backendName())
	for _, batch := range batches {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s, err := session.Shared(session.Options{
				Dir: models, Backend: backendName(), Batch: batch, Sampler: diffusion.Sampler{Kind: diffusion.DDIM, Steps: steps},
			})
			if err != nil {
				b.Fatal(err)
			}
			info := s.Info()
			known, mask := make([]float32, batch*info.Horizon*info.ObservationDim), make([]float32, batch*info.Horizon)
			sample := func() {
				if _, err := s.Sample(known, mask, make([]uint64, batch)); err != nil {
					b.Fatal(err)
				}
			}
			sample() // compiles
			for b.Loop() {
				sample()
			}
			b.ReportMetric(float64(steps*batch)*float64(b.N)/b.Elapsed().Seconds(), "forwards/s")
		})
	}
}

func BenchmarkBeamElement(b *testing.B) {
	const elements = 20_000
	values := make([]int64, elements)
	steps := map[string]func(beam.Scope, beam.PCollection) beam.PCollection{
		"map":       func(s beam.Scope, c beam.PCollection) beam.PCollection { return beam.ParDo(s, identity, c) },
		"reshuffle": beam.Reshuffle,
	}
	for _, runner := range engine.Runners {
		run := func(b *testing.B, times int, step func(beam.Scope, beam.PCollection) beam.PCollection) {
			p, s := beam.NewPipelineWithRoot()
			c := beam.CreateList(s, values)
			for range times {
				c = step(s, c)
			}
			count(s, c)
			if _, err := beam.Run(b.Context(), runner, p); err != nil {
				b.Fatal(err)
			}
		}
		for name, step := range steps {
			for _, times := range []int{0, 4} {
				b.Run(fmt.Sprintf("%s/%s×%d", runner, name, times), func(b *testing.B) {
					for b.Loop() {
						run(b, times, step)
					}
					b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(elements*b.N), "µs/element")
				})
			}
		}
	}
}

// BenchmarkPlanning reads 1 M transitions and plans 100 k pairs. The peak is the
// whole process's, so run it alone.
func BenchmarkPlanning(b *testing.B) {
	path := filepath.Join(b.TempDir(), "million.parquet")
	shape := fixture.Shape{Episodes: 10_000, MaxSteps: 200, ObservationDim: 17, ActionDim: 6}
	if err := writeWalks(path, shape); err != nil {
		b.Fatal(err)
	}
	in := datasetio.Input{Files: []string{path}}
	width := datasetio.Shape{ObservationDim: shape.ObservationDim, ActionDim: shape.ActionDim}
	for b.Loop() {
		p, s := beam.NewPipelineWithRoot()
		dir := b.TempDir()
		scanned, _ := datasetio.Scan(s, in, width, trajectory.Scoring{Kind: trajectory.ScoreReturn}, dir)
		datasetio.WriteRecords[datasetio.Scanned](s, filepath.Join(dir, scannedFile), scanned)
		if _, err := beam.Run(b.Context(), "prism", p); err != nil {
			b.Fatal(err)
		}
		plan(b, dir)
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(usage.Maxrss)/1024, "peak-MiB")
}

const scannedFile = "scanned.parquet"

// plan ranks the episodes that were scanned, and plans pairs of them.
func plan(b *testing.B, dir string) {
	b.Helper()
	scanned, err := datasetio.LoadRecords[datasetio.Scanned](filepath.Join(dir, scannedFile))
	if err != nil {
		b.Fatal(err)
	}
	metas, err := datasetio.LoadScanned(dir, scanned)
	if err != nil {
		b.Fatal(err)
	}
	pools, err := rank.Split(rank.Config{Low: 0.7, High: 0.9}, metas)
	if err != nil {
		b.Fatal(err)
	}
	plan := pair.Config{Strategy: pair.Reference, Count: 100_000, BatchSize: 64, Candidates: 2048}
	for batches := range plan.Plan(pools) {
		if len(batches) == 0 {
			b.Fatal("an empty partition")
		}
	}
}

func writeWalks(path string, shape fixture.Shape) error {
	return storage.WriteWhole(path, func(w io.Writer) error {
		out, err := dataset.NewWriter(w, dataset.WriterConfig{ObservationDim: shape.ObservationDim, ActionDim: shape.ActionDim})
		if err != nil {
			return err
		}
		one := shape
		one.Episodes = 1
		for i := range shape.Episodes {
			e := fixture.RandomWalks(one, uint64(i))[0]
			e.ID = int64(i)
			if err := out.Write(e); err != nil {
				return err
			}
		}
		return out.Close()
	})
}
