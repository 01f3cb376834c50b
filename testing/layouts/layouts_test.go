// Package layouts runs the commands and programs of docs/layouts.md in the real
// packages that they name. It is for `make layouts-test`, since d3rlpy takes
// PyTorch, some gigabytes of it.
package layouts

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	gocmp "github.com/google/go-cmp/cmp"
)

const (
	// switchOn has the test make a virtual environment and install into it.
	switchOn = "DIFFSTITCH_LAYOUTS"
	// ready names a virtual environment that has all packages already.
	ready = "DIFFSTITCH_LAYOUTS_VENV"
	// lerobot comes without the packages it asks for: cameras, robots, trackers.
	lerobot = "lerobot==0.4.4"
)

// lerobotNeeds is what its class for datasets imports beside requirements.txt.
var lerobotNeeds = []string{"accelerate", "av", "deepdiff", "draccus", "einops", "jsonlines", "packaging", "torchvision"}

func TestPage(t *testing.T) {
	if os.Getenv(switchOn) == "" {
		t.Skipf("%s is not set: make layouts-test installs PyTorch and more", switchOn)
	}
	root := fixture.Root(t)
	python := environment(t)
	dir := workplace(t, root)
	for i, block := range fixture.Blocks(t, "layouts.md") {
		t.Run(fmt.Sprintf("%d %s", i, block.Name), func(t *testing.T) {
			command := exec.Command(python, "-c", block.Code)
			if block.Language == "sh" {
				command = exec.Command("bash", "-euc", block.Code)
			}
			command.Dir = dir
			command.Env = append(os.Environ(), "PATH="+filepath.Dir(python)+":"+os.Getenv("PATH"), "HF_HUB_OFFLINE=1", "HF_HOME="+dir)
			out, err := command.CombinedOutput()
			if block.Name == "lerobot" && strings.Contains(string(out), "ModuleNotFoundError") {
				t.Skipf("%s does not load here: %s", lerobot, out)
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range expected[block.Name] {
				if !strings.Contains(string(out), want) {
					t.Errorf("printed %q, want %q in it", out, want)
				}
			}
		})
	}
	want, got := fixture.Episodes(t, filepath.Join(dir, "augmented")), fixture.Episodes(t, filepath.Join(dir, "again.parquet"))
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("what came back (-D* +got):\n%s", diff)
	}
	t.Run("HDF5 of Minari", func(t *testing.T) { checkHDF5(t, root, python) })
}

// checkHDF5 imports what Minari itself wrote as HDF5: the same episodes as in its
// Arrow files, a Dict of observations among them.
func checkHDF5(t *testing.T, root, python string) {
	for _, name := range []string{"hopper/medium-replay", "pointmaze/medium-random"} {
		folder := fixture.Data(t, "layouts/minari/probe/"+name+"-arrow-v0")
		out := filepath.Join(t.TempDir(), "imported.parquet")
		convert := exec.Command(python, filepath.Join(root, "tools/hdf5/convert.py"), "import", strings.Replace(folder, "-arrow-", "-hdf5-", 1), out)
		if printed, err := convert.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		if diff := gocmp.Diff(fixture.Episodes(t, folder), fixture.Episodes(t, out)); diff != "" {
			t.Errorf("%s (-Arrow +HDF5):\n%s", name, diff)
		}
	}
}

// TestConverterSaysWhy has the converter of HDF5 fail without a traceback.
func TestConverterSaysWhy(t *testing.T) {
	tests := []struct {
		name    string
		flags   []string // of Python
		modules []string
		want    string
	}{
		{"no packages", []string{"-S"}, nil, "pip install -r "},
		{"no source", nil, []string{"h5py", "numpy", "pyarrow"}, "making out.parquet of nothing.hdf5: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			convert := exec.Command(fixture.Python(t, test.modules...), append(test.flags, filepath.Join(fixture.Root(t), "tools/hdf5/convert.py"), "import", "nothing.hdf5", "out.parquet")...)
			convert.Dir = t.TempDir()
			out, err := convert.CombinedOutput()
			if err == nil || !strings.Contains(string(out), test.want) || strings.Contains(string(out), "Traceback") {
				t.Errorf("%v: printed %q, want %q in it", err, out, test.want)
			}
			if left, _ := os.ReadDir(convert.Dir); len(left) > 0 {
				t.Errorf("%v are left behind", left)
			}
		})
	}
}

