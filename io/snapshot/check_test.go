package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCheck changes a published snapshot in ways that its manifest tells.
func TestCheck(t *testing.T) {
	const part = "data/part-00000.parquet"
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	write(t, elsewhere, "rows")
	for name, test := range map[string]struct {
		change func(t *testing.T, dir string)
		says   string
		hashes bool // whether it takes them to be seen
	}{
		"nothing":    {func(*testing.T, string) {}, "", false},
		"gone":       {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, part)) }, "no such file", false},
		"longer":     {func(t *testing.T, dir string) { write(t, filepath.Join(dir, part), "rows and more") }, "it has 13 bytes, not 4", false},
		"other rows": {func(t *testing.T, dir string) { write(t, filepath.Join(dir, part), "ROWS") }, "its SHA-256 is", true},
		"one more":   {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "data", "more.parquet"), "") }, "not in the manifest", false},
		"a link out": {func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, part))
			link(t, elsewhere, filepath.Join(dir, part))
		}, "is a symbolic link", false},
		"a link within": {func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, part), filepath.Join(dir, "rows")); err != nil {
				t.Fatal(err)
			}
			link(t, "../rows", filepath.Join(dir, part))
		}, "is a symbolic link", false},
		"a link beside": {func(t *testing.T, dir string) { link(t, elsewhere, filepath.Join(dir, "rejects", "more")) }, "neither a file nor a folder", false},
		"a pipe": {func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, part))
			if err := syscall.Mkfifo(filepath.Join(dir, part), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "no regular file", false},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			publish(t, out, noon)
			s, err := Current(out)
			if err != nil {
				t.Fatal(err)
			}
			test.change(t, s.Dir)
			for _, hashes := range []bool{false, true} {
				err := s.Check(hashes)
				wrong := test.says != "" && (hashes || !test.hashes)
				if wrong != (err != nil) || wrong && !strings.Contains(err.Error(), test.says) {
					t.Errorf("with hashes %v: error %v, want one that says %q: %v", hashes, err, test.says, wrong)
				}
			}
		})
	}
}

// TestCheckOfNamesElsewhere has a manifest that names what lies outside data/.
func TestCheckOfNamesElsewhere(t *testing.T) {
	out := t.TempDir()
	publish(t, out, noon)
	s, err := Current(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../../CURRENT", "/etc/passwd", "data/../manifest.json", "manifest.json"} {
		s.Manifest.Parts[0].File = file
		if err := s.Check(false); err == nil || !strings.Contains(err.Error(), "not a file of data/") {
			t.Errorf("%s: error %v", file, err)
		}
	}
}

// TestLinksAreNotFollowed has parts of an output folder be links to a folder that
// somebody else needs.
func TestLinksAreNotFollowed(t *testing.T) {
	for _, name := range []string{stagingName, snapshotsName, filepath.Join(stagingName, lockName), currentName} {
		t.Run(name, func(t *testing.T) {
			out, precious := t.TempDir(), t.TempDir()
			thesis := filepath.Join(precious, "thesis.tex")
			write(t, thesis, "chapter one")
			target := precious
			if name == currentName || filepath.Base(name) == lockName {
				target = thesis
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(out, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			link(t, target, filepath.Join(out, name))
			if _, err := Begin(out, at(noon)); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "symbolic link") {
				t.Errorf("a run begins: %v", err)
			}
			if _, err := Clean(out); !errors.Is(err, ErrForeign) {
				t.Errorf("it is cleaned: %v", err)
			}
			if text, err := os.ReadFile(thesis); err != nil || string(text) != "chapter one" {
				t.Errorf("what lies elsewhere is %q: %v", text, err)
			}
		})
	}
}

// TestCurrentStaysInside has CURRENT lead to a manifest elsewhere.
func TestCurrentStaysInside(t *testing.T) {
	other, out := t.TempDir(), t.TempDir()
	id := publish(t, other, noon)
	write(t, filepath.Join(out, currentName), id+"\n")
	link(t, filepath.Join(other, snapshotsName), filepath.Join(out, snapshotsName))
	if s, err := Current(out); err == nil {
		t.Errorf("the snapshot of another folder is taken: %s", s.Dir)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}
