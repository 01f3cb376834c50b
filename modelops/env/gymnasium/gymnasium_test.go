package gymnasium

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/modelops/env"
	"diffstitch/modelops/env/envtest"
	"diffstitch/testing/fixture"

	"github.com/google/go-cmp/cmp"
)

// installed are the packages that the environments of these tests need.
var installed = []string{"gymnasium", "mujoco", "gymnasium_robotics"}

func open1(t *testing.T, python, name string, n int) *Vector {
	t.Helper()
	v, err := Open(t.Context(), python, name, nil, n)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVector(t *testing.T) {
	python := fixture.Python(t, installed...)
	for name, limit := range map[string]int{"Hopper-v5": 1000, "Pendulum-v1": 200, "PointMaze_UMaze-v3": 300} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			envtest.Vector(t, limit, func(t *testing.T, n int) env.Vector { return open1(t, python, name, n) })
		})
	}
}

// rounding is what float32 observations and the first guess of MuJoCo's solver
// leave of a step's difference.
const rounding = 1e-3

func TestSimulator(t *testing.T) {
	python := fixture.Python(t, installed...)
	for name, rewarded := range map[string]bool{"Hopper-v5": true, "HalfCheetah-v5": true, "Walker2d-v5": true, "PointMaze_UMaze-v3": false, "PointMaze_Medium-v3": false, "PointMaze_Large-v3": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := open1(t, python, name, envtest.Copies)
			sim, err := OpenSimulator(t.Context(), python, name, nil)
			if err != nil {
				t.Fatal(err)
			}
			envtest.Simulator(t, rounding, rewarded, v, sim)
			if err := errors.Join(v.Close(), sim.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAntMaze has most transitions replay though where the ant is is not observed: those
// that touch no wall.
func TestAntMaze(t *testing.T) {
	python := fixture.Python(t, installed...)
	const copies, steps, name = 4, 50, "AntMaze_Medium-v5"
	v := open1(t, python, name, copies)
	sim, err := OpenSimulator(t.Context(), python, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	now, err := v.Reset([]uint64{1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	rng, off := rand.New(rand.NewPCG(1, 1)), 0
	for range steps {
		actions := envtest.Actions(rng, v.Spec(), copies)
		led, err := v.Step(actions)
		if err != nil {
			t.Fatal(err)
		}
		next, _, err := sim.StepFrom(now, actions)
		if err != nil {
			t.Fatal(err)
		}
		for i := range copies {
			row := func(flat []float32) []float32 { return flat[i*len(flat)/copies : (i+1)*len(flat)/copies] }
			if !(farther(row(next), row(led.Observations)) < rounding) {
				off++
			}
		}
		now = led.Observations
	}
	if off > copies*steps/10 {
		t.Errorf("%d of %d transitions do not replay", off, copies*steps)
	}
	if sim.Spec().Unobserved == "" {
		t.Error("that a part of the state is not observed is not said")
	}
	if err := errors.Join(v.Close(), sim.Close()); err != nil {
		t.Error(err)
	}
}

// TestSimulatorRepeatsData replays the recorded steps of every eightieth real
// episode.
func TestSimulatorRepeatsData(t *testing.T) {
	path := fixture.Data(t, "hopper-medium-replay.parquet")
	sim, err := OpenSimulator(t.Context(), fixture.Python(t, installed...), "Hopper-v5", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	f, err := dataset.Open(path, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unset, rows, episodes := 0, 0, 0
	for item, err := range f.Episodes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if episodes++; episodes%80 != 1 {
			continue
		}
		e, last := item.Episode, item.Episode.Len()-1
		next, rewards, err := sim.StepFrom(e.Observations[:last*e.ObservationDim], e.Actions[:last*e.ActionDim])
		if err != nil {
			t.Fatal(err)
		}
		for i := range last {
			rows++
			truth, _ := e.NextObservation(i)
			off := farther(next[i*e.ObservationDim:(i+1)*e.ObservationDim], truth)
			switch clipped := clipped(e.Observation(i)); {
			case clipped != math.IsNaN(off):
				t.Fatalf("episode %d step %d: off by %v, velocities clipped: %v", e.ID, i, off, clipped)
			case clipped:
				unset++
			case off > 0.01 || math.Abs(float64(rewards[i]-e.Rewards[i])) > 0.01:
				t.Errorf("episode %d step %d is off by %v, its reward %v is %v", e.ID, i, off, e.Rewards[i], rewards[i])
			}
		}
	}
	if unset == 0 || unset > rows/10 {
		t.Errorf("%d of %d rows have velocities that are not known", unset, rows)
	}
}

func clipped(observation []float32) bool {
	for _, v := range observation[5:] {
		if math.Abs(float64(v)) >= 9.99 {
			return true
		}
	}
	return false
}

func farther(a, b []float32) float64 {
	most := 0.0
	for i := range a {
		most = max(most, math.Abs(float64(a[i]-b[i])))
	}
	return most
}

func TestReference(t *testing.T) {
	s := env.Spec{Name: "HalfCheetah-v5"}
	describe(&s)
	if s.Reference == nil || s.Reference.Score(12135) != 100 || s.Reference.Caveat == "" {
		t.Errorf("HalfCheetah's reference is %+v", s.Reference)
	}
	if d := cmp.Diff([]float64{12000, 6000}, s.TargetReturns); d != "" {
		t.Errorf("target returns (-want +got):\n%s", d)
	}
	s = env.Spec{Name: "Pendulum-v1"}
	if describe(&s); s.Reference != nil {
		t.Errorf("Pendulum's reference is %+v", s.Reference)
	}
}

func TestUnknown(t *testing.T) {
	python := fixture.Python(t, "gymnasium")
	for name, want := range map[string]string{"Nowhere-v1": "Nowhere", "CartPole-v1": "its actions are a Discrete"} {
		if _, err := Open(t.Context(), python, name, nil, 1); !errors.Is(err, env.ErrUnknown) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
	if _, err := OpenSimulator(t.Context(), python, "Pendulum-v1", nil); !errors.Is(err, env.ErrUnknown) || !strings.Contains(err.Error(), "PointMaze, AntMaze, Hopper") {
		t.Errorf("error %v", err)
	}
}

// TestOptions fixes where episodes begin and end.
func TestOptions(t *testing.T) {
	python := fixture.Python(t, installed...)
	options := func(name, value string) env.Options { return env.Options{name: json.RawMessage(value)} }
	v, err := Open(t.Context(), python, "PointMaze_Medium-v3", env.Options{
		"continuing_task": json.RawMessage("false"), "reset.reset_cell": json.RawMessage("[1, 1]"), "reset.goal_cell": json.RawMessage("[1, 1]"),
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := v.Reset([]uint64{1}); err != nil || !v.Spec().TellsSuccess || len(v.Spec().Options) != 3 {
		t.Fatalf("%+v: %v", v.Spec(), err)
	}
	reached := false
	for range 5 { // the goal lies in the cell that it begins in, at most its noise away
		s, err := v.Step([]float32{0, 0})
		if err != nil {
			t.Fatal(err)
		}
		reached = reached || s.Successes[0]
	}
	if !reached {
		t.Error("the goal is not where the episode begins")
	}
	for _, test := range []struct {
		name    string
		options env.Options
		want    string
	}{
		{"of no environment", options("colour", "1"), "colour"},
		{"of no episode", options("reset.colour", "1"), "colour"},
		{"a wall", options("reset.goal_cell", "[0, 0]"), "goal_cell"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(t.Context(), python, "PointMaze_Medium-v3", test.options, 1)
			if !errors.Is(err, env.ErrUnknown) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestFailures has shell scripts stand in for Python. Those that answer wait for a
// question, as a pipe that nobody reads breaks.
func TestFailures(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"dies at once", `echo "cannot open shared object" >&2; exit 3`, "exit status 3"},
		{"is no Python", `exit 0`, "is it Python 3?"},
		{"says why", `echo "cannot open shared object" >&2; exit 3`, "it said last:\ncannot open shared object"},
		{"no gymnasium", `exec python3 -S "$@"`, `-m pip install "gymnasium[mujoco]"`},
		{"prints", `head -c 1 >/dev/null; echo hello to you`, "a frame of kind 'o' has"},
		{"is cut short", `head -c 1 >/dev/null; printf '\100\0\0\0hshort'`, "is cut short"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if strings.Contains(test.script, "python3") {
				fixture.Python(t)
			}
			python := script(t, test.script)
			if _, err := Open(t.Context(), python, "Hopper-v5", nil, 1); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "python9"), "Hopper-v5", nil, 1); err == nil || !strings.Contains(err.Error(), "--python") {
		t.Errorf("without Python: error %v", err)
	}
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDies has the program killed between two steps.
func TestDies(t *testing.T) {
	v := open1(t, fixture.Python(t, "gymnasium"), "Pendulum-v1", 1)
	if _, err := v.Reset([]uint64{1}); err != nil {
		t.Fatal(err)
	}
	if err := v.process.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := v.Step([]float32{0}); err == nil || !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("error %v", err)
		}
	}
	if err := v.Close(); err != nil {
		t.Errorf("closing what broke off before: %v", err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v, err := Open(ctx, fixture.Python(t, "gymnasium"), "Pendulum-v1", nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := v.Reset([]uint64{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}
