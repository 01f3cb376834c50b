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

// everywhere makes a plan of one kind of fault at every stage.
func everywhere(suffix, kind string, share float64) string {
	var words []string
	for _, stage := range []string{"ends", "estimate", "contexts", "inpaint", "wrapup", "qualify", "stage", "part", "records"} {
		words = append(words, fmt.Sprintf("%s%s:%s=%g", stage, suffix, kind, share))
	}
	return strings.Join(words, " ")
}

// TestFaultsThatPass injects faults that a second or third try gets over.
func TestFaultsThatPass(t *testing.T) {
	setup(t)
	tests := []struct{ name, plan string }{
		{"errors", everywhere("", "error", 0.4)},
		{"errors twice in a row", "limit=2 " + everywhere("", "error", 1)},
		{"panics", everywhere("", "panic", 0.4)},
		{"errors after side effects", everywhere("-done", "error", 1)},
		{"errors of storage", "open:error=0.3 read:error=0.2 limit=2"},
		{"slow storage", "read:slow=0.02 write:slow=0.02 limit=5"},
		{"hanging storage", "read:hang=0.1 open:hang=0.2 patience=1s"},
		{"hanging writes", "write:hang=0.1 finish:hang=0.1 patience=2s"},
		{"a full disk that is made room on", "write:full=0.5 finish:full=0.3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newTally(t)
			for seed := range seeds() {
				log, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
				must(t, augment(t, fmt.Sprintf("seed=%d log=%s %s", seed, log, test.plan), out))
				l.runs++
				if l.injected(t, log) == 0 {
					t.Error("nothing was injected")
				}
				l.checkDataset(t, out)
			}
		})
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
		name, plan string
		says       []string
	}{
		{"a storage that is silent", "limit=99 open:hang=1 file=maze patience=100ms", []string{"maze.parquet", "no answer in 100ms"}},
		{"a storage that falls silent", "limit=99 read:hang=1 file=bridges patience=100ms", []string{"bridges-", "no answer in 100ms"}},
		{"a full disk while staging", "limit=99 write:full=1 file=bridges", []string{"bridges-", "no space left on device"}},
		{"a full disk while writing D*", "limit=99 write:full=1 file=part-", []string{"part-", "no space left on device"}},
		{"a full disk while reading", "limit=99 write:full=1 file=episodes", []string{"episodes-00000-000000.parquet", "no space left on device"}},
		{"an error in writing", "limit=99 write:error=1 file=part-", []string{"part-", "injected error at write"}},
		{"a batch that breaks a model", "inpaint:broken=0.4", []string{"attempted stitches failed, more than --max-failed-share 0 allows", "inpaint: batch", "injected broken", "failures.jsonl"}},
		{"a batch that panics", "limit=99 qualify:panic=1", []string{"--max-failed-share 0", "qualify: batch", "panic: injected at qualify", "failures.jsonl"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newTally(t)
			log, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
			r := augment(t, fmt.Sprintf("seed=3 log=%s %s", log, test.plan), out)
			mustFail(t, r, test.says...)
			if l.injected(t, log) == 0 {
				t.Error("nothing was injected")
			}
			checkFailuresFile(t, r.output)
			checkNothingPublished(t, out)
			must(t, augment(t, "", out))
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
	for seed := range seeds() {
		for _, stage := range []string{"ends", "estimate", "contexts", "inpaint", "wrapup", "qualify", "stage"} {
			t.Run(fmt.Sprint(stage, seed), func(t *testing.T) {
				t.Parallel()
				l := newTally(t)
				log, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
				must(t, augment(t, fmt.Sprintf("seed=%d log=%s %s:broken=0.5", seed, log, stage), out, "--max-failed-share", "1"))
				s, err := snapshot.Current(out)
				if err != nil {
					t.Fatal(err)
				}
				l.runs++
				l.injected(t, log)
				letters := readLetters(t, filepath.Join(s.Dir, "rejects", "failures.jsonl"))
				want := maps.Clone(world.dataset)
				var pairs int64
				for _, f := range letters {
					if f.Stage != stage || f.Error == "" || int64(len(f.Indices)) != f.Pairs || !f.ByEntry && f.FirstPair != 8*f.Batch {
						t.Errorf("dead letter %+v", f)
					}
					pairs += f.Pairs
					for _, pair := range f.Indices {
						delete(want, firstStitch+pair)
					}
				}
				if got := readRows(t, out); !maps.Equal(got, want) {
					t.Errorf("%d episodes, want the undisturbed ones but for %d stitches: %d", len(got), pairs, len(want))
				}
				checkFunnel(t, s.Manifest, "failed in "+stage, pairs)
				if r := command(t, world.binary, "inspect", "--verify", out); r.code != 0 {
					t.Errorf("it does not verify:\n%s", r.output)
				}
				checkClean(t, out)
			})
		}
	}
}

// firstStitch is the id of the plan's first stitch: the data has 40 episodes.
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
// went, and that the failed stitches are among it.
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
		t.Errorf("%d stitches %s, want %d", found, reason, failed)
	}
}

// TestCorruptModel: a model that is not what was trained fails the run.
func TestCorruptModel(t *testing.T) {
	setup(t)
	l := newTally(t)
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
			mustFail(t, augment(t, "", out, "--models", models), path, "delete the folder and run `diffstitch train` again")
			l.runs++
			l.faults++
			checkNothingPublished(t, out)
		}
	}
}
