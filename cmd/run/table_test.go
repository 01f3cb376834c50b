package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/pipelines/table"
	"diffstitch/testing/fixture"
)

// TestTablePage runs docs/table.md.
func TestTablePage(t *testing.T) {
	dir := t.TempDir()
	episodes := fixture.Maze(6, 1)
	published := 0
	page{
		name: "table.md", modules: []string{"pyiceberg.catalog.sql", "sqlalchemy", "polars", "pandas"},
		before: func(block string) {
			switch block {
			case "publish", "again":
				fixture.Published(t, filepath.Join(dir, "augmented"), episodes[published:published+5]...)
				published++
			case "append":
				fixture.Published(t, filepath.Join(dir, "stream"), episodes...)
			}
		},
		printed: map[string][]string{
			"publish": {`^\S+Z-\w{8}, \d+ rows in 5 files, is all there is in rl\.dstar, which has \d+ rows now`, `^metadata: file://\S+\.metadata\.json$`},
			"again":   {`is all there is in rl\.dstar`},
			"show":    {`^snapshot +committed +operation`, `replace +\d+ +\d+ +current *$`, `^in use: file://\S+/augmented/snapshots/\S+/data$`},
			"read":    {`^\d+ real transitions of \d+$`},
			"travel":  {`^\d+ \S+ seed 7 \d stitched`, `^\d+ transitions before$`},
			"tag":     {`^\d+ transitions as in the paper$`},
			"append":  {`was added to rl\.live`},
			"expire":  {`^1 left$`},
		},
	}.run(t, dir)
}

// TestTableFlags: docs/table.md names every flag of its commands.
func TestTableFlags(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "table.md"))
	if err != nil {
		t.Fatal(err)
	}
	publish := newTablePublish()
	for _, name := range []string{"out", "snapshot", "catalog", "table", "warehouse", "append", "older", "json"} {
		if publish.Flags().Lookup(name) == nil || !strings.Contains(string(page), "`--"+name) {
			t.Errorf("--%s is not a flag of table publish, or not on the page", name)
		}
	}
}

// TestTablePrintsJSON: as the other commands do.
func TestTablePrintsJSON(t *testing.T) {
	dir := t.TempDir()
	s := fixture.Published(t, filepath.Join(dir, "out"), fixture.Maze(3, 1)...)
	where := []string{"--catalog", filepath.Join(dir, "catalog.db"), "--table", "rl.dstar", "--json"}
	var published table.Published
	asJSON(t, &published, append([]string{"table", "publish", "--out", filepath.Join(dir, "out")}, where...)...)
	if !published.Published || published.SnapshotID != s.ID || published.TableRows != s.Manifest.Rows() {
		t.Errorf("published: %+v", published)
	}
	var shown table.Shown
	asJSON(t, &shown, append([]string{"table", "show"}, where...)...)
	if len(shown.Snapshots) != 1 || shown.Snapshots[0].Facts["seed"] != "7" || len(shown.Folders) != 1 {
		t.Errorf("shown: %+v", shown)
	}
}

func asJSON(t *testing.T, to any, args ...string) {
	t.Helper()
	root, out := newRoot(), new(bytes.Buffer)
	root.SetOut(out)
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), to); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestTableExitCodes(t *testing.T) {
	dir := t.TempDir()
	out, catalog := filepath.Join(dir, "out"), filepath.Join(dir, "catalog.db")
	early := fixture.Published(t, out, fixture.Maze(3, 1)...)
	fixture.Published(t, out, fixture.Maze(4, 1)...)
	wide := filepath.Join(dir, "wide")
	fixture.Published(t, wide, fixture.RandomWalks(fixture.Shape{Episodes: 3, MaxSteps: 9, ObservationDim: 11, ActionDim: 3}, 1)...)
	publish := func(more ...string) []string {
		return append([]string{"table", "publish", "--catalog", catalog, "--table", "rl.dstar"}, more...)
	}
	for _, test := range []struct {
		name string
		args []string
		want int
	}{
		{"nothing", []string{"table"}, exitDone},
		{"unknown", []string{"table", "drop"}, exitUsage},
		{"no catalog", []string{"table", "publish", "--out", out, "--table", "rl.dstar"}, exitUsage},
		{"no table to show", []string{"table", "show", "--catalog", catalog}, exitUsage},
		{"a catalog that is not there", []string{"table", "show", "--catalog", catalog, "--table", "rl.dstar"}, exitFailed},
		{"an unknown catalog", []string{"table", "show", "--catalog", "hive://h", "--table", "rl.dstar"}, exitUsage},
		{"no namespace", []string{"table", "publish", "--out", out, "--catalog", catalog, "--table", "dstar"}, exitUsage},
		{"nothing published", publish("--out", dir), exitRejected},
		{"no such snapshot", publish("--out", out, "--snapshot", "20260101T000000Z-00000000"), exitRejected},
		{"published", publish("--out", out), exitDone},
		{"published again", publish("--out", out), exitDone},
		{"an earlier one", publish("--out", out, "--snapshot", early.ID), exitRejected},
		{"an earlier one, though", publish("--out", out, "--snapshot", early.ID, "--older"), exitDone},
		{"other columns", publish("--out", wide), exitRejected},
		{"shown", []string{"table", "show", "--catalog", catalog, "--table", "rl.dstar"}, exitDone},
		{"no such table", []string{"table", "show", "--catalog", catalog, "--table", "rl.other"}, exitFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := run(t.Context(), test.args); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
		})
	}
}
