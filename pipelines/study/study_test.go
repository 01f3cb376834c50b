package study

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/observe"

	"github.com/google/go-cmp/cmp"
)

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
	want := []string{"generate 500 episodes", "train tiny [diffstitch]", "augment diffstitch δ 0.37 constant 0 crossings", "evaluate iql 1:0"}
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
	want = []string{"augment diffstitch δ 0.37 constant 0 crossings", "evaluate iql 4:1"}
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
		"augment diffstitch δ 0.37 constant 6 uniform", "augment diffstitch δ off constant 0 crossings",
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

// TestAgainstTheDataAlone has each score beside the success and p, but for the data's own.
func TestAgainstTheDataAlone(t *testing.T) {
	o := onGo(t, Main)
	o.Methods, o.Learners = []string{Original, DiffStitch}, []string{IQL}
	tools := (&fakes{}).tools()
	tools.Evaluate = func(_ context.Context, o evaluate.Options, _ func(observe.Progress)) (evaluate.Evaluation, error) {
		e := evaluate.Evaluation{Success: new(float64)}
		for i := range o.Seeds {
			seed := evaluate.SeedEvaluation{Score: float64(i), Successes: []bool{false, i > 0}}
			if o.Ratio.Augmented > 0 {
				seed.Score += 50
				*e.Success = 0.9
			}
			e.Seeds = append(e.Seeds, seed)
		}
		return e, nil
	}
	result, err := Run(t.Context(), o, tools, Watch{}, "")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(result.Text(), "\n")
	if !strings.Contains(lines[1], " 0.0 ± 0.0, 0 %") || !strings.Contains(lines[2], "(p < 0.001), 90 % (p = 1.000)") {
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
