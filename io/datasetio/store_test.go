package datasetio

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
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

// TestWindows: States and Rewards are those of the episode, wherever windows
// begin, and what is kept is not read again.
func TestWindows(t *testing.T) {
	long := fixture.RandomWalks(fixture.Shape{Episodes: 3, MaxSteps: 1500, ObservationDim: 3, ActionDim: 2}, 8)
	in := write(t, long...)
	_, m := readFile(t, in.Files[0])
	rapid.Check(t, func(t *rapid.T) {
		st := OpenStore(in)
		defer st.Close() // nothing was written
		for range 10 {
			i := rapid.IntRange(0, 2).Draw(t, "episode")
			to := rapid.IntRange(1, long[i].Len()).Draw(t, "to")
			from := rapid.IntRange(0, to-1).Draw(t, "from")
			states, err := st.States(context.Background(), m[i], from, to)
			if err != nil || !slices.Equal(states, long[i].Observations[3*from:3*to]) {
				t.Fatalf("states %d to %d of episode %d: %v", from, to, i, err)
			}
			rewards, err := st.Rewards(context.Background(), m[i])
			if err != nil || !slices.Equal(rewards, long[i].Rewards) {
				t.Fatalf("rewards of episode %d: %v", i, err)
			}
		}
	})
}

func TestStoreFetchesConcurrently(t *testing.T) {
	episodes := longWalks(40, 2)
	in := write(t, episodes...)
	_, m := readFile(t, in.Files[0])
	st := open(t, in)
	st.cache = dataset.NewCache(2000) // too little for all
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
				}
				states, err := st.States(t.Context(), m[i], 1, e.Len())
				if err != nil || !slices.Equal(states, e.Observations[3:]) {
					t.Errorf("the states of episode %d: %v", i, err)
				}
			}
		})
	}
	users.Wait()
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
