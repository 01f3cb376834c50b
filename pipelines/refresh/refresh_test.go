package refresh_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/refresh"
	"diffstitch/pipelines/train"
	"diffstitch/transforms/pair"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
)

// world is some days of data, and models trained on them for a few steps, made once.
var world struct{ data, models string }

// days that the world's data has.
const days = 4

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "refresh")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		world.data, world.models = filepath.Join(dir, "data"), filepath.Join(dir, "models")
		for day := range days {
			if err := addDay(world.data, day); err != nil {
				panic(err)
			}
		}
		_, err = train.Run(context.Background(), train.Options{
			Data: input.Data{Path: world.data}, Models: world.models, Preset: "tiny", Steps: 40, Seed: 2, Backend: "go", Runner: "prism",
		}, nil)
		if err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// addDay adds a file of episodes.
func addDay(data string, day int) error {
	if err := os.MkdirAll(data, 0o755); err != nil {
		return err
	}
	_, err := exchange.GeneratePointMaze(context.Background(), exchange.GenerateOptions{
		Out: filepath.Join(data, dayFile(day)), Episodes: 10, Seed: uint64(day),
	})
	return err
}

func dayFile(day int) string { return fmt.Sprintf("day-%02d.parquet", day) }

// options refresh a copy of the world's data, keeping every stitch.
func options(t *testing.T) refresh.Options {
	t.Helper()
	o := refresh.DefaultOptions()
	a := &o.Augment
	a.Data = input.Data{Path: filepath.Join(t.TempDir(), "data"), MaxRejectShare: 0.01}
	a.Models, a.Out = world.models, filepath.Join(t.TempDir(), "out")
	if err := os.CopyFS(a.Data.Path, os.DirFS(world.data)); err != nil {
		t.Fatal(err)
	}
	a.Stitches, a.Batch, a.Seed, a.Pairing = 32, 16, 7, pair.Uniform
	a.Sampler.Steps, a.Refine, a.Delta = 4, method.RefineOff, method.Delta{Off: true}
	a.Mix.RowGroupRows, a.Mix.PartRows = 500, 3000
	a.Backend = "go"
	return o
}

func run(t *testing.T, o refresh.Options) refresh.Result {
	t.Helper()
	r, err := refresh.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestUpToDate: only what changes D* has it made anew.
func TestUpToDate(t *testing.T) {
	o := options(t)
	first := run(t, o)
	if first.UpToDate || first.Current != "" || len(first.Inputs.New) != days {
		t.Errorf("the first refresh: %+v", first.Plan)
	}
	moved := filepath.Join(t.TempDir(), "elsewhere")
	for _, step := range []struct {
		name   string
		change func() error
		inputs refresh.Inputs
		why    string // "" where nothing is to be done
	}{
		{"nothing", func() error { return nil }, refresh.Inputs{Unchanged: days}, ""},
		{"the data lies elsewhere", func() error {
			from := o.Augment.Data.Path
			o.Augment.Data.Path = moved
			return os.Rename(from, moved)
		}, refresh.Inputs{Unchanged: days}, ""},
		{"a glob of the same", func() error { o.Augment.Data.Path = moved + "/*.parquet"; return nil }, refresh.Inputs{Unchanged: days}, ""},
		{"a file is touched", func() error {
			text, err := os.ReadFile(filepath.Join(moved, "day-01.parquet"))
			return errors.Join(err, os.WriteFile(filepath.Join(moved, "day-01.parquet"), text, 0o644))
		}, refresh.Inputs{Unchanged: days}, ""},
		{"a new file", func() error { return addDay(moved, days) }, refresh.Inputs{New: []string{"day-04.parquet"}, Unchanged: days}, "inputs: 1 new"},
		{"a changed file", func() error {
			text, err := os.ReadFile(filepath.Join(moved, "day-02.parquet"))
			return errors.Join(err, os.WriteFile(filepath.Join(moved, "day-01.parquet"), text, 0o644))
		}, refresh.Inputs{Changed: []string{"day-01.parquet"}, Unchanged: days}, "inputs: 0 new, 1 changed"},
		{"a removed file", func() error { return os.Remove(filepath.Join(moved, "day-00.parquet")) }, refresh.Inputs{Removed: []string{"day-00.parquet"}, Unchanged: days}, "1 removed"},
		{"another seed", func() error { o.Augment.Seed++; return nil }, refresh.Inputs{Unchanged: days}, "configuration: seed 7 against 8"},
	} {
		t.Run(step.name, func(t *testing.T) {
			before, err := snapshot.Current(o.Augment.Out)
			if err := errors.Join(err, step.change()); err != nil {
				t.Fatal(err)
			}
			plan, err := refresh.PlanOf(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(step.inputs, plan.Inputs); d != "" {
				t.Error(d)
			}
			if plan.UpToDate != (step.why == "") || !strings.Contains(strings.Join(plan.Why, "; "), step.why) {
				t.Errorf("up to date: %v, %q", plan.UpToDate, plan.Why)
			}
			after := run(t, o).Snapshot
			if done := after.ID != before.ID; done != (step.why != "") {
				t.Errorf("the snapshot %s follows %s", after.ID, before.ID)
			} else if done && after.Manifest.Parent != before.ID {
				t.Errorf("the parent of %s is %q, not %s", after.ID, after.Manifest.Parent, before.ID)
			}
			if again := run(t, o); !again.UpToDate || again.Snapshot.ID != after.ID {
				t.Errorf("once more: %+v", again.Plan)
			}
		})
	}
}

// TestFull: what is made anew of the same inputs is the same.
func TestFull(t *testing.T) {
	o := options(t)
	first := run(t, o)
	o.Full = true
	again := run(t, o)
	if again.Snapshot.ID == first.Snapshot.ID || !slices.Equal(hashes(first.Snapshot), hashes(again.Snapshot)) {
		t.Errorf("%s: %v, then %s: %v", first.Snapshot.ID, hashes(first.Snapshot), again.Snapshot.ID, hashes(again.Snapshot))
	}
}

// hashes are those of a snapshot's files.
func hashes(s snapshot.Snapshot) (sums []string) {
	for _, p := range s.Manifest.Parts {
		sums = append(sums, p.SHA256)
	}
	return sums
}

// TestGates: what is not good enough is not published, and the report tells why.
func TestGates(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, o *refresh.Options)
		want   string // "" of what passes
	}{
		{"as it was", func(t *testing.T, o *refresh.Options) { o.Full = true }, ""},
		{"few are accepted", func(t *testing.T, o *refresh.Options) {
			o.Augment.Delta = method.Delta{Value: 1e-6}
		}, "acceptance: 0 of the attempts were accepted, and --min-acceptance asks for 0.05"},
		{"half the data is gone", func(t *testing.T, o *refresh.Options) {
			o.Gates.Tolerance = 0.2
			for _, day := range []string{"00", "01"} {
				if err := os.Remove(filepath.Join(o.Augment.Data.Path, "day-"+day+".parquet")); err != nil {
					t.Fatal(err)
				}
			}
		}, "original transitions: "},
		{"twice the data", func(t *testing.T, o *refresh.Options) {
			o.Gates.Tolerance = 0.2
			for day := range days {
				if err := addDay(o.Augment.Data.Path, days+day); err != nil {
					t.Fatal(err)
				}
			}
		}, "original transitions: "},
		{"few are true", func(t *testing.T, o *refresh.Options) {
			o.Full, o.Gates.Env, o.Gates.MinTruth = true, "pointmaze", 0.9
		}, "--min-truth asks for 0.9"},
		{"some are true", func(t *testing.T, o *refresh.Options) { o.Full, o.Gates.Env = true, "pointmaze" }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(t)
			before := run(t, o).Snapshot
			test.change(t, &o)
			r, err := refresh.Run(t.Context(), o, nil)
			current, failed := snapshot.Current(o.Augment.Out)
			if failed != nil {
				t.Fatal(failed)
			}
			if test.want == "" {
				if err != nil || current.ID == before.ID || r.Snapshot.Manifest.Quality == nil {
					t.Errorf("%v; current is %s", err, current.ID)
				}
				return
			}
			if !errors.Is(err, failure.ErrRefused) || !strings.Contains(err.Error(), test.want) || current.ID != before.ID {
				t.Errorf("%v; current is %s, was %s", err, current.ID, before.ID)
			}
			checkRefused(t, o.Augment.Out, test.want, err)
			// It is no obstacle to the next run.
			o.Gates = refresh.Gates{Tolerance: 0.9}
			run(t, o)
		})
	}
}

