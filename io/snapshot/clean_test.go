package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	out := t.TempDir()
	before := publish(t, out, noon)
	killed := killedAfter(t, out, 3)

	removed, err := Clean(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(removed) != 1 || removed[0].Path != filepath.Join(out, stagingName, killed) || removed[0].Files < 2 || removed[0].Bytes == 0 {
		t.Errorf("removed %+v", removed)
	}
	if left := staged(t, out); left != nil {
		t.Errorf("%v are left", left)
	}
	if got, err := Current(out); err != nil || got.ID != before {
		t.Errorf("CURRENT names %q (%v)", got.ID, err)
	}
	if d := cmp.Diff([]string{before}, ids(t, out)); d != "" {
		t.Errorf("snapshots (-want +got):\n%s", d)
	}
	if removed, err := Clean(out); err != nil || len(removed) > 0 {
		t.Errorf("a second time: %v (%v)", removed, err)
	}
}

// staged lists the staging but for its lock.
func staged(t *testing.T, out string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(out, stagingName))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestCleanRefuses(t *testing.T) {
	out := t.TempDir()
	s, err := Begin(out, at(noon))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Clean(out); !errors.Is(err, ErrLocked) {
		t.Errorf("beside a run: %v", err)
	}
	if _, err := os.Stat(s.WorkDir()); err != nil {
		t.Error("the run's folder is gone:", err)
	}
	if err := s.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := Clean(filepath.Join(out, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
	empty := t.TempDir()
	if removed, err := Clean(empty); err != nil || removed != nil {
		t.Errorf("an empty folder: %v (%v)", removed, err)
	}
	if made, err := os.ReadDir(empty); err != nil || len(made) > 0 {
		t.Errorf("it made %v (%v)", made, err)
	}
}

// TestWhatFailedARunOutlivesIt until the next run.
func TestWhatFailedARunOutlivesIt(t *testing.T) {
	out := t.TempDir()
	s, err := Begin(out, at(noon))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.FailuresPath(), []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.FailuresPath()); err != nil {
		t.Error(err)
	}
	publish(t, out, time.Now())
	if left := staged(t, out); left != nil {
		t.Errorf("%v are left", left)
	}
}
