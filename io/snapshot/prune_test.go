package snapshot

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diffstitch/io/storage"

	"github.com/google/go-cmp/cmp"
)

// grow publishes a snapshot that has the files of the current one, too.
func grow(t *testing.T, out string, now time.Time) string {
	t.Helper()
	parent, err := Current(out)
	if err != nil {
		t.Fatal(err)
	}
	s := begin(t, out, now)
	m := fill(t, s)
	m.Parts = append(parent.Inherit(), m.Parts...)
	id, err := s.Commit(m)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func hour(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }

// step does something to a published folder in an hour; what it publishes it adds to ids.
type step func(t *testing.T, out string, now time.Time, ids *[]string)

func publishes(t *testing.T, out string, now time.Time, ids *[]string) {
	*ids = append(*ids, publish(t, out, now))
}

func grows(t *testing.T, out string, now time.Time, ids *[]string) {
	*ids = append(*ids, grow(t, out, now))
}

// dies publishes a snapshot that CURRENT does not name yet.
func dies(t *testing.T, out string, now time.Time, ids *[]string) {
	before := current(t, out)
	publishes(t, out, now, ids)
	move(t, out, before)
}

// back goes back to one of those before.
func back(to int) step {
	return func(t *testing.T, out string, now time.Time, ids *[]string) {
		if _, _, err := rollback(out, (*ids)[to], func() time.Time { return now }); err != nil {
			t.Fatal(err)
		}
	}
}

// ageless has no parents in its manifests, as those of earlier versions.
func ageless(t *testing.T, out string, _ time.Time, ids *[]string) {
	for _, id := range *ids {
		s, err := Find(out, id)
		if err != nil {
			t.Fatal(err)
		}
		s.Manifest.Parent = ""
		if err := storage.WriteJSON(filepath.Join(s.Dir, manifestName), s.Manifest); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPrune says of what happened in hours 0, 1, … what stays in the hour after the last.
func TestPrune(t *testing.T) {
	for name, test := range map[string]struct {
		steps []step
		keep  int
		grace int // hours
		want  []string
	}{
		"one":                     {[]step{publishes}, 1, 0, []string{"0 current"}},
		"the latest":              {[]step{publishes, publishes, publishes, publishes}, 2, 0, []string{"2 latest", "3 current"}},
		"more than there are":     {[]step{publishes, publishes}, 9, 0, []string{"0 latest", "1 current"}},
		"read a while ago":        {[]step{publishes, publishes, publishes, publishes}, 1, 3, []string{"1 until 14", "2 until 15", "3 current"}},
		"read no more":            {[]step{publishes, publishes, publishes, publishes}, 1, 1, []string{"3 current"}},
		"gone back to":            {[]step{publishes, publishes, publishes, back(0)}, 1, 0, []string{"0 current", "2 latest"}},
		"gone back from":          {[]step{publishes, publishes, back(0), publishes, publishes}, 1, 3, []string{"0 until 15", "2 until 16", "3 current"}},
		"to and fro":              {[]step{publishes, publishes, back(0), back(1), publishes, publishes}, 1, 3, []string{"1 until 16", "2 until 17", "3 current"}},
		"grown":                   {[]step{publishes, publishes, grows, grows}, 1, 0, []string{"1 files of 3", "2 files of 3", "3 current"}},
		"grown and made anew":     {[]step{publishes, grows, grows, publishes}, 1, 0, []string{"3 current"}},
		"grown, read a while ago": {[]step{publishes, publishes, grows, publishes, publishes}, 1, 3, []string{"1 files of 2", "2 until 15", "3 until 16", "4 current"}},
		"not current yet":         {[]step{publishes, publishes, dies, dies}, 1, 0, []string{"1 current", "2 may become", "3 latest"}},
		"never current":           {[]step{publishes, dies, publishes, publishes}, 1, 0, []string{"3 current"}},
		"without parents":         {[]step{publishes, publishes, publishes, ageless}, 1, 3, []string{"1 until 14", "2 current"}},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			var published []string
			for i, do := range test.steps {
				do(t, out, hour(i), &published)
			}
			done, err := Prune(out, PruneOptions{
				Keep: test.keep, Grace: time.Duration(test.grace) * time.Hour, Now: at(hour(len(test.steps))).Now,
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, told(published, done)); diff != "" {
				t.Errorf("what stays (-want +got):\n%s", diff)
			}
			var left []string
			for _, k := range slices.Backward(done.Kept) {
				left = append(left, k.ID)
			}
			if diff := cmp.Diff(left, ids(t, out)); diff != "" || len(done.Removed)+len(left) != len(published) {
				t.Errorf("removed %v; what is there (-told +got):\n%s", done.Removed, diff)
			}
			all, err := List(out)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range all {
				if err := s.Check(true); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// told is what stays, and why, in short: by the snapshots' places in the order of publishing.
func told(published []string, done Pruned) (lines []string) {
	short := strings.NewReplacer("it is ", "", "one of the latest 1", "latest", "one of the latest 2", "latest", "one of the latest 9", "latest",
		"it was current until 2026-11-23T", "until ", ":00:00Z", "", "it has ", "", "it may be about to become current", "may become")
	for _, k := range slices.Backward(done.Kept) {
		line := fmt.Sprintf("%d %s", slices.Index(published, k.ID), short.Replace(k.Why))
		for i, id := range published {
			line = strings.ReplaceAll(line, id, fmt.Sprint(i))
		}
		lines = append(lines, line)
	}
	return lines
}

// TestPruneOnEach goes through it on each kind of storage, beside a run.
func TestPruneOnEach(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		for i := range 4 {
			publish(t, out, hour(i))
		}
		if _, _, err := Rollback(out, ""); err != nil {
			t.Fatal(err)
		}
		run := begin(t, out, hour(5))
		m := fill(t, run)
		done, err := Prune(out, PruneOptions{Keep: 1})
		if err != nil || len(done.Kept) != 2 || len(done.Removed) != 2 {
			t.Fatalf("%+v: %v", done, err)
		}
		if r := done.Removed[0]; r.Files < 4 || r.Bytes < int64(len("rows")) {
			t.Errorf("removed %+v", r)
		}
		id, err := run.Commit(m)
		if err != nil {
			t.Fatal(err)
		}
		if done, err = Prune(out, PruneOptions{Keep: 1}); err != nil || len(done.Removed) != 2 {
			t.Errorf("%+v: %v", done, err)
		}
		var want []string
		for _, name := range []string{"README.md", "data/part-00000.parquet", "manifest.json", "report/index.html"} {
			want = append(want, "snapshots/"+id+"/"+name)
		}
		want = append([]string{"CURRENT", "rollbacks.json"}, want...)
		if diff := cmp.Diff(want, everything(t, out)); diff != "" {
			t.Errorf("what is there (-want +got):\n%s", diff)
		}
		if r, _, err := loadRollbacks(out); err != nil || len(r) > 0 {
			t.Errorf("it is known still of what is gone: %v (%v)", r, err)
		}
	})
}

// TestPruneGoesOn after one that died having removed any number of files.
func TestPruneGoesOn(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		for n := range 4 {
			id := publish(t, out, hour(2*n))
			last := publish(t, out, hour(2*n+1))
			s, err := Find(out, id)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{manifestName, "data/part-00000.parquet", cardName}[:n] {
				if err := storage.Remove(storage.Join(s.Dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Find(out, id); n > 0 && !errors.Is(err, ErrNoSnapshot) {
				t.Errorf("it is found: %v", err)
			}
			if n > 0 && slices.Contains(ids(t, out), id) {
				t.Errorf("%q are there", ids(t, out))
			}
			done, err := Prune(out, PruneOptions{Keep: 1, Grace: 0})
			if err != nil || !slices.ContainsFunc(done.Removed, func(r Removed) bool { return r.Path == s.Dir && r.Files == 4-n }) {
				t.Errorf("with %d files gone: %+v: %v", n, done, err)
			}
			if left := everything(t, out); len(left) != 5 || current(t, out) != last {
				t.Errorf("there is %q", left)
			}
		}
	})
}

// TestPruneOrder: a snapshot goes before those that it has files of, and its manifest
// before the rest of it, so whatever the moment, what is listed is whole.
func TestPruneOrder(t *testing.T) {
	out := t.TempDir()
	publish(t, out, hour(0))
	grow(t, out, hour(1))
	grow(t, out, hour(2))
	publish(t, out, hour(3))
	h, err := readHistory(out)
	if err != nil {
		t.Fatal(err)
	}
	done, err := Prune(out, PruneOptions{Keep: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, r := range done.Removed {
		got = append(got, r.Path)
	}
	for _, s := range slices.Backward(h.all[:3]) {
		want = append(want, s.Dir)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
}

// TestPruneLeavesRunsAlone on an object store, where what they make lies among snapshots.
func TestPruneLeavesRunsAlone(t *testing.T) {
	onObjectStores(t, func(t *testing.T, out string) {
		publish(t, out, noon)
		slow := begin(t, out, noon)
		m := fill(t, slow)
		if done, err := Prune(out, PruneOptions{Keep: 1}); err != nil || len(done.Removed) > 0 {
			t.Errorf("%+v: %v", done, err)
		}
		id, err := slow.Commit(m)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := Current(out); err != nil || s.ID != id || s.Check(true) != nil {
			t.Errorf("%s is current: %v, %v", s.ID, err, s.Check(true))
		}
	})
}

// TestPruneRefuses where it cannot know what is needed.
func TestPruneRefuses(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, out, id string){
		"no CURRENT":       func(t *testing.T, out, _ string) { remove(t, filepath.Join(out, currentName)) },
		"a broken CURRENT": func(t *testing.T, out, _ string) { write(t, filepath.Join(out, currentName), "?") },
		"a broken manifest": func(t *testing.T, out, id string) {
			write(t, filepath.Join(out, snapshotsName, id, manifestName), "{")
		},
		"broken rollbacks": func(t *testing.T, out, _ string) { write(t, filepath.Join(out, rollbacksName), "[") },
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			id := publish(t, out, noon)
			publish(t, out, noon)
			publish(t, out, noon)
			harm(t, out, id)
			if done, err := Prune(out, PruneOptions{Keep: 1}); err == nil || len(done.Removed) > 0 {
				t.Errorf("%+v: %v", done, err)
			}
		})
	}
	if _, err := Prune(t.TempDir(), PruneOptions{Keep: 1}); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("where nothing is published: %v", err)
	}
	if _, err := Prune(t.TempDir(), PruneOptions{}); err == nil {
		t.Error("none is kept")
	}
}
