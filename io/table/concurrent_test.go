package table

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"diffstitch/io/snapshot"
)

// asPublisher has the test's program publish what the variable says, and be done.
const asPublisher = "DIFFSTITCH_TEST_PUBLISHER"

// order is what such a program publishes.
type order struct {
	Options  Options
	Out, ID  string
	Mode     Mode
	Expected bool // that a later one came first
}

func TestMain(m *testing.M) {
	if text := os.Getenv(asPublisher); text != "" {
		if err := follow(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func follow(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	all, err := snapshot.List(o.Out)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(s snapshot.Snapshot) bool { return s.ID == o.ID })
	if _, err := Publish(context.Background(), o.Options, all[at], o.Mode); err != nil && !(o.Expected && errors.Is(err, ErrSuperseded)) {
		return err
	}
	return nil
}

// TestPublishersAtOnce has several goroutines publish to one table, which is not there.
func TestPublishersAtOnce(t *testing.T) {
	places := map[string]func(*testing.T) place{
		"SQLite": newPlace,
		"REST":   func(t *testing.T) place { p, _ := newServer(t); return p },
	}
	for name, at := range places {
		t.Run(name+", added", func(t *testing.T) {
			p := at(t)
			results, all := p.atOnce(t, 6, Append)
			rows := int64(0)
			for i, r := range results {
				rows += all[i].Manifest.Rows()
				if !r.Published {
					t.Errorf("%s was not published: %+v", all[i].ID, r)
				}
			}
			checkChain(t, p.show(t), len(all), rows)
		})
		t.Run(name+", the same", func(t *testing.T) {
			p := at(t)
			s := p.snapshot(t, 5)
			published := 0
			for _, r := range concurrently(t, 6, func(int) (Result, error) { return Publish(t.Context(), p.Options, s, Append) }) {
				if r.Published {
					published++
				}
			}
			if published != 1 {
				t.Errorf("%d publishers had it published, want one", published)
			}
			checkChain(t, p.show(t), 1, s.Manifest.Rows())
		})
		t.Run(name+", replaced", func(t *testing.T) {
			p := at(t)
			results, all := p.atOnce(t, 6, Replace)
			published := 0
			for _, r := range results {
				if r.Published {
					published++
				}
			}
			checkChain(t, p.show(t), published, all[len(all)-1].Manifest.Rows())
		})
	}
}

// atOnce publishes n snapshots at once. One that comes after a later one may be refused.
func (p place) atOnce(t *testing.T, n int, mode Mode) ([]Result, []snapshot.Snapshot) {
	t.Helper()
	var all []snapshot.Snapshot
	for i := range n {
		all = append(all, p.snapshot(t, i+2))
	}
	return concurrently(t, n, func(i int) (Result, error) {
		r, err := Publish(t.Context(), p.Options, all[i], mode)
		if mode == Replace && errors.Is(err, ErrSuperseded) {
			err = nil
		}
		return r, err
	}), all
}

func concurrently(t *testing.T, n int, do func(int) (Result, error)) []Result {
	t.Helper()
	results, failed := make([]Result, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { results[i], failed[i] = do(i) })
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	return results
}

// checkChain looks for so many snapshots of a table, with so many rows in the last: none
// was lost, and none is there twice.
func checkChain(t *testing.T, d Description, snapshots int, rows int64) {
	t.Helper()
	if len(d.Snapshots) != snapshots {
		t.Fatalf("the table has %d snapshots, want %d", len(d.Snapshots), snapshots)
	}
	if last := d.Snapshots[len(d.Snapshots)-1]; !last.Current || last.Rows != rows {
		t.Errorf("the last of the table's snapshots has %d rows, want %d, and is the current one: %v", last.Rows, rows, last.Current)
	}
	seen := map[string]bool{}
	for _, v := range d.Snapshots {
		if seen[v.SnapshotID] {
			t.Errorf("%s is there twice", v.SnapshotID)
		}
		seen[v.SnapshotID] = true
	}
}

// TestPublishingProcesses has several programs publish to one table.
func TestPublishingProcesses(t *testing.T) {
	for _, mode := range []Mode{Append, Replace} {
		t.Run(string(mode), func(t *testing.T) {
			p := newPlace(t)
			var all []*exec.Cmd
			rows, last := int64(0), int64(0)
			for i := range 4 {
				s := p.snapshot(t, i+2)
				last = s.Manifest.Rows()
				rows += last
				all = append(all, p.process(t, order{Options: p.Options, Out: p.out, ID: s.ID, Mode: mode, Expected: mode == Replace}))
			}
			for _, other := range all {
				if err := other.Start(); err != nil {
					t.Fatal(err)
				}
			}
			for _, other := range all {
				if err := other.Wait(); err != nil {
					t.Errorf("%v: %s", err, other.Stderr)
				}
			}
			d := p.show(t)
			if mode == Replace {
				rows = last
			} else if len(d.Snapshots) != len(all) {
				t.Errorf("the table has %d snapshots, want %d", len(d.Snapshots), len(all))
			}
			checkChain(t, d, len(d.Snapshots), rows)
		})
	}
}

func (p place) process(t *testing.T, o order) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), asPublisher+"="+string(text))
	other.Stderr = new(bytes.Buffer)
	return other
}
