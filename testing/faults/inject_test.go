package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
)

// everywhere makes a plan of one kind of fault at every stage of every method.
func everywhere(suffix, kind string, share float64) string {
	var words []string
	for _, stage := range []string{
		"ends", "estimate", "contexts", "inpaint", "wrapup", "refine", "qualify", "synthesize", "starts", "rollout", "stage", "part", "records",
	} {
		words = append(words, fmt.Sprintf("%s%s:%s=%g", stage, suffix, kind, share))
	}
	return strings.Join(words, " ")
}

// TestFaultsThatPass injects faults that a second or third try gets over.
func TestFaultsThatPass(t *testing.T) {
	setup(t)
	one := []*work{stitching} // what all methods share
	tests := []struct {
		name, plan string
		of         []*work
	}{
		{"errors", everywhere("", "error", 0.4), works},
		{"errors twice in a row", "limit=2 " + everywhere("", "error", 1), one},
		{"panics", everywhere("", "panic", 0.4), works},
		{"errors after side effects", everywhere("-done", "error", 1), works},
		{"errors of storage", "open:error=0.3 read:error=0.2 limit=2", one},
		{"slow storage", "read:slow=0.02 write:slow=0.02 limit=5", one},
		{"hanging storage", "read:hang=0.1 open:hang=0.2 patience=1s", one},
		{"hanging writes", "write:hang=0.1 finish:hang=0.1 patience=2s", one},
		{"a full disk that is made room on", "write:full=0.5 finish:full=0.3", one},
	}
	for _, test := range tests {
		for _, w := range test.of {
			t.Run(test.name+", "+w.method, func(t *testing.T) {
				t.Parallel()
				l := w.tally(t)
				for seed := range seeds() {
					log, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
					must(t, w.augment(t, fmt.Sprintf("seed=%d log=%s %s", seed, log, test.plan), out))
					l.runs++
					if l.injected(t, log) == 0 {
						t.Error("nothing was injected")
					}
					l.checkDataset(t, out)
				}
			})
		}
	}
}

// seeds is how many plans of a kind are tried: more in the nightly suite.
func seeds() int { return 1 + kills/25 }

// injected counts the faults that a run recorded.
func (l *tally) injected(t *testing.T, log string) int {
	t.Helper()
	entries, err := os.ReadDir(log)
	if err != nil {
		t.Fatal(err)
	}
	l.faults += len(entries)
	return len(entries)
}

// TestFaultsThatStay injects faults that no try gets over: the run fails and
// says why, publishes nothing, and goes well once the cause is gone.
func TestFaultsThatStay(t *testing.T) {
	setup(t)
	tests := []struct {
		name string
		of   *work
		plan string
		says []string
	}{
		{"a storage that is silent", stitching, "limit=99 open:hang=1 file=maze patience=100ms", []string{"maze.parquet", "no answer in 100ms"}},
		{"a storage that falls silent", stitching, "limit=99 read:hang=1 file=bridges patience=100ms", []string{"bridges-", "no answer in 100ms"}},
		{"a full disk while staging", stitching, "limit=99 write:full=1 file=bridges", []string{"bridges-", "no space left on device"}},
		{"a full disk while writing D*", stitching, "limit=99 write:full=1 file=part-", []string{"part-", "no space left on device"}},
		{"a full disk while reading", stitching, "limit=99 write:full=1 file=episodes", []string{"episodes-00000-000000.parquet", "no space left on device"}},
		{"an error in writing", stitching, "limit=99 write:error=1 file=part-", []string{"part-", "injected error at write"}},
		{"a batch that breaks a model", stitching, "inpaint:broken=0.4", []string{"attempted stitches failed, more than --max-failed-share 0 allows", "inpaint: batch", "injected broken", "failures.jsonl"}},
		{"a batch that panics", stitching, "limit=99 qualify:panic=1", []string{"--max-failed-share 0", "qualify: batch", "panic: injected at qualify", "failures.jsonl"}},
		{"a batch that breaks SynthER's model", sampling, "synthesize:broken=0.4", []string{"attempted transitions failed, more than --max-failed-share 0 allows", "synthesize: batch", "injected broken", "failures.jsonl"}},
		{"rollouts that panic", rolling, "limit=99 rollout:panic=1", []string{"attempted rollouts failed", "rollout: batch", "panic: injected at rollout", "failures.jsonl"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := test.of.tally(t)
			log, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
			r := test.of.augment(t, fmt.Sprintf("seed=3 log=%s %s", log, test.plan), out)
			mustFail(t, r, test.says...)
			if l.injected(t, log) == 0 {
				t.Error("nothing was injected")
			}
			checkFailuresFile(t, r.output)
			checkNothingPublished(t, out)
			must(t, test.of.augment(t, "", out))
			l.runs += 2
			l.checkDataset(t, out)
		})
	}
}

