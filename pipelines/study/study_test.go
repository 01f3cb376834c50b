package study

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/session"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/train"

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

// fakes are tools that do nothing but say what they were asked for.
type fakes struct {
	done []string
	fail string // the call that fails, by how it begins
}

var errFake = errors.New("no")

func (f *fakes) call(format string, values ...any) error {
	line := fmt.Sprintf(format, values...)
	f.done = append(f.done, line)
	if f.fail != "" && strings.HasPrefix(line, f.fail) {
		return errFake
	}
	return nil
}

func (f *fakes) tools() Tools {
	return Tools{
		Generate: func(_ context.Context, o exchange.GenerateOptions) (int64, error) {
			return 100, f.call("generate %d episodes", o.Episodes)
		},
		Sample: func(_ context.Context, o exchange.SampleOptions) (exchange.Sampled, error) {
			return exchange.Sampled{Episodes: 1, Transitions: 20}, f.call("sample %g", o.Share)
		},
		Train: func(_ context.Context, o train.Options, _ func(observe.Progress)) (session.Info, error) {
			return session.Info{}, f.call("train %s %v", o.Preset, o.Methods)
		},
		Augment: func(_ context.Context, o augment.Options, _ augment.Judge, _ func(observe.Progress)) (snapshot.Snapshot, error) {
			s := snapshot.Snapshot{ID: "id", Manifest: snapshot.Manifest{Stitched: snapshot.Count{Episodes: 2, Transitions: o.Stitches}}}
			if o.Delta.Value == tooSmall {
				s.Manifest.Stitched = snapshot.Count{}
			}
			return s, f.call("augment %s δ %v constant %d %s", o.Method, o.Delta, o.Estimate.Constant, o.Pairing)
		},
		Evaluate: func(_ context.Context, o evaluate.Options, _ func(observe.Progress)) (evaluate.Evaluation, error) {
			return evaluate.Evaluation{Score: 2, ScoreSD: 1}, f.call("evaluate %s %v", o.Learner, o.Ratio)
		},
		Check: func(_ context.Context, data input.Data, _, environment string) error {
			return f.call("check %s of %s", filepath.Base(data.Path), environment)
		},
	}
}

// tooSmall is the threshold at which the fakes accept nothing.
var tooSmall = thresholdsOf(Maze).compared[0].Value

func doStudy(t *testing.T, o Options, f *fakes) (Result, error) {
	t.Helper()
	f.done = nil
	return Run(t.Context(), o, f.tools(), Watch{}, "diffstitch study "+o.Study)
}

// TestFinishedStepsAreKept interrupts a study by failures, widens it, and has each
// step done once.
func TestFinishedStepsAreKept(t *testing.T) {
	o := onGo(t, Main)
	o.Methods, o.Learners = []string{Original, DiffStitch}, []string{IQL}
	f := &fakes{fail: "augment"}
	result, err := doStudy(t, o, f)
	if err == nil || !strings.Contains(err.Error(), "D* by DiffStitch") || errors.Is(err, errFake) {
		t.Fatalf("error %v, want the augmentation's in words", err)
	}
	want := []string{"generate 500 episodes", "train tiny [diffstitch]", "augment diffstitch δ 0.37 constant 0 reference", "evaluate iql 1:0"}
	if d := cmp.Diff(want, f.done); d != "" {
		t.Errorf("the first run (-want +got):\n%s", d)
	}
	if text := result.Text(); !strings.Contains(text, "– failed") || !strings.Contains(text, "2.0 ± 1.0") {
		t.Errorf("the table of a part of the study:\n%s", text)
	}

	f.fail = ""
	if _, err = doStudy(t, o, f); err != nil {
		t.Fatal(err)
	}
	want = []string{"augment diffstitch δ 0.37 constant 0 reference", "evaluate iql 4:1"}
	if d := cmp.Diff(want, f.done); d != "" {
		t.Errorf("the second run (-want +got):\n%s", d)
	}

	o.Learners = []string{DT, IQL}
	if _, err = doStudy(t, o, f); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"evaluate dt 1:0", "evaluate dt 4:1"}, f.done); d != "" {
		t.Errorf("with a learner more (-want +got):\n%s", d)
	}

	o.Study = Ablation
	if _, err = doStudy(t, o, f); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"augment diffstitch δ 0.37 constant 6 uniform", "augment diffstitch δ off constant 0 reference",
		"evaluate iql 4:1", "evaluate dt 4:1", "evaluate iql 4:1", "evaluate dt 4:1",
	}
	if d := cmp.Diff(want, f.done); d != "" {
		t.Errorf("another study of the folder (-want +got):\n%s", d)
	}
	if p := look(t, o); !strings.Contains(p.Text(), "all of the 13 steps are finished") {
		t.Errorf("the plan of a finished study:\n%s", p.Text())
	}
}

