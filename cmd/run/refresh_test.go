package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/pipelines/exchange"
)

func TestRefreshExitCodes(t *testing.T) {
	dir := t.TempDir()
	maze, models := filepath.Join(dir, "maze.parquet"), filepath.Join(dir, "models")
	if _, err := exchange.GeneratePointMaze(t.Context(), exchange.GenerateOptions{Out: maze, Episodes: 10, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	refresh := func(more ...string) []string {
		return append([]string{
			"refresh", "--data", maze, "--models", models, "--out", filepath.Join(dir, "out"), "--stitches", "8", "--batch", "8",
			"--pairing", "uniform", "--refine", "off", "--sampler-steps", "2", "--backend", "go",
		}, more...)
	}
	for _, test := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"no flags", []string{"refresh"}, exitUsage, "missing --data"},
		{"a batch that is measured", refresh("--batch", "auto"), exitUsage, "give a number"},
		{"no such share", refresh("--tolerance", "2"), exitUsage, "--tolerance 2"},
		{"truth by nobody", refresh("--min-truth", "0.5"), exitUsage, "--env"},
		{"no models", refresh(), exitFailed, "run `diffstitch train` first"},
		{"no data", refresh("--data", filepath.Join(dir, "nothing")), exitRejected, "no such file"},
		{"models", []string{"train", "--data", maze, "--models", models, "--steps", "2", "--backend", "go"}, exitDone, "held-out loss"},
		{"what would be done", refresh("--dry-run"), exitDone, "nothing is published yet"},
		{"too few are accepted", refresh("--delta", "0.000001"), exitRefused, "--min-acceptance asks for 0.05"},
		{"published", refresh("--delta", "off"), exitDone, "\npublished "},
		{"up to date", refresh("--delta", "off"), exitDone, "nothing to do"},
		{"another seed", refresh("--delta", "off", "--seed", "3", "--dry-run"), exitDone, "configuration: seed 0 against 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if code, said := asProcess(t, test.args...); code != test.want || !strings.Contains(said, test.says) {
				t.Errorf("exit code %d, want %d: %s", code, test.want, said)
			}
		})
	}
	var plan refreshed
	for _, more := range [][]string{{"--dry-run"}, nil} {
		_, said := asProcess(t, refresh(append([]string{"--delta", "off", "--json"}, more...)...)...)
		said = said[max(0, strings.Index(said, "{")):]
		if err := json.Unmarshal([]byte(said), &plan); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		if !plan.Plan.UpToDate || (plan.Manifest == nil) != (more != nil) || plan.Manifest != nil && plan.Manifest.ID != plan.Plan.Current {
			t.Errorf("printed %s", said)
		}
	}
}

// TestRefreshPage runs docs/refresh.md on two days of data.
func TestRefreshPage(t *testing.T) {
	dir := t.TempDir()
	for day := range 2 {
		o := exchange.GenerateOptions{Out: filepath.Join(dir, "days", fmt.Sprintf("day-%d.parquet", day)), Episodes: 12, Seed: uint64(day)}
		if err := os.MkdirAll(filepath.Dir(o.Out), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := exchange.GeneratePointMaze(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	page{
		name: "refresh.md",
		printed: map[string][]string{
			"first":   {`^published \S*augmented/snapshots/\S+/data$`},
			"plan":    {`^inputs +0 new, 0 changed, 0 removed, 2 as they were$`, `^nothing to do`},
			"another": {`^ +new +day-2\.parquet$`, `^published `, `^\+ input \S*day-2\.parquet`},
			"retrain": {`^models +trained on: --retrain always$`, `^published `},
			"gate":    {`--min-acceptance asks for 0\.05`},
		},
	}.run(t, dir)
	if sets, err := os.ReadDir(filepath.Join(dir, "models", "sets")); err != nil || len(sets) != 1 {
		t.Errorf("%d sets of models (%v)", len(sets), err)
	}
}

// asProcess runs the command in a process of its own, as pipelines want it.
func asProcess(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], args...)
	command.Env = append(os.Environ(), asCommand+"=1")
	out, err := command.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(out)
}
