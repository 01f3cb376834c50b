package snapshots

import (
	"encoding/json"
	"strings"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/testing/fixture"

	"github.com/google/go-cmp/cmp"
)

// rebuilt publishes a snapshot that has the files of the current one, and what edit makes of
// the rest of its manifest.
func rebuilt(t *testing.T, out, configuration string, edit func(*snapshot.Manifest)) string {
	t.Helper()
	before, err := snapshot.Current(out)
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Begin(out, snapshot.Options{Configuration: json.RawMessage(configuration)})
	if err != nil {
		t.Fatal(err)
	}
	m := before.Manifest
	m.Parts = before.Inherit()
	edit(&m)
	id, err := s.Commit(m)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestDiff(t *testing.T) {
	out := t.TempDir()
	first := fixture.Published(t, out, fixture.Maze(3, 1)...)
	second := rebuilt(t, out, `{"delta": "auto", "data": {"path": "/a"}, "hops": null}`, func(m *snapshot.Manifest) {
		m.Seed = 8
		m.Inputs = []snapshot.Input{{Path: "/new.parquet", Bytes: 5, SHA256: strings.Repeat("ab", 32)}}
		m.Models[1].SHA256 = "d2"
		m.Original.Transitions++
		m.Schema = []snapshot.Column{{Name: "actions", Type: "float32", Width: 2}, {Name: "x", Type: "int64", Nullable: true}}
		m.Parts = m.Parts[1:]
	})
	got, err := Diff(out, "", "")
	if err != nil {
		t.Fatal(err)
	}
	part := first.Manifest.Parts
	rest := Amount{Files: len(part) - 1}
	for _, p := range part[1:] {
		rest.Rows, rest.Bytes = rest.Rows+p.Rows, rest.Bytes+p.Bytes
	}
	want := Difference{
		From: first.ID, To: second, Alike: rest, OnlyFrom: Amount{1, part[0].Rows, part[0].Bytes},
		Changes: []Change{
			{"column actions", "", "list of 2 float32"}, {"column x", "", "int64, nullable"},
			{"configuration.data.path", "", `"/a"`}, {"configuration.delta", "0.5", `"auto"`},
			{"input /home/someone/log.parquet", "0 bytes, SHA-256 ", ""}, {"input /new.parquet", "", "5 bytes, SHA-256 abababababab"},
			{"model dynamics", "d1", "d2"},
			{"original", count(first.Manifest.Original), count(snapshot.Count{Episodes: 3, Transitions: first.Manifest.Original.Transitions + 1})},
			{"seed", "7", "8"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
	if text := got.Text(); !strings.Contains(text, "\n- seed: 7\n+ seed: 8\n") || !strings.Contains(text, "\n- files: 1, ") {
		t.Errorf("it reads:\n%s", text)
	}
}

// TestDiffOfAlike: files are told by what they hold, not by where they lie.
func TestDiffOfAlike(t *testing.T) {
	out := t.TempDir()
	fixture.Published(t, out, fixture.Maze(3, 1)...)
	fixture.Published(t, out, fixture.Maze(3, 1)...)
	d, err := Diff(out, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if d.Alike.Files != 4 || len(d.Changes) > 0 || !strings.HasSuffix(d.Text(), "nothing differs\n") {
		t.Errorf("%+v: %s", d, d.Text())
	}
}
