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
	training = with([]string{"train", "--preset", "tiny", "--steps", "20", "--seed", "2"}, data...)
	making   = with([]string{"augment", "--row-group-rows", "500", "--part-rows", "3000", "--seed", "7"}, data...)
	stitches = with(making,
		"--stitches", "80", "--batch", "16", "--candidates", "64", "--sampler-steps", "4", "--delta", "off")
	// augmentations by method; the models can do with some lenience.
	augmentations = map[string][]string{
		"diffstitch": stitches,
		"synther":    with(making, "--method", "synther", "--transitions", "700", "--batch", "96", "--heun-steps", "4"),
		"tatu":       with(making, "--method", "tatu", "--transitions", "700", "--batch", "48", "--truncation", "9"),
	}
)

// with adds arguments to some that others use too.
func with(args []string, more ...string) []string { return slices.Concat(args, more) }

// maze makes the small dataset in a new folder.
func maze(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	flink.Product{Name: "generate"}.Run(t, dir, "generate", "pointmaze", "--out", "maze.parquet", "--episodes", "40", "--seed", "5")
	return dir
}

// made is what a way of running the product made: models, and D* by each method.
type made struct {
	models map[string]string // hash by kind
	parts  map[string][]snapshot.Part
}

// seconds that things took.
type seconds map[string]float64

func (took seconds) String() (text string) {
	for _, what := range slices.Sorted(maps.Keys(took)) {
		text += fmt.Sprintf(", %s %.1f s", what, took[what])
	}
	return strings.TrimPrefix(text, ", ")
}

// makeAll trains, augments by each method and verifies.
func makeAll(t *testing.T, p flink.Product, dir string) (m made, took seconds) {
	t.Helper()
	models := t.TempDir()
	m, took = made{map[string]string{}, map[string][]snapshot.Part{}}, seconds{}
	start := time.Now()
	methods := strings.Join(slices.Sorted(maps.Keys(augmentations)), ",")
	info := flink.RunJSON[session.Info](t, p, dir, with(training, "--method", methods, "--models", models)...)
	took["train"] = time.Since(start).Seconds()
	for kind, model := range info.Models {
		m.models[string(kind)] = model.Hash
	}
	for method, args := range augmentations {
		start, out := time.Now(), t.TempDir()
		manifest := flink.RunJSON[snapshot.Manifest](t, p, dir, with(args, "--models", models, "--out", out)...)
		took[method] = time.Since(start).Seconds()
		m.parts[method] = manifest.Parts
		if manifest.Stitched.Episodes < 40 || len(manifest.Parts) < 2 {
			t.Errorf("%s: D* by %s has %d augmented episodes in %d parts", p.Name, method, manifest.Stitched.Episodes, len(manifest.Parts))
		}
		flink.Product{Name: "verify"}.Run(t, dir, "inspect", "--verify", out)
	}
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
	t.Logf("%s: %v%s", p.Name, took, mebibytes(memory()))
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
	dir := maze(t)
	flink.Product{Name: "prism"}.Run(t, dir, with(training, "--models", "models")...)
	endlessTraining := with(training, "--models", t.TempDir(), "--steps", "10000000")
	endlessStitching := with(stitches, "--models", "models", "--out", t.TempDir(), "--stitches", "200000")

	t.Run("errors of workers come through", func(t *testing.T) { testErrors(t, product) })
	for pipeline, args := range map[string][]string{"training": endlessTraining, "stitching": endlessStitching} {
		t.Run("interrupted "+pipeline+" ends", func(t *testing.T) {
			driver, said, job := begin(t, cluster, product, pipeline, dir, args...)
			if err := driver.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			ended(t, driver.Wait(), 1, said.String(), "interrupted")
			eventually(t, "the job ended on the cluster", func() bool { return !runs(t, cluster, job) })
		})
	}
	t.Run("a job cancelled on the cluster is no success", func(t *testing.T) {
		driver, said, job := begin(t, cluster, product, "training", dir, endlessTraining...)
		cluster.Cancel(t, job)
		ended(t, driver.Wait(), 1, said.String(), "cancelled")
	})
}

// begin starts a run and waits until a pipeline of its runs on the cluster.
func begin(t *testing.T, cluster *flink.Flink, p flink.Product, pipeline, dir string, args ...string) (driver *exec.Cmd, said *bytes.Buffer, job string) {
	t.Helper()
	driver, said = p.Command(t, dir, args...), &bytes.Buffer{}
	driver.Stderr = said
	if err := driver.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, pipeline+" ran", func() bool {
		for _, j := range cluster.Jobs(t) {
			if strings.Contains(j.Name, pipeline) && j.State == "RUNNING" {
				job = j.ID
			}
		}
		return job != ""
	})
	return driver, said, job
}

// runs says whether a job has not ended.
func runs(t *testing.T, cluster *flink.Flink, job string) bool {
	t.Helper()
	return slices.ContainsFunc(cluster.Jobs(t), func(j flink.Job) bool {
		return j.ID == job && !slices.Contains([]string{"FINISHED", "FAILED", "CANCELED"}, j.State)
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in two minutes it never came to be that " + what)
		}
	}
}
