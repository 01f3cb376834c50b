package snapshot

import (
	"errors"
	"strings"
	"testing"
	"time"

	"diffstitch/io/storage"

	"github.com/google/go-cmp/cmp"
)

// TestRollback goes back, and on from there.
func TestRollback(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		if _, _, err := Rollback(out, ""); !errors.Is(err, ErrNoSnapshot) {
			t.Errorf("where nothing is published: %v", err)
		}
		first := publish(t, out, noon)
		if _, _, err := Rollback(out, ""); !errors.Is(err, ErrNoSnapshot) || !strings.Contains(err.Error(), "no parent") {
			t.Errorf("from the first: %v", err)
		}
		second := publish(t, out, noon.Add(time.Hour))
		working := begin(t, out, noon.Add(90*time.Minute))
		m := fill(t, working)

		if from, to, err := Rollback(out, ""); err != nil || from != second || to.ID != first {
			t.Fatalf("from %q to %q: %v", from, to.ID, err)
		}
		if s, err := Current(out); err != nil || s.ID != first {
			t.Errorf("%q is current: %v", s.ID, err)
		}
		if _, err := working.Commit(m); !errors.Is(err, ErrOvertaken) {
			t.Errorf("a run that began before: %v", err)
		}
		if err := working.Abort(); err != nil {
			t.Error(err)
		}
		if from, to, err := Rollback(out, first); err != nil || from != first || to.ID != first {
			t.Errorf("to where it is: from %q to %q: %v", from, to.ID, err)
		}
		if _, _, err := Rollback(out, "20261123T120000Z-00000000"); !errors.Is(err, ErrNoSnapshot) || !strings.Contains(err.Error(), second) {
			t.Errorf("to what is not there: %v", err)
		}
		third := publish(t, out, noon.Add(2*time.Hour))
		if s, err := Current(out); err != nil || s.ID != third || s.Manifest.Parent != first {
			t.Errorf("%q, child of %q, is current: %v", s.ID, s.Manifest.Parent, err)
		}
		s, err := Find(out, second)
		if err != nil {
			t.Fatal(err)
		}
		write(t, s.Files()[0], "ROWS")
		if _, _, err := Rollback(out, second); err == nil || !strings.Contains(err.Error(), "its SHA-256 is") {
			t.Errorf("to one that is broken: %v", err)
		}
		if s, err := Current(out); err != nil || s.ID != third {
			t.Errorf("%q is current: %v", s.ID, err)
		}
	})
}

// TestPrune has snapshots of which a later one lists the files, one that was gone back from,
// and the rest of a prune that was killed.
func TestPrune(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		var all []string
		for hour := range 4 {
			all = append(all, publish(t, out, noon.Add(time.Duration(hour)*time.Hour)))
		}
		inherited, err := Find(out, all[1])
		if err != nil {
			t.Fatal(err)
		}
		heir := begin(t, out, noon.Add(4*time.Hour))
		m := fill(t, heir)
		m.Parts = append(inherited.Inherit(), m.Parts...)
		if _, err := heir.Commit(m); err != nil {
			t.Fatal(err)
		}
		all = append(all, heir.ID(), publish(t, out, noon.Add(5*time.Hour)))
		prune := func(keep int, grace time.Duration, now time.Time, want ...int) {
			t.Helper()
			removed, err := Prune(out, Pruning{Keep: keep, Grace: grace, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			var gone, wanted []string
			for _, r := range removed {
				gone = append(gone, storage.Base(r.Path))
			}
			for _, i := range want {
				wanted = append(wanted, all[i])
			}
			if d := cmp.Diff(wanted, gone); d != "" {
				t.Errorf("removed (-want +got):\n%s", d)
			}
		}
		prune(6, 0, noon.Add(6*time.Hour))
		prune(5, 6*time.Hour, noon.Add(6*time.Hour)) // the first ceased to be current at one o'clock
		prune(5, 5*time.Hour, noon.Add(6*time.Hour+time.Minute), 0)
		prune(2, 0, noon.Add(6*time.Hour), 2, 3)
		if err := storage.Remove(storage.Join(out, snapshotsName, all[1], manifestName)); err != nil { // of what was killed
			t.Fatal(err)
		}
		prune(2, 0, noon.Add(6*time.Hour)) // its file is listed by the heir
		if _, _, err := Rollback(out, all[4]); err != nil {
			t.Fatal(err)
		}
		prune(0, 24*time.Hour, time.Now()) // the last was gone back from a moment ago
		prune(0, 0, time.Now().Add(time.Minute), 5)
		s, err := Current(out)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(); err != nil || s.ID != all[4] {
			t.Errorf("%s: %v", s.ID, err)
		}
	})
}

// TestPruneLeavesRunsAlone on an object store, where a run writes among the snapshots.
func TestPruneLeavesRunsAlone(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		publish(t, out, noon)
		s := begin(t, out, noon.Add(time.Hour))
		m := fill(t, s)
		if removed, err := Prune(out, Pruning{Keep: 1, Now: noon.Add(time.Hour)}); err != nil || removed != nil {
			t.Errorf("removed %v: %v", removed, err)
		}
		if _, err := s.Commit(m); err != nil {
			t.Error(err)
		}
	})
}