// TestEnvironmentComesFirst has a study of given data do nothing where there is not
// its environment, nor look for it when all is finished.
func TestEnvironmentComesFirst(t *testing.T) {
	o := onGo(t, Main)
	o.Methods, o.Learners = []string{Original}, []string{IQL}
	o.Data.Path, o.Env = filepath.Join(t.TempDir(), "d.parquet"), "Hopper-v5"
	if err := os.WriteFile(o.Data.Path, []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := &fakes{fail: "check"}
	if _, err := doStudy(t, o, f); !errors.Is(err, errFake) {
		t.Errorf("error %v, want the check's", err)
	}
	if left, _ := os.ReadDir(o.Out); len(left) > 0 {
		t.Errorf("%v are left behind", left)
	}
	for _, want := range [][]string{{"check d.parquet of Hopper-v5", "evaluate iql 1:0"}, nil} {
		f.fail = ""
		if _, err := doStudy(t, o, f); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, f.done); d != "" {
			t.Errorf("done (-want +got):\n%s", d)
		}
	}
}

// TestInterruption has a study stop where its context ends, and go on from there.
func TestInterruption(t *testing.T) {
	o := onGo(t, Main)
	o.Methods, o.Learners = []string{Original}, []string{IQL, TD3BC}
	ctx, cancel := context.WithCancel(t.Context())
	f := &fakes{}
	tools := f.tools()
	tools.Evaluate = func(ctx context.Context, _ evaluate.Options, _ func(observe.Progress)) (evaluate.Evaluation, error) {
		cancel()
		return evaluate.Evaluation{}, ctx.Err()
	}
	if _, err := Run(ctx, o, tools, Watch{}, ""); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the interruption", err)
	}
	result, err := doStudy(t, o, f)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"evaluate iql 1:0", "evaluate td3bc 1:0"}, f.done); d != "" {
		t.Errorf("after the interruption (-want +got):\n%s", d)
	}
	cells := result.Rows[0].Cells
	if !result.Records[cells[IQL]].Resumed || result.Records[cells[TD3BC]].Resumed {
		t.Error("the record does not tell which cell was resumed")
	}
}

// TestNothingAccepted has cells without data to draw from say so.
func TestNothingAccepted(t *testing.T) {
	o := onGo(t, Delta)
	o.Learners = []string{IQL}
	f := &fakes{}
	result, err := doStudy(t, o, f)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(result.Text(), "\n")
	if !strings.Contains(lines[1], "nothing was accepted") || strings.Contains(lines[2], "nothing was accepted") {
		t.Errorf("the table:\n%s", result.Text())
	}
}

func TestOneStudyAtATime(t *testing.T) {
	o := onGo(t, Main)
	f := &fakes{}
	tools := f.tools()
	var second error
	tools.Generate = func(context.Context, exchange.GenerateOptions) (int64, error) {
		_, second = Run(t.Context(), o, f.tools(), Watch{}, "")
		return 0, second
	}
	if _, err := Run(t.Context(), o, tools, Watch{}, ""); err == nil || !errors.Is(second, snapshot.ErrLocked) {
		t.Errorf("errors %v and %v, want that the folder is locked", err, second)
	}
}

// TestEstimates has the time of a step told by those like it.
func TestEstimates(t *testing.T) {
	steps := func(seconds float64, resumed bool) Record {
		return Record{Seconds: seconds, Resumed: resumed, Work: Work{Amount: 100, Alike: "a"}}
	}
	got := rates(map[string]Record{"1": steps(10, false), "2": steps(30, false), "3": steps(1, true)})
	if d := cmp.Diff(map[string]float64{"a": 0.2}, got); d != "" {
		t.Errorf("rates (-want +got):\n%s", d)
	}
}
