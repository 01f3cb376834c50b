package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/pipelines/snapshots"
	"diffstitch/testing/fixture"
	"diffstitch/testing/stores"
)

// TestSnapshotsPage runs docs/snapshots.md on three snapshots, of which the last lists a file
// of the one before.
func TestSnapshotsPage(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "augmented")
	episodes := fixture.Maze(6, 1)
	fixture.Published(t, out, episodes[:3]...)
	parent := fixture.Published(t, out, episodes[:4]...)
	heir, err := snapshot.Begin(out, snapshot.Options{Configuration: json.RawMessage(`{"delta": 0.25}`)})
	if err != nil {
		t.Fatal(err)
	}
	m := parent.Manifest
	m.Parts = parent.Inherit()
	id, err := heir.Commit(m)
	if err != nil {
		t.Fatal(err)
	}
	store := stores.Start(t, stores.S3)
	rows := parent.Manifest.Rows()
	page{
		name: "snapshots.md", modules: []string{"pyarrow"}, needs: map[string][]string{"engines": {"pandas", "polars", "duckdb"}},
		// gofakes3 gives the checksum of the whole with a part.
		env: []string{"AWS_RESPONSE_CHECKSUM_VALIDATION=when_required"},
		before: func(block string) {
			if block == "store" {
				copyFolder(t, out, store.Root+"/augmented")
			}
		},
		printed: map[string][]string{
			"read":     {fmt.Sprintf(`^%d transitions$`, rows)},
			"engines":  {fmt.Sprintf(`^%d by pandas\n%d by polars\n%d by DuckDB$`, rows, rows, rows)},
			"store":    {fmt.Sprintf(`^%d transitions$`, rows)},
			"files":    {`^augmented/snapshots/` + parent.ID + `/data/part-00000\.parquet \S+part-00001\.parquet`},
			"list":     {`^snapshot +created +original`, `^` + id + ` .* ` + parent.ID + ` +current$`},
			"show":     {`^parent: ` + parent.ID + `$`, `^file: +\S*` + parent.ID + `/data/part-00000\.parquet$`},
			"diff":     {`^--- ` + parent.ID, `^\+\+\+ ` + id, `^- configuration\.delta: 0\.5$`, `^\+ configuration\.delta: 0\.25$`},
			"rollback": {`^` + parent.ID + ` is the current snapshot now, in the place of ` + id + `$`},
			"verify":   {`^` + id + ` is whole: 5 files, \d+ bytes$`},
			"prune":    {`^kept ` + parent.ID + `: it is current$`},
		},
	}.run(t, dir)
}

// TestSnapshotsExitCodes: on this machine and on an object store.
func TestSnapshotsExitCodes(t *testing.T) {
	local := filepath.Join(t.TempDir(), "out")
	fixture.Published(t, local, fixture.Maze(3, 1)...)
	remote := stores.Start(t, stores.GCS).Root + "/out"
	copyFolder(t, local, remote)
	for _, out := range []string{local, remote} {
		for _, test := range []struct {
			name string
			args []string
			want int
		}{
			{"nothing", []string{"snapshots"}, exitDone},
			{"unknown", []string{"snapshots", "drop"}, exitUsage},
			{"no folder", []string{"snapshots", "list"}, exitUsage},
			{"list", []string{"snapshots", "list", "--out", out}, exitDone},
			{"nothing published", []string{"snapshots", "list", "--out", storage.Join(storage.Dir(out), "other")}, exitRejected},
			{"no such snapshot", []string{"snapshots", "show", "20260101T000000Z-00000000", "--out", out}, exitRejected},
			{"no parent", []string{"snapshots", "diff", "--out", out}, exitRejected},
			{"nowhere to go", []string{"snapshots", "rollback", "--out", out}, exitRejected},
			{"verify", []string{"snapshots", "verify", "--out", out}, exitDone},
			{"keep none", []string{"snapshots", "prune", "--out", out}, exitUsage},
			{"prune", []string{"snapshots", "prune", "--keep", "1", "--out", out}, exitDone},
		} {
			t.Run(test.name+" "+out, func(t *testing.T) {
				if got := run(t.Context(), test.args); got != test.want {
					t.Errorf("exit code %d, want %d", got, test.want)
				}
			})
		}
		var listed snapshots.Listing
		asJSON(t, &listed, "snapshots", "list", "--out", out, "--json")
		if len(listed.Snapshots) != 1 || !listed.Snapshots[0].Current || listed.Snapshots[0].Files != 4 {
			t.Errorf("%s has %+v", out, listed)
		}
		s, err := snapshot.Current(out)
		if err != nil {
			t.Fatal(err)
		}
		if err := storage.Remove(s.Files()[0]); err != nil {
			t.Fatal(err)
		}
		if got := run(t.Context(), []string{"snapshots", "verify", "--out", out}); got != exitRejected {
			t.Errorf("a file is gone: exit code %d", got)
		}
	}
}

// copyFolder copies files of this machine.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := storage.Walk(from, func(path string, _ os.FileInfo) error {
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = storage.Replace(storage.Join(to, filepath.ToSlash(name)), data, storage.Absent)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