// workplace is a folder in which the page's commands make sense.
func workplace(t *testing.T, root string) string {
	dir := t.TempDir()
	out := filepath.Join(dir, "augmented")
	publish(t, out, walks()[:3]...)
	publish(t, out, walks()...)
	fixture.Program(t, filepath.Join(dir, "bin"))
	if err := os.Symlink(filepath.Join(root, "tools"), filepath.Join(dir, "tools")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// publish makes episodes the current snapshot of a folder; those before stay there.
func publish(t *testing.T, out string, episodes ...*trajectory.Episode) {
	t.Helper()
	staging, err := snapshot.Begin(out, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	part, rows := snapshot.Part{File: "data/part-00000.parquet"}, 0
	for _, e := range episodes {
		rows += e.Len()
	}
	part.Rows = int64(rows)
	fixture.Write(t, filepath.Join(staging.Dir(), part.File), episodes...)
	if _, err := staging.Commit(snapshot.Manifest{Parts: []snapshot.Part{part}}); err != nil {
		t.Fatal(err)
	}
}

// TestReadersGetTheCurrentSnapshot runs the README's program where there are two.
func TestReadersGetTheCurrentSnapshot(t *testing.T) {
	python, dir := fixture.Python(t, "pyarrow", "numpy"), t.TempDir()
	publish(t, filepath.Join(dir, "augmented"), walks()[:3]...)
	publish(t, filepath.Join(dir, "augmented"), walks()...)
	text, err := os.ReadFile(filepath.Join(fixture.Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(text), "```python\n")
	program, _, found := strings.Cut(program, "```\n")
	if !found {
		t.Fatal("the README has no program in Python")
	}
	command := exec.Command(python, "-c", program+"print(observations.shape)")
	command.Dir = dir
	rows := 0
	for _, e := range walks() {
		rows += e.Len()
	}
	if out, err := command.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != fmt.Sprintf("(%d, 4)", rows) {
		t.Errorf("%v: printed %s, want (%d, 4)", err, out, rows)
	}
}

// walks are ten episodes of 4 observation and 2 action values, a stitch, a rollout of
// TATU and two transitions of SynthER, one of them terminal.
func walks() []*trajectory.Episode {
	var long []*trajectory.Episode
	for _, e := range fixture.RandomWalks(fixture.Shape{Episodes: 30, MaxSteps: 60, ObservationDim: 4, ActionDim: 2}, 3) {
		if e.Len() > 1 && len(long) < 10 {
			long = append(long, e)
		}
	}
	derived := func(id int64, steps int, p trajectory.Provenance) *trajectory.Episode {
		e := *long[1]
		e.ID, e.End, e.Provenance = id, trajectory.Timeout, &p
		e.FinalObservation = e.Observation(steps)
		e.Observations, e.Actions, e.Rewards = e.Observations[:4*steps], e.Actions[:2*steps], e.Rewards[:steps]
		return &e
	}
	ended := derived(1003, 1, trajectory.Provenance{Source: trajectory.SynthER})
	ended.End = trajectory.Terminal
	return append(long,
		derived(1000, 5, trajectory.Provenance{
			Source: trajectory.Stitched, LowID: 1, HighID: 2, Bridges: []trajectory.Range{{From: 1, To: 2}, {From: 3, To: 4}},
			Origins: []trajectory.Origin{{EpisodeID: 1}, {EpisodeID: 3, Step: 4}, {EpisodeID: 2, Step: 5}},
			Errors:  []float32{0.5, 0.25}, Residuals: []float32{0.25, 0},
		}),
		derived(1001, 3, trajectory.Provenance{Source: trajectory.TATU, Errors: []float32{0.5, 0.25, 0.125}}),
		derived(1002, 1, trajectory.Provenance{Source: trajectory.SynthER}),
		ended)
}

// expected is part of what the programs print.
var expected = func() map[string][]string {
	transitions, dropped := 0, 0
	for _, e := range walks() {
		transitions += e.Len()
		if _, known := e.NextObservation(e.Len() - 1); !known {
			dropped++
		}
	}
	both := fmt.Sprintf("%d %d", len(walks()), transitions)
	return map[string][]string{
		"corl":     {fmt.Sprintf("'observations': (%d, 4)", transitions-dropped), fmt.Sprintf("'terminals': (%d,)", transitions-dropped)},
		"d3rlpy":   {fmt.Sprintf("%d %d", len(walks()), transitions-dropped)},
		"minari":   {both, fmt.Sprintf("(%d, 4)", walks()[0].Len()+1)},
		"lerobot":  {both, "torch.Size([4])"},
		"datasets": {both + " 4"},
	}
}()

// environment is the Python of a virtual environment that has the packages.
func environment(t *testing.T) string {
	t.Helper()
	if venv := os.Getenv(ready); venv != "" {
		return filepath.Join(venv, "bin", "python")
	}
	system := cmp.Or(os.Getenv("DIFFSTITCH_PYTHON"), "python3")
	if err := exec.Command(system, "-m", "pip", "--version").Run(); err != nil {
		t.Skipf("no %s with pip: %v", system, err)
	}
	venv := filepath.Join(t.TempDir(), "venv")
	python := filepath.Join(venv, "bin", "python")
	must := func(name string, args ...string) {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	must(system, "-m", "venv", venv)
	must(python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", "requirements.txt")
	must(python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-deps", lerobot)
	must(python, append([]string{"-m", "pip", "install", "--quiet", "--no-cache-dir"}, lerobotNeeds...)...)
	return python
}
