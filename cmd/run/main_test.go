package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/observe"

	"github.com/spf13/cobra"
)

func TestExitCodes(t *testing.T) {
	maze := filepath.Join(t.TempDir(), "maze.parquet")
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"generate", []string{"generate", "pointmaze", "--out", maze, "--episodes", "5"}, exitDone},
		{"inspect", []string{"inspect", maze}, exitDone},
		{"generate corridors", []string{"generate", "pointmaze", "--out", filepath.Join(filepath.Dir(maze), "corridors.parquet"), "--episodes", "5", "--stitch"}, exitDone},
		{"verify", []string{"inspect", "--verify", maze}, exitDone},
		{"help", []string{"--help"}, exitDone},
		{"backends", []string{"backends"}, exitDone},
		{"unknown command", []string{"stitch"}, exitUsage},
		{"unknown dataset", []string{"generate", "hopper"}, exitUsage},
		{"unknown flag", []string{"train", "--speed", "high"}, exitUsage},
		{"missing flags", []string{"train"}, exitUsage},
		{"unknown preset", []string{"train", "--data", maze, "--models", t.TempDir(), "--preset", "huge"}, exitUsage},
		{"no room for a bridge", []string{"train", "--data", maze, "--models", t.TempDir(), "--horizon", "3"}, exitUsage},
		{"no room for a bridge in a demo", []string{"demo", "--dir", t.TempDir(), "--horizon", "2"}, exitUsage},
		{"no room for a bridge in a study", []string{"study", "main", "--dry-run", "--horizon", "2"}, exitUsage},
		{"a horizon of a study's baselines", []string{"study", "main", "--dry-run", "--methods", "synther", "--horizon", "55"}, exitUsage},
		{"a horizon", []string{"study", "main", "--dry-run", "--horizon", "55"}, exitDone},
		{"a scale of the authors'", []string{"study", "ablation", "--dry-run", "--scale", "reference"}, exitDone},
		{"a horizon of no denoiser", []string{"train", "--data", maze, "--models", t.TempDir(), "--method", "synther", "--horizon", "55"}, exitUsage},
		{"wrong delta", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--delta", "-1"}, exitUsage},
		{"wrong space of delta", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--delta-space", "scaled"}, exitUsage},
		{"steps left of uniform entries", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--pairing", "uniform", "--min-left", "9"}, exitUsage},
		{"a return past the data's", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--guided-return", "1.5"}, exitUsage},
		{"no similarity", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--similarity-threshold", "NaN"}, exitUsage},
		{"wrong mix", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--mix", "4"}, exitUsage},
		{"contradiction", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--transitions", "2"}, exitUsage},
		{"unknown runner", []string{"train", "--data", maze, "--models", t.TempDir(), "--runner", "heron"}, exitUsage},
		{"wrong batch", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--batch", "many"}, exitUsage},
		{"no concurrency", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--gpu-concurrency", "0"}, exitUsage},
		{"no models to measure", []string{"augment", "--data", maze, "--models", t.TempDir(), "--out", "o", "--stitches", "1", "--batch", "auto"}, exitFailed},
		{"unknown method", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--transitions", "1", "--method", "mixup"}, exitUsage},
		{"a flag of another method", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--transitions", "1", "--method", "synther", "--delta", "1"}, exitUsage},
		{"stitches of a baseline", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--method", "tatu"}, exitUsage},
		{"an empty batch", []string{"augment", "--data", maze, "--models", "m", "--out", "o", "--stitches", "1", "--batch", "0"}, exitUsage},
		{"training for an unknown method", []string{"train", "--data", maze, "--models", t.TempDir(), "--method", "diffstitch,mixup"}, exitUsage},
		{"unknown engine", []string{"train", "--data", maze, "--models", t.TempDir(), "--backend", "tpu"}, exitUsage},
		{"unknown engine of a study", []string{"study", "main", "--dry-run", "--backend", "tpu"}, exitUsage},
		{"nothing to evaluate", []string{"evaluate", "--env", "pointmaze"}, exitUsage},
		{"two things to evaluate", []string{"evaluate", "--env", "pointmaze", "--data", maze, "--policy", "p"}, exitUsage},
		{"a learner for what is trained", []string{"evaluate", "--env", "pointmaze", "--policy", "p", "--learner", "iql"}, exitUsage},
		{"episodes of a D*", []string{"evaluate", "--env", "pointmaze", "--truth", maze, "--episodes", "3"}, exitUsage},
		{"settings of no environment", []string{"evaluate", "--env", "pointmaze", "--data", maze, "--learner", "iql", "--out", "o", "--preset", "hoper"}, exitUsage},
		{"an option that is no JSON", []string{"evaluate", "--env", "Hopper-v5", "--policy", "p", "--env-option", "reset.goal_cell=one"}, exitUsage},
		{"an option of the built-in maze", []string{"evaluate", "--env", "pointmaze", "--truth", maze, "--env-option", "reset.goal_cell=[1,1]"}, exitUsage},
		{"the truth of what is no D*", []string{"evaluate", "--env", "pointmaze", "--truth", maze}, exitRejected},
		{"unknown plugin", []string{"backends", "install", "tpu"}, exitUsage},
		{"export", []string{"export", "--layout", "minari-arrow", "--data", maze, "--out", filepath.Join(filepath.Dir(maze), "maze-v0")}, exitDone},
		{"import", []string{"import", "--data", filepath.Join(filepath.Dir(maze), "maze-v0"), "--out", filepath.Join(filepath.Dir(maze), "back.parquet")}, exitDone},
		{"import of another layout", []string{"import", "--layout", "lerobot-v3.0", "--data", filepath.Join(filepath.Dir(maze), "maze-v0"), "--out", "x"}, exitUsage},
		{"unknown layout", []string{"export", "--layout", "rlds", "--data", maze, "--out", "x"}, exitUsage},
		{"no such data", []string{"inspect", filepath.Join(t.TempDir(), "nothing")}, exitRejected},
		{"no models", []string{"augment", "--data", maze, "--models", t.TempDir(), "--out", "o", "--stitches", "1"}, exitFailed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := run(context.Background(), test.args); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
		})
	}
}

// TestInterrupted has a command end before it has begun.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	maze := filepath.Join(dir, "maze.parquet")
	if _, err := exchange.GeneratePointMaze(t.Context(), exchange.GenerateOptions{Out: maze, Episodes: 3}); err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	defer func(standard *os.File) { os.Stderr = standard }(os.Stderr)
	os.Stderr = said
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code := run(ctx, []string{"evaluate", "--data", maze, "--learner", "iql", "--env", "pointmaze", "--out", filepath.Join(dir, "out"), "--backend", "go"})
	text, err := os.ReadFile(said.Name())
	if code != exitFailed || err != nil || !strings.Contains(string(text), "run the same command again") {
		t.Errorf("exit code %d, %v: %s", code, err, text)
	}
}

func TestInspectPrintsJSON(t *testing.T) {
	maze := filepath.Join(t.TempDir(), "maze.parquet")
	if _, err := exchange.GeneratePointMaze(t.Context(), exchange.GenerateOptions{Out: maze, Episodes: 3}); err != nil {
		t.Fatal(err)
	}
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{"inspect", "--json", maze})
	if err := root.Execute(); err != nil || !strings.Contains(out.String(), `"episodes": 3`) {
		t.Errorf("%v: %s", err, out.String())
	}
}

// TestDocumentedCommands: the flags with which docs/presets.md follows the paper and the
// authors' code are accepted, so that what is missing is the models.
func TestDocumentedCommands(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "presets.md"))
	if err != nil {
		t.Fatal(err)
	}
	maze := filepath.Join(t.TempDir(), "maze.parquet")
	if _, err := exchange.GeneratePointMaze(t.Context(), exchange.GenerateOptions{Out: maze, Episodes: 3}); err != nil {
		t.Fatal(err)
	}
	joined := strings.NewReplacer("\\\n", " ", "\n", " ").Replace(string(text))
	commands := regexp.MustCompile("augment (--pairing [^`]*)`").FindAllStringSubmatch(joined, -1)
	if len(commands) != 2 {
		t.Fatalf("%d commands are documented, want two", len(commands))
	}
	for _, command := range commands {
		args := append([]string{"augment", "--data", maze, "--models", t.TempDir(), "--out", "o", "--stitches", "1"}, strings.Fields(command[1])...)
		if got := run(t.Context(), args); got != exitFailed {
			t.Errorf("exit code %d, want %d since there are no models: %v", got, exitFailed, args)
		}
	}
}

// TestDocumentedFlags: the flags that docs/presets.md names, and those of README's table of
// choices, are those of train, augment and evaluate.
func TestDocumentedFlags(t *testing.T) {
	for page, least := range map[string]int{"docs/presets.md": 20, "README.md": 15} {
		text, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, line := range strings.Split(string(text), "\n") {
			if page == "docs/presets.md" || strings.HasPrefix(line, "| `--") {
				lines = append(lines, line)
			}
		}
		known := map[string]bool{}
		for _, match := range regexp.MustCompile(`(?:^|[\s`+"`"+`])--([a-z][a-z-]*)`).FindAllStringSubmatch(strings.Join(lines, "\n"), -1) {
			name := match[1]
			known[name] = true
			has := func(cmd *cobra.Command) bool { return cmd.Flags().Lookup(name) != nil }
			if !slices.ContainsFunc([]*cobra.Command{newTrain(), newAugment(), newEvaluate()}, has) {
				t.Errorf("%s names --%s, which is a flag of none of train, augment and evaluate", page, name)
			}
		}
		if len(known) < least {
			t.Errorf("%s names %d flags, fewer than it did", page, len(known))
		}
	}
}

// TestPrintLearned: the terminal says how many episodes and states were used.
func TestPrintLearned(t *testing.T) {
	details := training.Details{
		Statistics: training.Statistics{Episodes: 3, EpisodeConstant: []int{1}},
		Windows:    &training.Windows{Episodes: 2, States: 12, Begin: 10, Padded: 5},
	}
	var out bytes.Buffer
	printLearned(&out, session.Info{Models: map[training.Kind]session.Model{training.Denoiser: {Details: details}}})
	if want := "denoiser learned from 2 of 3 episodes, 12 states; 50% of 10 windows are padded past their episode's end\nWhat is constant within every episode and differs between episodes, as a goal does: of the states, dimension 1."; !strings.HasPrefix(out.String(), want) {
		t.Errorf("%q, want it to begin %q", out.String(), want)
	}
	out.Reset()
	if printLearned(&out, session.Info{}); out.Len() > 0 {
		t.Errorf("models without a denoiser say %q", out.String())
	}
}

func TestIsWorker(t *testing.T) {
	for args, want := range map[string]bool{"--worker --id 3": true, "--worker=true": true, "demo": false, "--worker_binary x": false} {
		if got := isWorker(strings.Fields(args)); got != want {
			t.Errorf("isWorker(%s) = %v", args, got)
		}
	}
}

func TestPlainLine(t *testing.T) {
	got := plainLine(observe.Progress{Task: "training reward", Done: 50, Total: 100, Unit: "steps", Rate: 10, Note: "loss 0.5"})
	if want := "training reward (loss 0.5): 50 of 100 steps, 10.0 per second, 5s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPlainProgressIsSaidOnce(t *testing.T) {
	var out bytes.Buffer
	r := &reporter{out: &out, seen: map[task]stand{}}
	for _, done := range []int64{10, 20, 100, 100} {
		r.show(observe.Progress{Job: "j", Task: "stitching", Done: done, Total: 100, Unit: "stitches"})
	}
	r.show(observe.Progress{Job: "j", Task: "reading", Done: 7, Unit: "episodes"})
	want := "stitching: 10 of 100 stitches\nstitching: 100 of 100 stitches\nreading: 7 episodes\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// TestBarsFollowEachOther draws a job that ends short of its total, and the next.
func TestBarsFollowEachOther(t *testing.T) {
	var out bytes.Buffer
	r := &reporter{out: &out, terminal: true, seen: map[task]stand{}}
	for _, p := range []observe.Progress{
		{Job: "1", Task: "reading", Done: 300},
		{Job: "2", Task: "stitching", Done: 0, Total: 64},
		{Job: "2", Task: "stitching", Done: 60, Total: 64, Rate: 12.5},
		{Job: "3", Task: "writing", Done: 900, Total: 900},
		{Job: "3", Task: "writing", Done: 900, Total: 900},
	} {
		r.show(p)
	}
	lines := strings.Split(out.String(), "\n")
	want := []string{"reading (300/-)", "stitching, 12.5 per second", "writing 100%", ""}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d: %q", len(lines), len(want), out.String())
	}
	for i, line := range lines {
		if !strings.Contains(line, want[i]) {
			t.Errorf("line %d is %q, want %q in it", i, line, want[i])
		}
	}
}

// TestExitCodesOfOthers: another run at work, and one that published meanwhile.
func TestExitCodesOfOthers(t *testing.T) {
	out := t.TempDir()
	s, err := snapshot.Begin(out, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t.Context(), []string{"clean", "--out", out}); got != exitInUse {
		t.Errorf("beside a run: exit code %d, want %d", got, exitInUse)
	}
	if err := os.WriteFile(filepath.Join(out, "CURRENT"), []byte("20261123T120000Z-0a1b2c3d\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = s.Commit(snapshot.Manifest{})
	if got := exitCode(err); got != exitOvertaken {
		t.Errorf("a publication in between, %v: exit code %d, want %d", err, got, exitOvertaken)
	}
	if err := s.Abort(); err != nil {
		t.Error(err)
	}
}

// TestSecretsInAddresses are refused, and not repeated where the error is said.
func TestSecretsInAddresses(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG"
	dir := t.TempDir()
	maze, at := filepath.Join(dir, "maze.parquet"), "s3://AKIAIOSFODNN7EXAMPLE:"+secret+"@bucket/folder"
	if _, err := exchange.GeneratePointMaze(t.Context(), exchange.GenerateOptions{Out: maze, Episodes: 5}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"inspect", at},
		{"train", "--data", at, "--models", dir},
		{"train", "--data", maze, "--models", at},
		{"augment", "--data", maze, "--models", dir, "--out", at, "--stitches", "1", "--dry-run"},
		{"snapshots", "list", "--out", at},
		{"snapshots", "prune", "--out", at, "--keep", "1"},
		{"clean", "--out", at},
		{"table", "show", "--catalog", "https://team:" + secret + "@catalog/v1", "--table", "rl.dstar"},
	} {
		said, code := standardError(t, func() int { return run(t.Context(), args) })
		if code == exitDone || strings.Contains(said, "MDENG") || strings.Contains(said, "AKIA") || !strings.Contains(said, "diffstitch: ") {
			t.Errorf("%s: exit code %d: %s", args[:2], code, said)
		}
	}
	for text, want := range map[string]string{
		`reading "gs://bucket/a@b"`: `reading "gs://bucket/a@b"`, `to https://token@host/x: no`: `to https://…@host/x: no`,
	} {
		if got := withoutSecrets(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// standardError is what a function writes there.
func standardError(t *testing.T, do func() int) (text string, code int) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = file
	code = do()
	os.Stderr = before
	written, err := os.ReadFile(file.Name())
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	return string(written), code
}
