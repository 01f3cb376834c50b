package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/pipelines/exchange"
)

// TestStreamingPage runs docs/streaming.md on two files.
func TestStreamingPage(t *testing.T) {
	dir := t.TempDir()
	for i, file := range []string{"before/log.parquet", "live/one.parquet", "live/two.parquet"} {
		o := exchange.GenerateOptions{Out: filepath.Join(dir, file), Episodes: 8, Seed: uint64(i)}
		if err := os.MkdirAll(filepath.Dir(o.Out), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := exchange.GeneratePointMaze(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	page{
		name: "streaming.md",
		printed: map[string][]string{
			"stream": {`^streamed +2 files in [12] windows, 0 of them late$`, `^rate +[\d.]+ original episodes per second`},
			"read":   {` current$`, `^verified: \d+ transitions of \d+ episodes`},
			"again":  {`"windows": 1,`, `"files": 1,`},
			"stop":   {`^streamed +0 files in 0 windows`},
			"table":  {`^streamed +1 files`, `^\d+ .* append +\S+ +append .* current`},
		},
	}.run(t, dir)
}

// TestStreamUsage: what cannot be is refused before anything is begun.
func TestStreamUsage(t *testing.T) {
	dir := t.TempDir()
	stream := func(more ...string) []string {
		return append([]string{"stream", "--data", filepath.Join(dir, "live"), "--models", filepath.Join(dir, "models"), "--out", filepath.Join(dir, "out")}, more...)
	}
	for _, test := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"no flags", []string{"stream"}, exitUsage, "missing --data"},
		{"no window", stream("--window", "0s"), exitUsage, "--window"},
		{"a table without a catalog", stream("--table", "rl.live"), exitUsage, "--catalog and --table"},
		{"a table of a store", stream("--table", "rl.live", "--catalog", "c.db", "--out", "gs://bucket/out"), exitUsage, "--table registers files where they lie"},
		{"a runner that cannot", stream("--runner", "direct"), exitUsage, "a stream runs on prism or flink"},
		{"the data in its own output", stream("--out", filepath.Join(dir, "live", "out")), exitUsage, "--out"},
		{"no models", stream(), exitFailed, "run `diffstitch train` first"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if code, said := asProcess(t, test.args...); code != test.want || !strings.Contains(said, test.says) {
				t.Errorf("exit code %d, want %d: %s", code, test.want, said)
			}
		})
	}
}
