package executables

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.read("k"); err == nil {
		t.Errorf("an empty store has %q", got)
	}
	want := []byte("machine code")
	s.write("k", want)
	if got, err := s.read("k"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %q, error %v", got, err)
	}
	for name, damage := range map[string]func(file []byte) []byte{
		"cut short":  func(file []byte) []byte { return file[:len(file)-1] },
		"no hash":    func(file []byte) []byte { return file[:5] },
		"changed":    func(file []byte) []byte { file[len(file)-1] ^= 1; return file },
		"prolonged":  func(file []byte) []byte { return append(file, 0) },
		"hash alone": func(file []byte) []byte { return file[:32] },
	} {
		s.write("k", want)
		file, err := os.ReadFile(s.path("k"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.path("k"), damage(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.read("k"); err == nil {
			t.Errorf("%s: read %q", name, got)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestTrim: what was not used for longest goes first.
func TestTrim(t *testing.T) {
	s, err := open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"b", "a", "c"} {
		s.write(key, make([]byte, 100))
		old := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(s.path(key), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.read("b"); err != nil { // which is used now
		t.Fatal(err)
	}
	s.trim(300)
	for key, want := range map[string]bool{"a": false, "b": true, "c": true} {
		if _, err := s.read(key); (err == nil) != want {
			t.Errorf("%s: kept %v, want %v", key, err == nil, want)
		}
	}
}

// TestOpenRefuses: what others can write is not run.
func TestOpenRefuses(t *testing.T) {
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := open(shared); err == nil {
		t.Error("a folder that all can write is taken")
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if _, err := open(link); err == nil {
		t.Error("a link is taken")
	}
}

func TestKey(t *testing.T) {
	if key([]byte("ab"), []byte("c")) == key([]byte("a"), []byte("bc")) {
		t.Error("parts that are cut elsewhere have the same key")
	}
}
