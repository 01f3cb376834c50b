package study

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/pipelines/failure"

	"github.com/google/go-cmp/cmp"
)

// golden compares a text with the file of its name, or rewrites the file: -update is
// a flag already, of Beam's Dataflow runner.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

// onGo are the defaults of a study in a new folder, on the backend that is always
// there.
func onGo(t *testing.T, study string) Options {
	o := DefaultOptions(study)
	o.Out, o.Backend, o.Seed = t.TempDir(), "go", 1
	return o
}

func look(t *testing.T, o Options) Preview {
	t.Helper()
	p, err := Look(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlans has the plan of each study as its dry run shows it.
func TestPlans(t *testing.T) {
	for _, study := range Names {
		t.Run(study, func(t *testing.T) { golden(t, study+".txt", look(t, onGo(t, study)).Text()) })
	}
}

// TestSharedSteps has studies of one folder build on the same steps.
func TestSharedSteps(t *testing.T) {
	all := map[string]int{}
	for _, study := range Names {
		for _, step := range look(t, onGo(t, study)).Steps {
			all[step.Key]++
		}
	}
	shared := 0
	for _, studies := range all {
		if studies > 1 {
			shared++
		}
	}
	// The data, DiffStitch's models, its D*, three cells on D and three on D*.
	if shared < 9 {
		t.Errorf("only %d of %d steps are in several studies", shared, len(all))
	}
}

// TestKeys says what changes which steps' keys.
func TestKeys(t *testing.T) {
	keys := func(change func(*Options)) map[Kind][]string {
		o := onGo(t, Main)
		o.Methods, o.Learners = []string{DiffStitch}, []string{IQL}
		if change != nil {
			change(&o)
		}
		of := map[Kind][]string{}
		for _, step := range look(t, o).Steps {
			of[step.Kind] = append(of[step.Kind], step.Key)
		}
		return of
	}
	usual := keys(nil)
	if d := cmp.Diff(usual, keys(nil)); d != "" {
		t.Fatalf("keys of the same settings differ: %s", d)
	}
	tests := []struct {
		name   string
		change func(*Options)
		from   Kind // the first that changes; "" for none
	}{
		{"out", func(o *Options) { o.Out += "-other" }, ""},
		{"runner", func(o *Options) { o.Runner = "direct" }, ""},
		{"seed", func(o *Options) { o.Seed = 2 }, DataStep},
		{"preset", func(o *Options) { o.Preset = "small" }, ModelsStep},
		{"horizon", func(o *Options) { o.Horizon = 24 }, ModelsStep},
		{"stitches", func(o *Options) { o.Stitches = 64 }, AugmentStep},
		{"transitions", func(o *Options) { o.Transitions = 64 }, ""}, // of the baselines
		{"updates", func(o *Options) { o.Updates = 10 }, CellStep},
		{"seeds", func(o *Options) { o.Seeds = 5 }, CellStep},
		{"episodes", func(o *Options) { o.Episodes = 5 }, CellStep},
		{"scale", func(o *Options) { o.Scale = "paper" }, DataStep},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, changed := keys(test.change), false
			for _, kind := range Kinds {
				changed = changed || kind == test.from
				if cmp.Equal(usual[kind], got[kind]) == changed {
					t.Errorf("%s: keys %v, were %v", kind, got[kind], usual[kind])
				}
			}
		})
	}
}

func TestGivenData(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first := func(path string) string {
		o := onGo(t, Main)
		o.Data.Path, o.Env = path, "Hopper-v5"
		return look(t, o).Steps[0].Needs[0]
	}
	a, same, other := write("a.parquet", "a"), write("same.parquet", "a"), write("other.parquet", "b")
	if first(a) != first(same) {
		t.Error("the same data has another key under another name")
	}
	if first(a) == first(other) {
		t.Error("other data has the same key")
	}
}

func TestWrongUsage(t *testing.T) {
	tests := map[string]func(*Options){
		"study":             func(o *Options) { o.Study = "everything" },
		"scale":             func(o *Options) { o.Scale = "huge" },
		"preset":            func(o *Options) { o.Preset = "huge" },
		"learner":           func(o *Options) { o.Learners = []string{"sac"} },
		"no learner":        func(o *Options) { o.Learners = nil },
		"method":            func(o *Options) { o.Methods = []string{"copying"} },
		"data without env":  func(o *Options) { o.Data.Path = "data.parquet" },
		"env without data":  func(o *Options) { o.Env = "Hopper-v5" },
		"runner":            func(o *Options) { o.Runner = "heron" },
		"a negative amount": func(o *Options) { o.Updates = -1 },
		"data of its own":   func(o *Options) { o.Study, o.Data.Path, o.Env = Stitch, "data.parquet", Maze },
		"a short horizon":   func(o *Options) { o.Horizon = 3 },
		"no windows":        func(o *Options) { o.Horizon, o.Methods = 55, []string{Original, SynthER} },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			o := onGo(t, Main)
			change(&o)
			_, err := Look(o)
			if !errors.Is(err, failure.ErrUsage) {
				t.Errorf("error %v, want one of wrong usage", err)
			}
			if o.Horizon != 0 && !strings.Contains(fmt.Sprint(err), "--horizon") {
				t.Errorf("error %v does not name the flag", err)
			}
		})
	}
}
