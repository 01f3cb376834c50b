package flink_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/session"
	"diffstitch/testing/flink"

	"github.com/google/go-cmp/cmp"
)

// What is trained and made: little, in a few batches and parts.
var (
	data     = []string{"--data", "maze.parquet", "--backend", "go"}
	training = append([]string{"train", "--preset", "tiny", "--steps", "20", "--seed", "2"}, data...)
	stitches = append([]string{
		"augment", "--stitches", "40", "--batch", "16", "--candidates", "64", "--sampler-steps", "4", "--delta", "off",
		"--row-group-rows", "500", "--part-rows", "3000", "--seed", "7",
	}, data...)
)

// maze makes the small dataset in a new folder.
func maze(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	flink.Product{Name: "generate"}.Run(t, dir, "generate", "pointmaze", "--out", "maze.parquet", "--episodes", "40", "--seed", "5")
	return dir
}

// made is what a way of running the product made: models and D*.
type made struct {
	models map[string]string // hash by kind
	parts  []snapshot.Part
}

// times are how long it took, seconds.
type times struct{ train, augment float64 }

// makeAll trains, augments and verifies.
func makeAll(t *testing.T, p flink.Product, dir string) (m made, took times) {
	t.Helper()
	models, out := t.TempDir(), t.TempDir()
	start := time.Now()
	info := flink.RunJSON[session.Info](t, p, dir, append(training, "--models", models)...)
	took.train = time.Since(start).Seconds()
	m.models = map[string]string{}
	for kind, model := range info.Models {
		m.models[string(kind)] = model.Hash
	}
	start = time.Now()
	manifest := flink.RunJSON[snapshot.Manifest](t, p, dir, append(stitches, "--models", models, "--out", out)...)
	took.augment = time.Since(start).Seconds()
	m.parts = manifest.Parts
	if manifest.Stitched.Episodes != 40 || len(m.parts) < 2 {
		t.Errorf("%s: D* has %d stitched episodes in %d parts", p.Name, manifest.Stitched.Episodes, len(m.parts))
	}
	flink.Product{Name: "verify"}.Run(t, dir, "inspect", "--verify", out)
	return m, took
}

func TestSameModelsAndDatasetOnEveryRunner(t *testing.T) {
	if os.Getenv("DIFFSTITCH_FLINK") == "" {
		t.Skip("this runs real engines: make flink-test, or make flink-test FLINK=embedded")
	}
	dir := maze(t)
	want, _ := makeAll(t, flink.Product{Name: "prism"}, dir)
	for _, p := range []flink.Product{
		{Name: "prism, 1 processor", Env: []string{"GOMAXPROCS=1"}},
		{Name: "prism, 8 processors", Env: []string{"GOMAXPROCS=8"}},
		{Name: "direct", Flags: []string{"--runner", "direct"}},
	} {
		t.Run(p.Name, func(t *testing.T) { compare(t, want, p, dir) })
	}
	t.Run("Flink embedded", func(t *testing.T) {
		compare(t, want, flink.Start(t, flink.Embedded).On("LOOPBACK"), dir)
	})
	t.Run("Flink cluster", func(t *testing.T) {
		compare(t, want, flink.Start(t, flink.Cluster, "FLINK_SLOTS=2").On("PROCESS"), dir)
	})
}

// compare makes all again in another way, and prints what it cost.
func compare(t *testing.T, want made, p flink.Product, dir string) {
	t.Helper()
	memory := flink.Watch(t)
	got, took := makeAll(t, p, dir)
	if d := cmp.Diff(want, got, cmp.AllowUnexported(made{})); d != "" {
		t.Errorf("%s makes something else than prism (-want +got):\n%s", p.Name, d)
	}
	t.Logf("%s: train %.1f s, augment %.1f s%s", p.Name, took.train, took.augment, mebibytes(memory()))
}

func mebibytes(m flink.Memory) (text string) {
	for _, role := range slices.Sorted(maps.Keys(m)) {
		text += fmt.Sprintf(", %s %d MiB", role, m[role]>>10)
	}
	return text
}

// fails runs the product, which must exit with the code and say all the words.
func fails(t *testing.T, p flink.Product, dir string, code int, words []string, args ...string) {
	t.Helper()
	cmd := p.Command(t, dir, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	ended(t, cmd.Run(), code, said.String(), words...)
}

func ended(t *testing.T, err error, code int, said string, words ...string) {
	t.Helper()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("it ended with %v, want exit code %d", err, code)
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	last := lines[len(lines)-1]
	for _, word := range words {
		if !strings.Contains(last, word) {
			t.Errorf("its last line lacks %q:\n%s", word, said)
		}
	}
}

// spoilt adds a broken file to the dataset, which is then a folder.
func spoilt(t *testing.T) (dir string) {
	t.Helper()
	dir = maze(t)
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "data"), 0o755),
		os.Rename(filepath.Join(dir, "maze.parquet"), filepath.Join(dir, "data/maze.parquet")),
		os.WriteFile(filepath.Join(dir, "data/broken.parquet"), []byte("no Parquet"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// testErrors checks that what a worker says comes through.
func testErrors(t *testing.T, p flink.Product) {
	fails(t, p, spoilt(t), 3, []string{"1 of 2 files", "broken.parquet"},
		"train", "--data", "data", "--models", "models", "--preset", "tiny", "--backend", "go")
}

func TestErrorsOfWorkersComeThroughEmbedded(t *testing.T) {
	testErrors(t, flink.Start(t, flink.Embedded, "FLINK_RESTARTS=1").On("LOOPBACK"))
}

func TestCluster(t *testing.T) {
	cluster := flink.Start(t, flink.Cluster, "FLINK_RESTARTS=1")
	product := cluster.On("PROCESS")
	t.Run("errors of workers come through", func(t *testing.T) { testErrors(t, product) })
	t.Run("an interrupted driver stops its job", func(t *testing.T) {
		driver, said := longTraining(t, cluster, product)
		if err := driver.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		ended(t, driver.Wait(), 1, said.String(), "interrupted")
		eventually(t, "the job ended on the cluster", func() bool { return running(cluster.Jobs(t)) == "" })
	})
	t.Run("a job cancelled on the cluster is no success", func(t *testing.T) {
		driver, said := longTraining(t, cluster, product)
		cluster.Cancel(t, running(cluster.Jobs(t)))
		ended(t, driver.Wait(), 1, said.String(), "training", "CANCELLED")
	})
}

// longTraining starts a training that would take hours.
func longTraining(t *testing.T, cluster *flink.Flink, p flink.Product) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	driver := p.Command(t, maze(t), append(training, "--models", "models", "--steps", "10000000")...)
	said := &bytes.Buffer{}
	driver.Stderr = said
	if err := driver.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job ran", func() bool { return running(cluster.Jobs(t)) != "" })
	return driver, said
}

// running is a job that runs, or "".
func running(jobs map[string]string) (id string) {
	for job, state := range jobs {
		if state == "RUNNING" {
			return job
		}
	}
	return ""
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in two minutes it never came to be that " + what)
		}
	}
}