// checkFailuresFile checks that a file of dead letters that a message names is
// there.
func checkFailuresFile(t *testing.T, output string) {
	t.Helper()
	_, rest, named := strings.Cut(output, "(all of them: ")
	if !named {
		return
	}
	path, _, _ := strings.Cut(rest, ")")
	if raw, err := os.ReadFile(path); err != nil || !bytes.Contains(raw, []byte(`"error":`)) {
		t.Errorf("the dead letters in %q: %v\n%s", path, err, raw)
	}
}

// TestDeadLetters lets batches fail for good where the run may lose them: they
// are listed and counted, and the rest is as it would be.
func TestDeadLetters(t *testing.T) {
	setup(t)
	// Where a bridge of several is lost, its chain goes on by others: with one each, what is
	// lost is what had the lost one.
	single := *stitching
	single.args = append(slices.Clone(single.args), "--hops", "1")
	single.undisturbed(t, "one-bridge")
	stages := map[*work][]string{
		&single:  {"ends", "estimate", "contexts", "inpaint", "wrapup", "refine", "qualify", "stage"},
		sampling: {"synthesize"},
		rolling:  {"starts", "rollout"},
	}
	for seed := range seeds() {
		for w, stages := range stages {
			for _, stage := range stages {
				t.Run(fmt.Sprint(stage, seed), func(t *testing.T) {
					t.Parallel()
					loseBatches(t, w, stage, seed)
				})
			}
		}
	}
}

// loseBatches has half of the batches fail in a stage.
func loseBatches(t *testing.T, w *work, stage string, seed int) {
	l := w.tally(t)
	log, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	must(t, w.augment(t, fmt.Sprintf("seed=%d log=%s %s:broken=0.5", seed, log, stage), out, "--max-failed-share", "1"))
	s, err := snapshot.Current(out)
	if err != nil {
		t.Fatal(err)
	}
	l.runs++
	l.injected(t, log)
	letters := readLetters(t, filepath.Join(s.Dir, "rejects", "failures.jsonl"))
	want := maps.Clone(w.dataset)
	var pairs int64
	for _, f := range letters {
		if f.Stage != stage || f.Error == "" || int64(len(f.Indices)) != f.Pairs || !f.ByEntry && f.FirstPair != w.batch*f.Batch {
			t.Errorf("dead letter %+v", f)
		}
		pairs += f.Pairs
		for _, pair := range f.Indices {
			delete(want, firstStitch+pair)
		}
	}
	got := readRows(t, out)
	if w.method != stitching.method { // its amount is of transitions, for which it makes further attempts
		maps.DeleteFunc(got, func(id int64, _ int) bool { return id >= firstStitch+w.attempts })
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d episodes, want the undisturbed ones but for %d attempts: %d", len(got), pairs, len(want))
	}
	checkFunnel(t, s.Manifest, "failed in "+stage, pairs)
	if r := command(t, world.binary, "inspect", "--verify", out); r.code != 0 {
		t.Errorf("it does not verify:\n%s", r.output)
	}
	checkClean(t, out)
}

// firstStitch is the id of a plan's first episode: the data has 40.
const firstStitch = 40

func readLetters(t *testing.T, path string) (letters []trajectory.Failure) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var f trajectory.Failure
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatal(err)
		}
		letters = append(letters, f)
	}
	return letters
}

// checkFunnel checks that every stage of a manifest says where what came in
// went, and that the failed attempts are among it.
func checkFunnel(t *testing.T, m snapshot.Manifest, reason string, failed int64) {
	t.Helper()
	found := int64(0)
	for _, stage := range m.Stages {
		var dropped int64
		for _, n := range stage.Dropped {
			dropped += n
		}
		if stage.In != stage.Out+dropped {
			t.Errorf("%s: %d in, %d out, %d dropped", stage.Stage, stage.In, stage.Out, dropped)
		}
		found += stage.Dropped[reason]
	}
	if found != failed {
		t.Errorf("%d attempts %s, want %d", found, reason, failed)
	}
}

// TestCorruptModel: a model that is not what was trained fails the run.
func TestCorruptModel(t *testing.T) {
	setup(t)
	l := stitching.tally(t)
	for _, kind := range []string{"denoiser", "dynamics"} {
		models, out := filepath.Join(t.TempDir(), "models"), filepath.Join(t.TempDir(), "out")
		if err := os.CopyFS(models, os.DirFS(world.models)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(models, kind, "weights.safetensors")
		weights, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spoilt := slices.Clone(weights)
		spoilt[len(spoilt)/2] ^= 1
		for _, content := range [][]byte{spoilt, weights[:len(weights)/2], nil} {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
			mustFail(t, stitching.augment(t, "", out, "--models", models), path, "delete the folder and run `diffstitch train` again")
			l.runs++
			l.faults++
			checkNothingPublished(t, out)
		}
	}
}
