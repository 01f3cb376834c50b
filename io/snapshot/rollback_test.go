package snapshot

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diffstitch/io/storage"
)

// move replaces CURRENT, whatever it is.
func move(t *testing.T, out, id string) {
	t.Helper()
	current := storage.Join(out, currentName)
	_, version, err := storage.Load(current, maxText)
	if err == nil {
		_, err = storage.Replace(current, []byte(id+"\n"), version)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func current(t *testing.T, out string) string {
	t.Helper()
	s, err := Current(out)
	if err != nil {
		t.Fatal(err)
	}
	return s.ID
}

func TestRollback(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		if _, _, err := Rollback(out, ""); !errors.Is(err, ErrNoSnapshot) {
			t.Fatalf("of nothing: %v", err)
		}
		var ids []string
		for hour := range 3 {
			ids = append(ids, publish(t, out, noon.Add(time.Duration(hour)*time.Hour)))
		}
		slow := begin(t, out, noon.Add(4*time.Hour))
		m := fill(t, slow)
		for _, test := range []struct{ to, now string }{
			{"", ids[1]}, {"", ids[0]}, {ids[2], ids[2]}, {ids[0], ids[0]}, {ids[0], ids[0]},
		} {
			was := current(t, out)
			before, s, err := Rollback(out, test.to)
			if err != nil || before != was || s.ID != test.now || current(t, out) != test.now {
				t.Fatalf("to %q: %s is current, it says %s before and %s now, want %s: %v", test.to, current(t, out), before, s.ID, test.now, err)
			}
		}
		if _, _, err := Rollback(out, ""); err == nil || !strings.Contains(err.Error(), "names none before it") {
			t.Errorf("before the first: %v", err)
		}
		if _, err := slow.Commit(m); !errors.Is(err, ErrOvertaken) {
			t.Errorf("a run that began before: %v", err)
		}
		if err := slow.Abort(); err != nil {
			t.Fatal(err)
		}
		next := publish(t, out, noon.Add(5*time.Hour))
		if s, err := Current(out); err != nil || s.ID != next || s.Manifest.Parent != ids[0] {
			t.Errorf("the next is %s, child of %s: %v", s.ID, s.Manifest.Parent, err)
		}
	})
}

// TestRollbackRefuses what is not there or not whole, and leaves CURRENT alone.
func TestRollbackRefuses(t *testing.T) {
	out := t.TempDir()
	first, second := publish(t, out, noon), publish(t, out, noon)
	for _, id := range []string{"20200101T000000Z-00000000", "../..", "CURRENT"} {
		if _, _, err := Rollback(out, id); !errors.Is(err, ErrNoSnapshot) {
			t.Errorf("%s: %v", id, err)
		}
	}
	write(t, filepath.Join(out, snapshotsName, first, "data", "part-00000.parquet"), "ROWS")
	if _, _, err := Rollback(out, first); err == nil || !strings.Contains(err.Error(), "its SHA-256 is") {
		t.Errorf("other rows: %v", err)
	}
	if got := current(t, out); got != second {
		t.Errorf("%s is current", got)
	}
}

// TestRollbackMends a CURRENT that is lost or damaged.
func TestRollbackMends(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		id := publish(t, out, noon)
		move(t, out, "????")
		for range 2 {
			if _, _, err := Rollback(out, ""); err == nil || !strings.Contains(err.Error(), "say which") {
				t.Errorf("to nowhere: %v", err)
			}
			if before, _, err := Rollback(out, id); err != nil || before != "" || current(t, out) != id {
				t.Fatalf("%q before: %v", before, err)
			}
			if err := storage.Remove(storage.Join(out, currentName)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestRollbackOvertaken has CURRENT moved while files are checked.
func TestRollbackOvertaken(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		first := publish(t, out, noon)
		publish(t, out, noon)
		const other = "20261123T123000Z-0a1b2c3d"
		calls := 0
		_, _, err := rollback(out, first, func() time.Time {
			if calls++; calls == 2 { // the first is of the lock
				move(t, out, other)
			}
			return noon
		})
		if id, _, _ := loadCurrent(out); !errors.Is(err, ErrOvertaken) || id != other {
			t.Errorf("CURRENT names %q: %v", id, err)
		}
	})
}

// TestMaintenance: one at a time.
func TestMaintenance(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		id := publish(t, out, noon)
		m, err := beginMaintenance(out, "prune", noon)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Rollback(out, id); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "run prune") {
			t.Errorf("a rollback beside a prune: %v", err)
		}
		if _, err := Prune(out, PruneOptions{Keep: 1}); !errors.Is(err, ErrLocked) {
			t.Errorf("a prune beside a prune: %v", err)
		}
		if err := m.end(); err != nil {
			t.Fatal(err)
		}
		if _, err := Prune(out, PruneOptions{Keep: 1}); err != nil {
			t.Error(err)
		}
	})
}
