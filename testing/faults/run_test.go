package faults

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/testing/fixture"
)

// result of a process.
type result struct {
	code   int // -1 if it was killed
	output string
}

func must(t *testing.T, r result) {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("exit code %d:\n%s", r.code, r.output)
	}
}

// mustFail wants a run that fails with a message that holds every word.
func mustFail(t *testing.T, r result, words ...string) {
	t.Helper()
	if r.code <= 0 {
		t.Errorf("exit code %d, want a failure:\n%s", r.code, r.output)
	}
	at := strings.LastIndex(r.output, "diffstitch: ")
	for _, word := range words {
		if at < 0 || !strings.Contains(r.output[at:], word) {
			t.Errorf("the message lacks %q:\n%s", word, r.output)
		}
	}
}

// limit is how long one process may take; a run takes a few seconds.
const limit = 3 * time.Minute

func command(t *testing.T, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return finish(exec.CommandContext(ctx, name, args...))
}

func finish(cmd *exec.Cmd) result {
	output, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return result{code: -1, output: err.Error()}
	}
	return result{code: cmd.ProcessState.ExitCode(), output: string(output)}
}

// diffstitch runs the binary under a plan of faults.
func diffstitch(t *testing.T, plan string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, world.binary, args...)
	cmd.Env = append(os.Environ(), "DIFFSTITCH_FAULTS="+plan)
	return finish(cmd)
}

// killed starts the binary, kills it after a while unless it has ended by then,
// and says whether it had to.
func killed(t *testing.T, after time.Duration, args ...string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), world.binary, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer timer.Stop()
	_ = cmd.Wait() // the state says it all
	return !cmd.ProcessState.Exited() && cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// augmentArgs are the arguments of an augmentation, of which the last ones prevail.
func (w *work) augmentArgs(out string, more ...string) []string {
	return slices.Concat([]string{
		"augment", "--method", w.method, "--data", world.data, "--models", w.models, "--out", out,
		"--batch", strconv.FormatInt(w.batch, 10), "--row-group-rows", "500", "--part-rows", "3000", "--backend", "go", "--seed", "7",
	}, w.args, more)
}

func (w *work) augment(t *testing.T, plan, out string, more ...string) result {
	t.Helper()
	return diffstitch(t, plan, w.augmentArgs(out, more...)...)
}

func trainArgs(models string, more ...string) []string {
	return append([]string{"train", "--data", world.data, "--models", models, "--steps", "40", "--seed", "2", "--backend", "go"}, more...)
}

func train(t *testing.T, plan, models string, more ...string) result {
	t.Helper()
	return diffstitch(t, plan, trainArgs(models, more...)...)
}

// moment is a random point of a run, from before its start to after its end.
func moment(rng *rand.Rand, run time.Duration) time.Duration {
	return time.Duration(rng.Float64() * 1.1 * float64(run))
}

// rows counts a dataset's rows by episode.
type rows map[int64]int

func readRows(t *testing.T, path string) rows {
	t.Helper()
	all := rows{}
	fixture.EachEpisode(t, path, func(e *trajectory.Episode) { all[e.ID] += e.Len() })
	return all
}

func partHashes(t *testing.T, out string) (sums []string) {
	t.Helper()
	s, err := snapshot.Current(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Manifest.Parts {
		sums = append(sums, p.SHA256)
	}
	return sums
}

func modelHashes(t *testing.T, dir string) (sums []string) {
	t.Helper()
	info, err := session.Describe(dir, training.KindsOf(training.MethodDiffStitch))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range info.Kinds {
		sums = append(sums, info.Models[kind].Hash)
	}
	return sums
}

// checkDataset compares what is published with the undisturbed D*.
func (l *tally) checkDataset(t *testing.T, out string) {
	t.Helper()
	l.count(readRows(t, out))
	if got := partHashes(t, out); !slices.Equal(got, l.of.hashes) {
		t.Errorf("D* differs from the undisturbed one: %q, want %q", got, l.of.hashes)
	}
	if r := command(t, world.binary, "inspect", "--verify", out); r.code != 0 {
		t.Errorf("it does not verify:\n%s", r.output)
	}
	checkWhole(t, out)
	checkClean(t, out)
}

func (l *tally) count(got rows) { l.compare(l.of.dataset, got) }

// compare counts rows that should be there and are not, and that should not and are.
func (l *tally) compare(want, got rows) {
	for id, n := range want {
		l.lost += max(0, n-got[id])
	}
	for id, n := range got {
		l.doubled += max(0, n-want[id])
	}
}

// checkWhole checks that every snapshot that can be seen is whole.
func checkWhole(t *testing.T, out string) {
	t.Helper()
	all, err := snapshot.List(out)
	if err != nil {
		t.Error("a snapshot cannot be read:", err)
	}
	for _, s := range all {
		for _, p := range s.Manifest.Parts {
			if sum, size, err := snapshot.HashFile(filepath.Join(s.Dir, p.File)); err != nil || sum != p.SHA256 || size != p.Bytes {
				t.Errorf("%s of snapshot %s is not what its manifest says: %v", p.File, s.ID, err)
			}
		}
	}
}

// checkClean runs `diffstitch clean` and checks that nothing is left but a lock.
func checkClean(t *testing.T, out string) {
	t.Helper()
	must(t, command(t, world.binary, "clean", "--out", out))
	entries, err := os.ReadDir(filepath.Join(out, ".staging"))
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	for _, e := range entries {
		if e.Name() != "lock" {
			t.Errorf("%q is left in the staging after clean", e.Name())
		}
	}
}

// checkNothingPublished checks that there is no snapshot, and nothing left of
// one after clean.
func checkNothingPublished(t *testing.T, out string) {
	t.Helper()
	if all, err := snapshot.List(out); err != nil || len(all) > 0 {
		t.Errorf("%d snapshots are published (%v)", len(all), err)
	}
	if _, err := os.Stat(out); err == nil {
		checkClean(t, out)
	}
}
