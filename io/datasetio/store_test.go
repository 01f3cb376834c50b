package datasetio

import (
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, in Input) *Store {
	t.Helper()
	st := OpenStore(in)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func fetch(t *testing.T, st *Store, m trajectory.Meta) *trajectory.Episode {
	t.Helper()
	e, err := st.Episode(m)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestStoreForgetsTheLeastRecent(t *testing.T) {
	episodes := longWalks(12, 1)
	in := write(t, episodes...)
	_, m := readFile(t, in.Files[0])
	st := open(t, in)
	first, second := fetch(t, st, m[0]), fetch(t, st, m[1])
	st.bound = size(first) + size(second) + 4*6 // no room for a third, of two steps or more
	if fetch(t, st, m[0]) != first || fetch(t, st, m[1]) != second || fetch(t, st, m[0]) != first {
		t.Fatal("an episode was fetched twice")
	}
	fetch(t, st, m[2]) // makes the second one go
	if fetch(t, st, m[0]) != first {
		t.Error("the more recent episode was forgotten")
	}
	again := fetch(t, st, m[1])
	if again == second {
		t.Error("the least recent episode was kept")
	}
	if d := cmp.Diff(second, again); d != "" {
		t.Errorf("the second fetch differs (-first +second):\n%s", d)
	}
}

func TestStoreKeepsWithinItsBound(t *testing.T) {
	episodes := longWalks(40, 2)
	in := write(t, episodes...)
	_, m := readFile(t, in.Files[0])
	for _, bound := range []int{1, 500, 2000} {
		st := OpenStore(in)
		st.bound = bound
		var users sync.WaitGroup
		for user := range 4 {
			users.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(user), 0))
				for range 60 {
					i := rng.IntN(len(m))
					e, err := st.Episode(m[i])
					if err != nil {
						t.Error(err)
						return
					}
					if d := cmp.Diff(episodes[i], e); d != "" {
						t.Errorf("episode %d (-written +fetched):\n%s", i, d)
						return
					}
				}
			})
		}
		users.Wait()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		kept := 0
		for at := st.recent.Front(); at != nil; at = at.Next() {
			kept += size(at.Value.(cached).episode)
		}
		if kept != st.bytes || st.recent.Len() != len(st.byPlace) || kept > bound && st.recent.Len() > 1 {
			t.Errorf("%d bytes of %d episodes are kept, counted as %d of %d, with a bound of %d", kept, st.recent.Len(), st.bytes, len(st.byPlace), bound)
		}
	}
}

func TestStoreGivesTheIDAskedFor(t *testing.T) {
	in := write(t, longWalks(5, 1)...)
	_, m := readFile(t, in.Files[0])
	m[1].ID = 77 // ids are numbered anew where files share some
	if e := fetch(t, open(t, in), m[1]); e.ID != 77 {
		t.Errorf("id %d", e.ID)
	}
}

func TestStoreRefuses(t *testing.T) {
	in := write(t, longWalks(5, 1)...)
	_, m := readFile(t, in.Files[0])
	st := open(t, in)
	tests := []struct {
		name string
		at   trajectory.Location
	}{
		{"no such file", trajectory.Location{File: 1, Rows: 2}},
		{"a file before the first", trajectory.Location{File: -1, Rows: 2}},
		{"rows past the end", trajectory.Location{Row: 1000, Rows: 2}},
	}
	for _, test := range tests {
		if _, err := st.Episode(trajectory.Meta{Location: test.at}); err == nil {
			t.Errorf("%s: it went well", test.name)
		}
	}
	fetch(t, st, m[0]) // an error does no harm
}

func TestStoresAreShared(t *testing.T) {
	in := write(t, longWalks(5, 1)...)
	other := in
	other.Options = dataset.Options{Columns: map[string]string{"rewards": "reward"}}
	first, second, apart := OpenStore(in), OpenStore(in), OpenStore(other)
	if first != second || first == apart {
		t.Error("a store is shared by those who read the same files in the same way, and by no others")
	}
	for _, st := range []*Store{first, second, apart} {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	if reopened := open(t, in); reopened == first {
		t.Error("a closed store is given out again")
	}
}

func TestStoreOfAFileWrittenAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.parquet")
	in := Input{Files: []string{path}}
	for _, seed := range []uint64{1, 2} {
		maze := fixture.Maze(3, seed)
		fixture.Write(t, path, maze...)
		store := OpenStore(in) // not closed: as on a runner that tears nothing down
		got, err := store.Episode(trajectory.Meta{Location: trajectory.Location{Rows: int64(maze[0].Len())}})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(maze[0].Observations, got.Observations); d != "" {
			t.Errorf("seed %d: %s", seed, d)
		}
	}
}