// checkRefused looks at what tells of a snapshot that was refused.
func checkRefused(t *testing.T, out, want string, said error) {
	t.Helper()
	path := filepath.Join(out, "refused", "index.html")
	page, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(page), want) || !strings.Contains(said.Error(), path) {
		t.Errorf("the report %s, which %v names: %v", path, said, err)
	}
	if _, err := os.Stat(filepath.Join(out, "refused", "manifest.json")); err != nil {
		t.Error(err)
	}
	if all, err := snapshot.List(out); err != nil || len(all) != 1 {
		t.Errorf("%d snapshots: %v", len(all), err)
	}
}

// TestFirstRefused: a gate may refuse the first snapshot, too.
func TestFirstRefused(t *testing.T) {
	o := options(t)
	o.Augment.Delta = method.Delta{Value: 1e-6}
	if _, err := refresh.Run(t.Context(), o, nil); !errors.Is(err, failure.ErrRefused) {
		t.Fatal(err)
	}
	if _, err := snapshot.Current(o.Augment.Out); !errors.Is(err, snapshot.ErrNoSnapshot) {
		t.Errorf("current: %v", err)
	}
	o.Gates.MinAcceptance = 0
	run(t, o)
}

// TestOneAtATime begins a second refresh while the first is at work.
func TestOneAtATime(t *testing.T) {
	o := options(t)
	var second error
	begin := sync.OnceFunc(func() { _, second = refresh.Run(t.Context(), o, nil) })
	_, err := refresh.Run(t.Context(), o, func(p observe.Progress) {
		if p.Said == "" { // else it may only plan yet
			begin()
		}
	})
	if err != nil {
		t.Fatal("the first:", err)
	}
	if !errors.Is(second, snapshot.ErrLocked) {
		t.Errorf("the second: error %v", second)
	}
	if r := run(t, o); !r.UpToDate {
		t.Errorf("the third: %+v", r.Plan)
	}
}

func TestWrongUsage(t *testing.T) {
	for name, change := range map[string]func(*refresh.Options){
		"an acceptance that cannot be": func(o *refresh.Options) { o.Gates.MinAcceptance = 1.5 },
		"any tolerance":                func(o *refresh.Options) { o.Gates.Tolerance = 1 },
		"truth by nobody":              func(o *refresh.Options) { o.Gates.MinTruth = 0.5 },
		"no amount":                    func(o *refresh.Options) { o.Augment.Stitches = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			change(&o)
			if _, err := refresh.Run(t.Context(), o, nil); !errors.Is(err, failure.ErrUsage) {
				t.Errorf("error %v", err)
			}
		})
	}
}
