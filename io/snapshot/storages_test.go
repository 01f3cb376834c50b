package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"diffstitch/io/storage"
	"diffstitch/testing/stores"

	"github.com/google/go-cmp/cmp"
)

// onEach runs a test on a folder of each kind of storage.
func onEach(t *testing.T, test func(t *testing.T, out string)) {
	t.Run("local", func(t *testing.T) { test(t, t.TempDir()) })
	onObjectStores(t, test)
}

func onObjectStores(t *testing.T, test func(t *testing.T, out string)) {
	for _, kind := range []string{stores.GCS, stores.S3} {
		t.Run(kind, func(t *testing.T) { test(t, stores.Start(t, kind).Root+"/out") })
	}
}

// everything lists the files of a folder but for the locks of this machine.
func everything(t *testing.T, out string) (files []string) {
	t.Helper()
	if err := storage.Walk(out, func(path string, _ fs.FileInfo) error {
		if name := strings.TrimPrefix(path, out+"/"); !strings.HasSuffix(name, "lock") {
			files = append(files, name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

// TestPublishing goes through the life of a published folder.
func TestPublishing(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		if _, err := Current(out); !errors.Is(err, ErrNoSnapshot) {
			t.Fatalf("Current of nothing: %v", err)
		}
		first := publish(t, out, noon)
		second := publish(t, out, noon.Add(time.Hour))
		s, err := Current(out)
		if err != nil || s.ID != second || s.Manifest.Parent != first {
			t.Fatalf("%q, child of %q, is current: %v", s.ID, s.Manifest.Parent, err)
		}
		if err := s.Check(true); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff([]string{first, second}, ids(t, out)); d != "" {
			t.Errorf("list (-want +got):\n%s", d)
		}
		aborted := begin(t, out, noon.Add(2*time.Hour))
		fill(t, aborted)
		if err := aborted.Abort(); err != nil {
			t.Fatal(err)
		}
		want := []string{"CURRENT"}
		for _, id := range []string{first, second} {
			for _, name := range []string{"README.md", "data/part-00000.parquet", "manifest.json", "report/index.html"} {
				want = append(want, "snapshots/"+id+"/"+name)
			}
		}
		if d := cmp.Diff(want, everything(t, out)); d != "" {
			t.Errorf("what is there (-want +got):\n%s", d)
		}
		if got := Containing(s.Files()[0]); got != s.Dir {
			t.Errorf("the file lies in %q", got)
		}
		write(t, s.Files()[0], "ROWS")
		if err := s.Check(false); err != nil {
			t.Error(err)
		}
		if err := s.Check(true); err == nil || !strings.Contains(err.Error(), "its SHA-256 is") {
			t.Errorf("other rows: %v", err)
		}
	})
}

// TestInherit has a snapshot list the files of another beside its own.
func TestInherit(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		first := publish(t, out, noon)
		parent, err := Current(out)
		if err != nil {
			t.Fatal(err)
		}
		var s Snapshot
		for range 2 {
			staging := begin(t, out, noon.Add(time.Hour))
			m := fill(t, staging)
			m.Parts = append(parent.Inherit(), m.Parts...)
			if _, err := staging.Commit(m); err != nil {
				t.Fatal(err)
			}
			if s, err = Current(out); err != nil {
				t.Fatal(err)
			}
			if err := s.Check(true); err != nil {
				t.Error(err)
			}
			parent = s
		}
		var want []string
		for _, id := range []string{first, s.Manifest.Parent, s.ID} {
			want = append(want, storage.Join(out, snapshotsName, id, "data", "part-00000.parquet"))
		}
		if d := cmp.Diff(want, s.Files()); d != "" {
			t.Errorf("files (-want +got):\n%s", d)
		}
		if err := storage.Remove(want[0]); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(false); err == nil || !strings.Contains(err.Error(), first) {
			t.Errorf("an inherited file is gone: %v", err)
		}
	})
}

// TestOvertaken has CURRENT moved while a run is at work.
func TestOvertaken(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		publish(t, out, noon)
		before := everything(t, out)
		slow := begin(t, out, noon.Add(time.Hour))
		m := fill(t, slow)
		current := storage.Join(out, currentName)
		_, version, err := storage.Load(current, maxText)
		if err != nil {
			t.Fatal(err)
		}
		const other = "20261123T123000Z-0a1b2c3d"
		if _, err := storage.Replace(current, []byte(other), version); err != nil {
			t.Fatal(err)
		}
		if _, err := slow.Commit(m); !errors.Is(err, ErrOvertaken) {
			t.Errorf("got %v", err)
		}
		if err := slow.Abort(); err != nil {
			t.Error(err)
		}
		if id, _, err := loadCurrent(out); err != nil || id != other {
			t.Errorf("CURRENT names %q: %v", id, err)
		}
		if d := cmp.Diff(before, everything(t, out)); d != "" {
			t.Errorf("what is there (-before +after):\n%s", d)
		}
	})
}

