package snapshot

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diffstitch/io/storage"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func at(t time.Time) Options {
	return Options{Configuration: json.RawMessage(`{"delta": 0.5}`), Now: func() time.Time { return t }}
}

func begin(t *testing.T, out string, now time.Time) *Staging {
	t.Helper()
	s, err := Begin(out, at(now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Abort(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// fill stages one data file and returns the manifest that lists it.
func fill(t *testing.T, s *Staging) Manifest {
	t.Helper()
	write(t, storage.Join(s.DataDir(), "part-00000.parquet"), "rows")
	write(t, s.ReportPath(), "<html>")
	return Manifest{Seed: 7, Parts: []Part{{File: "data/part-00000.parquet", Rows: 3}}}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := storage.WriteWhole(path, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, out string, now time.Time) string {
	t.Helper()
	s := begin(t, out, now)
	id, err := s.Commit(fill(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPublish(t *testing.T) {
	out := filepath.Join(t.TempDir(), "deep", "out")
	if _, err := Current(out); !errors.Is(err, ErrNoSnapshot) {
		t.Fatalf("Current of nothing: %v", err)
	}
	first := publish(t, out, noon)
	second := publish(t, out, noon.Add(time.Hour))

	got, err := Current(out)
	if err != nil {
		t.Fatal(err)
	}
	want := Snapshot{
		ID: second, Dir: filepath.Join(out, "snapshots", second), Current: true,
		Manifest: Manifest{
			Version: 1, ID: second, Created: noon.Add(time.Hour), Parent: first, Seed: 7,
			Parts: []Part{{File: "data/part-00000.parquet", Rows: 3, Bytes: 4,
				SHA256: "bc51e9e65d79e1c90ba544ab2eae1044ccdf8c1af7a559ba375cba4276f7d99e"}},
		},
	}
	got.Manifest.Configuration = nil // its white space is the manifest's
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("current snapshot (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{first, second}, ids(t, out)); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	for _, name := range []string{"README.md", "report/index.html", "rejects"} {
		if _, err := os.Stat(filepath.Join(got.Dir, name)); err != nil {
			t.Error(err)
		}
	}
	if left := names(t, filepath.Join(out, ".staging")); !cmp.Equal(left, []string{"lock"}) {
		t.Errorf("staging holds %q after the commit", left)
	}
}

func ids(t *testing.T, out string) (ids []string) {
	t.Helper()
	all, err := List(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCommitChecksParts(t *testing.T) {
	tests := map[string]struct {
		parts []Part
		want  string
	}{
		"unlisted file": {nil, `"data/part-00000.parquet" is not in the manifest`},
		"missing file": {[]Part{{File: "data/part-00000.parquet"}, {File: "data/part-00001.parquet"}},
			"does not exist"},
		"outside of data": {[]Part{{File: "data/part-00000.parquet"}, {File: "data/../../x"}}, "is not a file of data/"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			s := begin(t, out, noon)
			m := fill(t, s)
			m.Parts = test.parts
			if _, err := s.Commit(m); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if _, err := Current(out); !errors.Is(err, ErrNoSnapshot) {
				t.Errorf("after the failed commit: %v", err)
			}
		})
	}
}

func TestForeignFolder(t *testing.T) {
	out := t.TempDir()
	write(t, filepath.Join(out, "thesis.tex"), "")
	if _, err := Begin(out, Options{}); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("got %v", err)
	}
	if got := names(t, out); !cmp.Equal(got, []string{"thesis.tex"}) {
		t.Errorf("the folder was touched: %q", got)
	}
}

func TestNotesBesideSnapshots(t *testing.T) {
	out := t.TempDir()
	publish(t, out, noon)
	write(t, filepath.Join(out, "notes.txt"), "")
	publish(t, out, noon.Add(time.Hour))
}

func TestNotWritable(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	for _, out := range []string{filepath.Join(dir, "file"), filepath.Join(dir, "file", "out"), "/proc/diffstitch"} {
		if _, err := Begin(out, Options{}); err == nil {
			t.Errorf("began in %q", out)
		}
	}
}

func TestBadCurrent(t *testing.T) {
	for _, text := range []string{"", "../../etc", "20261123T120000Z-0123456"} {
		out := t.TempDir()
		publish(t, out, noon)
		write(t, filepath.Join(out, "CURRENT"), text)
		if s, err := Current(out); err == nil {
			t.Errorf("CURRENT of %q gave %q", text, s.Dir)
		}
	}
}

func TestAbortKeepsCurrent(t *testing.T) {
	out := t.TempDir()
	id := publish(t, out, noon)
	s := begin(t, out, noon.Add(time.Hour))
	m := fill(t, s)
	if err := s.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(m); err == nil {
		t.Error("committed after Abort")
	}
	if got, err := Current(out); err != nil || got.ID != id {
		t.Errorf("current is %q (%v), want %q", got.ID, err, id)
	}
}

func TestIDsSortByTimeWhateverTheClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var published []string
		for _, second := range rapid.SliceOfN(rapid.Int64Range(0, 5), 1, 8).Draw(t, "seconds") {
			hash := rapid.StringMatching(`[0-9a-f]{64}`).Draw(t, "hash")
			id, err := nextID(published, noon.Add(time.Duration(second)*time.Second), hash)
			if err != nil {
				t.Fatal(err)
			}
			if !idPattern.MatchString(id) {
				t.Fatalf("%q is no id", id)
			}
			if n := len(published); n > 0 && id <= published[n-1] {
				t.Fatalf("%q does not sort after %q", id, published[n-1])
			}
			published = append(published, id)
		}
	})
}

func TestIDIgnoresWhiteSpace(t *testing.T) {
	a, b := hashConfiguration(json.RawMessage(`{"a":1}`)), hashConfiguration(json.RawMessage("{ \"a\": 1 }\n"))
	if a != b {
		t.Errorf("%s and %s", a, b)
	}
}
