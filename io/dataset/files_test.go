package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/layout"
	"diffstitch/io/snapshot"

	"github.com/google/go-cmp/cmp"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"b.parquet", "a.parquet", "deep/c.parquet", "notes.txt", ".hidden.parquet", "_temporary.parquet", "_staged/d.parquet", ".cache/e.parquet",
		"broken/CURRENT", "bare/readme.md", "published/snapshots/20260101T000000Z-00000000/data/c.parquet",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		content := ""
		if name == "broken/CURRENT" {
			content = "../../etc\n"
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	published := filepath.Join(dir, "published")
	first, second := publish(t, published, false), publish(t, published, true)
	old, both := "published/snapshots/"+first+"/data/b.parquet", "published/snapshots/"+second
	tests := []struct {
		path string
		want []string
		err  string // part of the error
	}{
		{path: "a.parquet", want: []string{"a.parquet"}},
		{path: "notes.txt", want: []string{"notes.txt"}}, // named, so tried
		{path: "*.parquet", want: []string{".hidden.parquet", "_temporary.parquet", "a.parquet", "b.parquet"}},
		{path: "?.parquet", want: []string{"a.parquet", "b.parquet"}},
		{path: "deep", want: []string{"deep/c.parquet"}},
		{path: "published", want: []string{old, both + "/data/b.parquet"}},
		{path: both, want: []string{old, both + "/data/b.parquet"}},
		{path: both + "/data", want: []string{old, both + "/data/b.parquet"}},
		{path: "published/snapshots/" + first, want: []string{old}},
		{path: "published/snapshots/20260101T000000Z-00000000", err: "manifest.json"},
		{path: "broken", err: "does not hold a snapshot's id"},
		{path: "bare", err: "it holds no *.parquet"},
		{path: "absent", err: "no such file or folder"},
		{path: "absent/*.parquet", err: "nothing matches"},
		{path: "[", err: "syntax error"},
	}
	for _, test := range tests {
		got, err := Files(filepath.Join(dir, test.path))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: got %v, want %q", test.path, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
		}
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], dir+"/")
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.path, diff)
		}
	}
	if _, err := Files(filepath.Join(dir, "absent")); !errors.Is(err, ErrNoFiles) {
		t.Errorf("got %v", err)
	}
}

// publish publishes a file b.parquet, behind those of the current snapshot if it is to inherit.
func publish(t *testing.T, out string, inherit bool) (id string) {
	t.Helper()
	s, err := snapshot.Begin(out, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.DataDir(), "b.parquet"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var m snapshot.Manifest
	if inherit {
		parent, err := snapshot.Current(out)
		if err != nil {
			t.Fatal(err)
		}
		m.Parts = parent.Inherit()
	}
	m.Parts = append(m.Parts, snapshot.Part{File: "data/b.parquet"})
	if id, err = s.Commit(m); err != nil {
		t.Fatal(err)
	}
	return id
}

// tree makes files, and links where a name has a target.
func tree(t *testing.T, links map[string]string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("0001\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range links {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.Symlink(target, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestFilesThroughLinks: a link to a folder is the folder, and no file is listed twice.
func TestFilesThroughLinks(t *testing.T) {
	dir := tree(t, map[string]string{
		"data/day-2": "../elsewhere", "data/loop": "..", "data/again": "day-1", "data/file.parquet": "../elsewhere/c.parquet", "whole": "data",
		"data/gone": "nowhere",
	}, "data/day-1/a.parquet", "data/day-1/b.parquet", "elsewhere/c.parquet", "elsewhere/deep/d.parquet")
	for path, want := range map[string]int{"data": 4, "whole": 4, "data/day-2": 2, "data/day-*": 4} {
		got, err := Files(filepath.Join(dir, path))
		if err != nil || len(got) != want {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
}

// TestFilesOfSnapshots: snapshots are never read beside each other or beside data.
func TestFilesOfSnapshots(t *testing.T) {
	dir := tree(t, map[string]string{"linked/out": "../data/out", "deep/s": "../data/out/snapshots"}, "data/a.parquet", "linked/a.parquet", "deep/a.parquet", "part/a.parquet")
	first, second := publish(t, filepath.Join(dir, "data", "out"), false), publish(t, filepath.Join(dir, "data", "out"), false)
	if err := os.Symlink("../data/out/snapshots/"+first+"/data/b.parquet", filepath.Join(dir, "part", "b.parquet")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"data", "linked", "deep", "part", "data/out/snapshots", "data/out/snapshots/*/data/*.parquet", "data/*", "data/*/snapshots/*"} {
		if got, err := Files(filepath.Join(dir, path)); !errors.Is(err, layout.ErrPublished) {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	for _, path := range []string{"data/out", "data/out/snapshots/" + second, "data/out/snapshots/" + second + "/data/*", "data/*.parquet"} {
		if got, err := Files(filepath.Join(dir, path)); err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
}
