package faults

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/testing/stores"
)

// days are what is refreshed: the data one day, and the next, as whose D* an undisturbed
// refresh made.
type days struct {
	data    [2]string
	dataset [2]rows
	hashes  [2][]string
	took    time.Duration
}

var makeDays = sync.OnceValue(func() *days { return &days{} })

// made makes the days where they are not.
func (d *days) made(t *testing.T) {
	if d.took > 0 {
		return
	}
	for i := range d.data {
		d.data[i] = filepath.Join(world.dir, fmt.Sprintf("days-%d", i))
		for day := range 3 + i {
			must(t, diffstitch(t, "", "generate", "pointmaze", "--episodes", "12", "--seed", fmt.Sprint(20+day),
				"--out", filepath.Join(d.data[i], fmt.Sprintf("day-%d.parquet", day))))
		}
		out := filepath.Join(world.dir, fmt.Sprintf("refreshed-%d", i))
		start := time.Now()
		must(t, diffstitch(t, "", refreshArgs(d.data[i], out)...))
		d.took = time.Since(start)
		d.dataset[i], d.hashes[i] = readRows(t, out), partHashes(t, out)
	}
}

func refreshArgs(data, out string) []string {
	return []string{
		"refresh", "--data", data, "--models", world.models, "--out", out, "--stitches", "16", "--batch", "8", "--refine", "off", "--candidates", "64", "--sampler-steps", "4",
		"--delta", "off", "--min-acceptance", "0", "--tolerance", "0.9", "--row-group-rows", "500", "--part-rows", "3000", "--backend", "go", "--seed", "7",
	}
}

// onStorages runs a test on a folder of this machine and on a faulty object store, with its
// share of the kills.
func onStorages(t *testing.T, test func(t *testing.T, root string, kills int)) {
	t.Run("local", func(t *testing.T) { test(t, t.TempDir(), (kills+1)/2) })
	t.Run("gs", func(t *testing.T) {
		s := stores.Start(t, stores.GCS)
		s.Suffer(stores.Faults{Seed: 1, Unavailable: 0.02, TooMany: 0.01, Reset: 0.02, Truncated: 0.01})
		test(t, s.Root, max(1, kills/2))
	})
}

// TestKillTheRefresh kills refreshes at random points, as the data goes back and forth
// between two days. CURRENT names a whole snapshot throughout, and the refresh that follows
// publishes the undisturbed D*.
func TestKillTheRefresh(t *testing.T) {
	setup(t)
	d := makeDays()
	d.made(t)
	onStorages(t, func(t *testing.T, root string, kills int) {
		l, rng := newTally(t), rand.New(rand.NewPCG(3, 3))
		out := storage.Join(root, "out")
		must(t, diffstitch(t, "", refreshArgs(d.data[0], out)...))
		reader := read(t, out)
		for day := 1; l.faults < kills && l.runs < 8*kills; day = 1 - day {
			args := refreshArgs(d.data[day], out)
			if killed(t, moment(rng, d.took), args...) {
				l.faults++
			}
			must(t, diffstitch(t, "", args...))
			l.runs += 2
			l.compare(d.dataset[day], readRows(t, out))
			if got := partHashes(t, out); !slices.Equal(got, d.hashes[day]) {
				t.Errorf("D* differs from the undisturbed one: %q, want %q", got, d.hashes[day])
			}
			// Nothing is done where nothing has changed.
			if r := diffstitch(t, "", args...); r.code != 0 || !strings.Contains(r.output, "nothing to do") {
				t.Errorf("once more: exit code %d\n%s", r.code, r.output)
			}
			must(t, command(t, world.binary, "snapshots", "prune", "--out", out, "--keep", "3"))
		}
		reader.end(l)
		if l.faults < kills {
			t.Errorf("%d of %d kills hit a refresh", l.faults, kills)
		}
		must(t, command(t, world.binary, "clean", "--out", out))
		must(t, command(t, world.binary, "snapshots", "verify", "--out", out))
	})
}

// TestRefreshesAtOnce starts refreshes of the same folder at once, generation after
// generation: one publishes, the others are kept out or overtaken, or find it done.
func TestRefreshesAtOnce(t *testing.T) {
	setup(t)
	d := makeDays()
	d.made(t)
	atOnce, generations := 6, 1
	if kills >= 50 {
		atOnce, generations = 20, 3
	}
	for _, kind := range []string{"local", stores.GCS, stores.S3} {
		t.Run(kind, func(t *testing.T) {
			root := t.TempDir()
			if kind != "local" {
				root = stores.Start(t, kind).Root
			}
			l, out := newTally(t), storage.Join(root, "out")
			must(t, diffstitch(t, "", refreshArgs(d.data[0], out)...))
			reader := read(t, out)
			for generation := range generations {
				day := (generation + 1) % 2
				codes := refreshAtOnce(t, refreshArgs(d.data[day], out), atOnce)
				l.runs += atOnce
				t.Logf("generation %d: %v", generation+1, codes)
				all, err := snapshot.List(out)
				if err != nil || len(all) != generation+2 {
					t.Errorf("there are %d snapshots after generation %d (%v)", len(all), generation+1, err)
				}
				l.compare(d.dataset[day], readRows(t, out))
				if got := partHashes(t, out); !slices.Equal(got, d.hashes[day]) {
					t.Errorf("D* differs from the undisturbed one: %q, want %q", got, d.hashes[day])
				}
			}
			reader.end(l)
		})
	}
}

// refreshAtOnce counts exit codes.
func refreshAtOnce(t *testing.T, args []string, atOnce int) map[int]int {
	codes := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			r := diffstitch(t, "", args...)
			mu.Lock()
			defer mu.Unlock()
			codes[r.code]++
			if r.code != 0 && r.code != 4 && r.code != 5 {
				t.Errorf("exit code %d:\n%s", r.code, r.output)
			}
		})
	}
	all.Wait()
	if codes[0] == 0 {
		t.Errorf("none of %d published: %v", atOnce, codes)
	}
	return codes
}
