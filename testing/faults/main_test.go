// Package faults makes runs of the real binary fail in every way that can be
// brought about on one machine, and checks what is left: D* equal to that of an
// undisturbed run, no partial snapshot, nothing in the staging after
// `diffstitch clean`, and a message that says what was wrong.
//
// It runs where FAULTS says how many times a process is to be killed at a random
// point: see `make faults`.
package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// kills is how many processes are killed at random points; 0 skips the suite.
var kills int

// world is what the tests share: a binary with faults built in, a small dataset,
// models, and how long those of DiffStitch trained.
var world struct {
	dir, binary, data, models string
	modelHashes               []string
	training                  time.Duration
}

// work is what is disturbed: an augmentation by a method.
type work struct {
	method   string
	attempts int64 // made in one round
	batch    int64
	args     []string
	less     []string // for an earlier snapshot, which is another
	models   string

	// What an undisturbed run made.
	out     string
	dataset rows
	hashes  []string // of D*'s files
	took    time.Duration
}

// The methods, and all of them.
var (
	stitching = &work{
		method: "diffstitch", attempts: 40, batch: 8, less: []string{"--stitches", "8"},
		args: []string{"--stitches", "40", "--candidates", "64", "--sampler-steps", "4", "--delta", "off"},
	}
	sampling = &work{
		method: "synther", attempts: 768, batch: 96, less: []string{"--transitions", "90"},
		args: []string{"--transitions", "700", "--heun-steps", "4"},
	}
	rolling = &work{
		method: "tatu", attempts: 160, batch: 32, less: []string{"--transitions", "90"},
		args: []string{"--transitions", "700", "--truncation", "9"}, // in models that were hardly trained
	}
	works = []*work{stitching, sampling, rolling}
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if text := os.Getenv("FAULTS"); text != "" {
			if kills, err = strconv.Atoi(text); err != nil {
				fmt.Fprintf(os.Stderr, "FAULTS=%q is no number\n", text)
				return 2
			}
		}
		if world.dir, err = os.MkdirTemp("", "diffstitch-faults-*"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(world.dir)
		code := m.Run()
		printTable()
		return code
	}())
}

var prepare sync.Once

// setup skips a test where the suite is not asked for, and makes the world.
func setup(t *testing.T) {
	t.Helper()
	if kills == 0 {
		t.Skip("set FAULTS to the number of kills (make faults)")
	}
	prepare.Do(func() { makeWorld(t) })
	if rolling.hashes == nil {
		t.Fatal("an undisturbed run failed")
	}
}

func makeWorld(t *testing.T) {
	world.binary = filepath.Join(world.dir, "diffstitch")
	world.data, world.models = filepath.Join(world.dir, "maze.parquet"), filepath.Join(world.dir, "models")
	must(t, command(t, "go", "build", "-tags", "faults", "-o", world.binary, "diffstitch/cmd/run"))
	must(t, diffstitch(t, "", "generate", "pointmaze", "--out", world.data, "--episodes", "40", "--seed", "5"))
	start := time.Now()
	must(t, train(t, "", world.models))
	world.training = time.Since(start)
	world.modelHashes = modelHashes(t, world.models)
	baselines := filepath.Join(world.dir, "baselines")
	must(t, train(t, "", baselines, "--method", sampling.method+","+rolling.method))
	stitching.models, sampling.models, rolling.models = world.models, baselines, baselines
	for _, w := range works {
		w.undisturbed(t, w.method)
	}
}

// undisturbed makes what the work makes of itself.
func (w *work) undisturbed(t *testing.T, name string) {
	w.out = filepath.Join(world.dir, "undisturbed-"+name)
	start := time.Now()
	must(t, w.augment(t, "", w.out))
	w.took = time.Since(start)
	w.dataset, w.hashes = readRows(t, w.out), partHashes(t, w.out)
}

// tally is a line of the table that ends the suite.
type tally struct {
	name                        string
	of                          *work // nil of what is no augmentation
	runs, faults, lost, doubled int
	reads, broken               int // by those who read all the while
}

var (
	tallies   []*tally
	talliesMu sync.Mutex
)

// tally begins a line on runs of a work.
func (w *work) tally(t *testing.T) *tally {
	l := newTally(t)
	l.of = w
	return l
}

func newTally(t *testing.T) *tally {
	l := &tally{name: strings.TrimPrefix(t.Name(), "Test")}
	talliesMu.Lock()
	defer talliesMu.Unlock()
	tallies = append(tallies, l)
	return l
}

func printTable() {
	if len(tallies) == 0 {
		return
	}
	sum := &tally{name: "all"}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintln(w, "\truns\tfaults injected\trows lost\trows doubled\treads\tbroken reads\t")
	for _, l := range tallies {
		sum.runs, sum.faults, sum.lost, sum.doubled = sum.runs+l.runs, sum.faults+l.faults, sum.lost+l.lost, sum.doubled+l.doubled
		sum.reads, sum.broken = sum.reads+l.reads, sum.broken+l.broken
	}
	for _, l := range append(tallies, sum) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", l.name, l.runs, l.faults, l.lost, l.doubled, l.reads, l.broken)
	}
	w.Flush()
}
