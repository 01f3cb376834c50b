package faults

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"diffstitch/testing/fixture"
	"diffstitch/testing/flink"
)

// victims are the processes that are killed in turn.
var victims = []string{"worker", flink.TaskManager, "worker", "driver"}

// buildBoot builds the program that TaskManagers start workers by, beside the binary.
func buildBoot(t *testing.T) {
	t.Helper()
	must(t, command(t, "go", "build", "-o", filepath.Join(world.dir, "boot"), "github.com/apache/beam/sdks/v2/go/container"))
}

// TestKillOnFlink kills workers, the TaskManager and the driver of augmentations
// on a cluster at random points. Flink restarts what it lost; a killed driver is
// started again beside what is left of its job.
func TestKillOnFlink(t *testing.T) {
	setup(t)
	cluster := flink.Start(t, flink.Cluster, "FLINK_RESTARTS=10")
	buildBoot(t)
	flags := cluster.On("PROCESS").Flags
	start := time.Now()
	must(t, stitching.augment(t, "", filepath.Join(t.TempDir(), "out"), flags...))
	whole := time.Since(start)

	rng := rand.New(rand.NewPCG(3, 3))
	lines := map[string]*tally{}
	for _, victim := range victims {
		if lines[victim] == nil {
			lines[victim] = stitching.tally(t)
			lines[victim].name += "/" + victim
		}
	}
	for i := range kills {
		victim := victims[i%len(victims)]
		l := lines[victim]
		out := filepath.Join(t.TempDir(), "out")
		for hit := false; !hit && !t.Failed(); l.runs++ {
			start := time.Now()
			hit = killOne(t, cluster, victim, moment(rng, whole), out, flags)
			if !hit { // the machine has become faster, perhaps
				whole = min(whole, time.Since(start))
			}
			cluster.ClearArtifacts(t)
		}
		l.faults++
		l.checkDataset(t, out)
	}
}

// TestKillTheStreamOnFlink kills workers and the TaskManager of a stream on a cluster, which
// goes on from its last checkpoint: each row that came is in D*, once.
func TestKillTheStreamOnFlink(t *testing.T) {
	setup(t)
	cluster := flink.Start(t, flink.Cluster, "FLINK_RESTARTS=1000", "FLINK_CHECKPOINTS=2s")
	buildBoot(t)
	l, rng := newTally(t), rand.New(rand.NewPCG(5, 5))
	root := t.TempDir()
	data, out := filepath.Join(root, "data"), filepath.Join(root, "out")
	f := fixture.StartFeed(t, data, time.Second, 4)
	reader := read(t, out)
	driver := exec.CommandContext(t.Context(), world.binary, streamArgs(data, out, cluster.On("PROCESS").Flags...)...)
	var said bytes.Buffer
	driver.Stderr = &said
	if err := driver.Start(); err != nil {
		t.Fatal(err)
	}
	for l.runs = 1; l.faults < kills; {
		time.Sleep(2*time.Second + moment(rng, 10*time.Second))
		if l.faults%2 == 1 {
			cluster.Kill(t, flink.TaskManager)
			cluster.Script(t, "start", flink.TaskManager)
			l.faults++
		} else if killWorker(t, cluster) {
			l.faults++
		}
	}
	f.End()
	if err := driver.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(limit, func() { _ = driver.Process.Kill() }) // the test fails then
	defer timer.Stop()
	if err := driver.Wait(); err != nil {
		t.Fatalf("the stream did not end well: %v\n%s", err, said.String())
	}
	reader.end(l)
	l.lost, l.doubled = f.Check(t, out)
}

// killOne runs an augmentation, kills one of its processes after a while, and has
// it come to its end. It says whether there was something to kill.
func killOne(t *testing.T, cluster *flink.Flink, victim string, after time.Duration, out string, flags []string) (hit bool) {
	t.Helper()
	driver := exec.CommandContext(t.Context(), world.binary, stitching.augmentArgs(out, flags...)...)
	var said bytes.Buffer
	driver.Stderr = &said
	if err := driver.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- driver.Wait() }()
	select {
	case err := <-ended: // before it could be hit
		ended <- err
	case <-time.After(after):
		switch victim {
		case "driver":
			hit = driver.Process.Kill() == nil
		case "worker":
			hit = killWorker(t, cluster)
		default:
			cluster.Kill(t, victim)
			cluster.Script(t, "start", victim)
			hit = true
		}
	}
	select {
	case err := <-ended:
		checkWhole(t, out)
		if victim == "driver" && hit {
			must(t, stitching.augment(t, "", out, flags...))
		} else if err != nil {
			t.Errorf("the %s was killed after %v: %v\n%s", victim, after, err, said.String())
		}
	case <-time.After(limit):
		_ = driver.Process.Kill() // the test has failed
		t.Errorf("the %s was killed after %v, and the run does not end:\n%s", victim, after, <-ended)
	}
	return hit
}

// killWorker kills a worker of the cluster's TaskManager, if there is one.
func killWorker(t *testing.T, cluster *flink.Flink) bool {
	t.Helper()
	group := strconv.Itoa(cluster.PID(t, flink.TaskManager))
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		line, _ := os.ReadFile(filepath.Join(process, "cmdline")) // it may be gone
		if !strings.Contains(string(line), "--worker=true") || strings.Contains(string(line), "--provision_endpoint") || !inGroup(process, group) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			t.Fatal(err)
		}
		return syscall.Kill(pid, syscall.SIGKILL) == nil
	}
	return false
}

// inGroup is whether a process is of a process group.
func inGroup(process, group string) bool {
	stat, err := os.ReadFile(filepath.Join(process, "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // after the name: state, parent, group
	fields := strings.Fields(rest)
	return len(fields) > 2 && fields[2] == group
}

// TestFaultsOnFlink injects faults into the workers of a cluster, and has workers
// die in the middle of a bundle, which Flink tries again after its side effects.
func TestFaultsOnFlink(t *testing.T) {
	setup(t)
	if os.Getenv("DIFFSTITCH_FLINK") == "" {
		t.Skip("DIFFSTITCH_FLINK does not ask for Flink")
	}
	everyStage := "limit=1 " + everywhere("", "error", 0.3) + " " + everywhere("-done", "panic", 0.3)
	tests := []struct {
		name string
		of   *work
		plan string
	}{
		{"errors and panics", stitching, everyStage},
		{"workers that die", stitching, "inpaint:kill=1 stage-done:kill=1 part:kill=1"},
		{"errors and panics of SynthER", sampling, everyStage},
		{"workers of TATU that die", rolling, "rollout:kill=1 stage-done:kill=1 part:kill=1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, log := test.of.tally(t), t.TempDir()
			// Workers have the environment of the TaskManager.
			t.Setenv("DIFFSTITCH_FAULTS", fmt.Sprintf("seed=1 log=%s %s", log, test.plan))
			cluster := flink.Start(t, flink.Cluster, "FLINK_RESTARTS=10")
			buildBoot(t)
			out := filepath.Join(t.TempDir(), "out")
			must(t, test.of.augment(t, "", out, cluster.On("PROCESS").Flags...))
			l.runs++
			if l.injected(t, log) == 0 {
				t.Error("nothing was injected")
			}
			l.checkDataset(t, out)
		})
	}
}