// TestOneWinner has many publish at once, generation after generation, before the eyes of
// a reader.
func TestOneWinner(t *testing.T) {
	const publishers, generations = 20, 3
	onEach(t, func(t *testing.T, out string) {
		publish(t, out, noon)
		var published atomic.Bool
		var reader sync.WaitGroup
		reader.Go(func() {
			for !published.Load() {
				s, err := Current(out)
				if err == nil {
					err = s.Check(true)
				}
				if err != nil {
					t.Errorf("a reader sees %q: %v", s.ID, err)
				}
			}
		})
		for generation := range generations {
			var all []*Staging
			for i := range publishers {
				all = append(all, contender(t, out, i))
			}
			var group sync.WaitGroup
			var winners atomic.Int32
			for _, s := range all {
				group.Go(func() {
					switch _, err := s.Commit(fill(t, s)); {
					case err == nil:
						winners.Add(1)
					case !errors.Is(err, ErrOvertaken):
						t.Error(err)
					}
					if err := s.Abort(); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			if n := winners.Load(); n != 1 {
				t.Errorf("generation %d has %d winners", generation, n)
			}
		}
		published.Store(true)
		reader.Wait()
		if all := ids(t, out); len(all) != 1+generations {
			t.Errorf("there are %q", all)
		}
		if n := len(everything(t, out)); n != 1+4*(1+generations) {
			t.Errorf("%d files are there", n)
		}
	})
}

// contender begins a run beside others: in a local folder without the lock that would keep
// all but one out, so that they come as far as CURRENT.
func contender(t *testing.T, out string, i int) *Staging {
	t.Helper()
	options := Options{Configuration: json.RawMessage(fmt.Sprint(i % 3)), Now: at(noon).Now}
	if storage.IsRemote(out) {
		s, err := Begin(out, options)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := &Staging{out: out, options: options}
	taken, err := snapshotIDs(out)
	if err == nil {
		s.parent, s.was, err = loadCurrent(out)
	}
	for range i + 1 {
		if err == nil {
			s.id, err = nextID(taken, noon, hashConfiguration(options.Configuration))
			taken = append(taken, s.id)
		}
	}
	if err == nil {
		s.lock, err = os.Open(os.DevNull)
	}
	for _, dir := range []string{s.DataDir(), filepath.Dir(s.ReportPath())} {
		err = errors.Join(err, os.MkdirAll(dir, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestReadersOfPruned has each snapshot be pruned two generations after it was current, before
// the eyes of a reader that is never slower than that.
func TestReadersOfPruned(t *testing.T) {
	onEach(t, func(t *testing.T, out string) {
		publish(t, out, noon)
		var over atomic.Bool
		var reads atomic.Int64
		var reader sync.WaitGroup
		reader.Go(func() {
			for ; !over.Load(); reads.Add(1) {
				s, err := Current(out)
				if err == nil {
					err = s.Check(true)
				}
				if err != nil {
					t.Errorf("a reader sees %q: %v", s.ID, err)
				}
			}
		})
		removed := 0
		for i := range 10 {
			for before := reads.Load(); reads.Load() == before; {
				time.Sleep(time.Millisecond)
			}
			publish(t, out, noon.Add(time.Duration(i+1)*time.Hour))
			done, err := Prune(out, PruneOptions{Keep: 1, Grace: time.Hour, Now: at(noon.Add(time.Duration(i+1) * time.Hour)).Now})
			if err != nil {
				t.Error(err)
			}
			removed += len(done.Removed)
		}
		over.Store(true)
		reader.Wait()
		if left := len(ids(t, out)); left != 2 || removed != 9 {
			t.Errorf("%d snapshots are left, %d were removed", left, removed)
		}
	})
}

// TestDeadRuns are swept by the next, those that live are not.
func TestDeadRuns(t *testing.T) {
	defer func(before time.Duration) { dead = before }(dead)
	onObjectStores(t, func(t *testing.T, out string) {
		publish(t, out, noon)
		before := everything(t, out)
		slow := begin(t, out, noon.Add(time.Hour))
		m := fill(t, slow)
		write(t, storage.Join(slow.WorkDir(), "scratch"), "scratch")
		if removed, err := Clean(out); err != nil || removed != nil {
			t.Fatalf("of a run that lives %v is removed: %v", removed, err)
		}
		dead = -time.Hour // so that all are
		removed, err := Clean(out)
		if err != nil || len(removed) != 2 {
			t.Errorf("removed %v: %v", removed, err)
		}
		if d := cmp.Diff(before, everything(t, out)); d != "" {
			t.Errorf("what is there (-before +after):\n%s", d)
		}
		dead = time.Hour
		if _, err := slow.Commit(m); err == nil {
			t.Error("a run that was swept commits")
		}
		if err := slow.claim.renew(); !errors.Is(err, storage.ErrChanged) || !strings.Contains(err.Error(), "taken for dead") {
			t.Errorf("a run that was swept goes on: %v", err)
		}
	})
}

// TestLocks keep out whoever comes while their holder lives.
func TestLocks(t *testing.T) {
	defer func(before time.Duration) { dead = before }(dead)
	onEach(t, func(t *testing.T, out string) {
		dead = time.Hour
		if err := storage.MkdirAll(out); err != nil {
			t.Fatal(err)
		}
		path := storage.Join(out, ".lock")
		release, err := Lock(path, "train")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Lock(path, "train"); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "run train") {
			t.Errorf("a second run: %v", err)
		}
		release()
		again, err := Lock(path, "train")
		if err != nil {
			t.Fatal(err)
		}
		defer again()
		if !storage.IsRemote(out) {
			return
		}
		dead = -time.Hour
		over, err := Lock(path, "train")
		if err != nil {
			t.Fatalf("a dead run's lock: %v", err)
		}
		over()
	})
}
