package bench

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	"diffstitch/testing/flink"
)

const (
	// binaryVariable names the program to measure, and flagsVariable more flags
	// for it, such as those of another runner.
	binaryVariable = "DIFFSTITCH_BENCH_BINARY"
	flagsVariable  = "DIFFSTITCH_BENCH_FLAGS"
	// episodeSteps and fileSteps are the transitions of an episode and a file.
	episodeSteps = 200
	fileSteps    = 2_000_000
)

// BenchmarkMemory plans and augments datasets of several sizes, made for it, and
// reports the peak memory of the driver, which with prism is all there is, and
// of the largest worker.
func BenchmarkMemory(b *testing.B) {
	binary := os.Getenv(binaryVariable)
	if binary == "" {
		b.Skipf("%s names no program: make bench-memory does", binaryVariable)
	}
	models, sample := b.TempDir(), b.TempDir()
	makeSteps(b, sample, 20_000)
	execute(b, binary, "train", "--data", sample, "--models", models, "--preset", "tiny", "--steps", "5", "--backend", "go")
	for _, millions := range []int{2, 5, 20} {
		b.Run(fmt.Sprintf("%dM", millions), func(b *testing.B) {
			data, out := b.TempDir(), b.TempDir()
			makeSteps(b, data, millions*1_000_000)
			run := []string{
				"augment", "--data", data, "--models", models, "--out", out, "--backend", "go",
				"--stitches", "512", "--sampler-steps", "2", "--delta", "off",
			}
			run = append(run, strings.Fields(os.Getenv(flagsVariable))...)
			for b.Loop() {
				for name, flag := range map[string]string{"plan": "--plan-only", "augment": "--plan-only=false"} {
					driver, worker := execute(b, binary, append(run, flag)...)
					b.ReportMetric(float64(driver)/1024, name+"-MiB")
					if worker > 0 {
						b.ReportMetric(float64(worker)/1024, name+"-worker-MiB")
					}
				}
			}
		})
	}
}

// makeSteps fills a folder with files of random walks.
func makeSteps(b *testing.B, dir string, steps int) {
	b.Helper()
	for file, id := 0, int64(0); steps > 0; file++ {
		n := min(steps, fileSteps)
		if err := makeFile(filepath.Join(dir, fmt.Sprintf("walks-%02d.parquet", file)), id, n/episodeSteps); err != nil {
			b.Fatal(err)
		}
		id += int64(n / episodeSteps)
		steps -= n
	}
}

func makeFile(path string, first int64, episodes int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out, err := dataset.NewWriter(f, dataset.WriterConfig{ObservationDim: 4, ActionDim: 2})
	if err != nil {
		return err
	}
	for i := range episodes {
		if err := out.Write(walk(first + int64(i))); err != nil {
			return err
		}
	}
	return out.Close()
}

// walk is an episode whose values take few bits, so that the disk holds many.
func walk(id int64) *trajectory.Episode {
	rng := rand.New(rand.NewPCG(uint64(id), 1))
	e := &trajectory.Episode{ID: id, ObservationDim: 4, ActionDim: 2}
	var state [4]float32
	small := func() float32 { return float32(rng.IntN(33)-16) / 64 }
	for range episodeSteps {
		e.Observations = append(e.Observations, state[:]...)
		e.Actions = append(e.Actions, small(), small())
		e.Rewards = append(e.Rewards, small())
		for i := range state {
			state[i] += small()
		}
	}
	e.FinalObservation = state[:]
	return e
}

// execute runs the program, and gives its peak memory and that of the largest
// worker, 0 where the workers are in its own process, in KiB.
func execute(b *testing.B, binary string, args ...string) (own, worker int64) {
	b.Helper()
	run := exec.CommandContext(b.Context(), binary, args...)
	run.Env = append(os.Environ(), "GOMLX_NO_AUTO_INSTALL=1")
	var said bytes.Buffer
	run.Stdout, run.Stderr = &said, &said
	past := workers() // of other jobs, which a cluster keeps for a while
	if err := run.Start(); err != nil {
		b.Fatal(err)
	}
	end := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			for path := range workers() {
				if !past[path] {
					worker = max(worker, flink.Peak(path))
				}
			}
			select {
			case <-end:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	err := run.Wait()
	close(end)
	watching.Wait()
	if err != nil {
		b.Fatalf("%s: %v\n%s", run, err, said.String())
	}
	return run.ProcessState.SysUsage().(*syscall.Rusage).Maxrss, worker
}

// workers are the folders in /proc of Beam's workers. Processes that end meanwhile
// are passed over.
func workers() map[string]bool {
	found := map[string]bool{}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well formed
	for _, path := range lines {
		if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte("--worker=true")) {
			found[filepath.Dir(path)] = true
		}
	}
	return found
}
