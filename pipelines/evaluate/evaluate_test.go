package evaluate_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/learners"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
	"diffstitch/testing/fixture"

	"github.com/google/go-cmp/cmp"
)

// world is a small dataset, made once.
var world struct{ dir, data string }

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "diffstitch")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		world.dir, world.data = dir, filepath.Join(dir, "maze.parquet")
		if _, err := exchange.GeneratePointMaze(context.Background(), exchange.GenerateOptions{Out: world.data, Episodes: 40, Seed: 5}); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// evaluating is a short evaluation on the world's data.
func evaluating(t *testing.T) evaluate.Options {
	return evaluate.Options{
		Data: input.Data{Path: world.data}, Learner: learners.TD3BC, Steps: 8, Seeds: []uint64{3, 4},
		Out: filepath.Join(t.TempDir(), "out"), Env: "pointmaze", Episodes: 3, Backend: "go",
	}
}

func run(t *testing.T, o evaluate.Options) evaluate.Evaluation {
	t.Helper()
	e, err := evaluate.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEvaluate(t *testing.T) {
	o := evaluating(t)
	e := run(t, o)
	if len(e.Seeds) != 2 || e.Seeds[0].Seed != 3 || e.Learner.Steps != 8 || e.Learner.Ratio.String() != "1:0" {
		t.Errorf("evaluation %+v", e)
	}
	for _, s := range e.Seeds {
		if d := cmp.Diff([]int{200, 200, 200}, s.Lengths); d != "" || len(s.Returns) != 3 {
			t.Errorf("%d returns, lengths (-want +got):\n%s", len(s.Returns), d)
		}
		for i, achieved := range s.Successes {
			if achieved != (s.Returns[i] > 0) { // only the goal rewards
				t.Errorf("episode %d returns %v, success %v", i, s.Returns[i], achieved)
			}
		}
		if len(s.Successes) != 3 {
			t.Errorf("successes %v of 3 episodes", s.Successes)
		}
		if want := e.Env.Reference.Score(s.Return); s.Score != want {
			t.Errorf("a return of %v scores %v, want %v", s.Return, s.Score, want)
		}
	}
	if want := (e.Seeds[0].Score + e.Seeds[1].Score) / 2; e.Score != want {
		t.Errorf("the mean score is %v, want %v", e.Score, want)
	}
	if text := e.Text(); !strings.Contains(text, "td3bc in pointmaze, 8 updates") || !strings.Contains(text, "over 2 seeds") || !strings.Contains(text, "\nsuccess ") {
		t.Errorf("text:\n%s", text)
	}

	before := modified(t, o.Out)
	if d := cmp.Diff(e, run(t, o)); d != "" || modified(t, o.Out) != before {
		t.Errorf("a finished evaluation was made again (-first +second):\n%s", d)
	}
	rolled := run(t, evaluate.Options{Policy: filepath.Join(o.Out, "policy"), Env: "pointmaze", Episodes: 3, Backend: "go"})
	rolled.Data = e.Data // which the policies do not know
	if d := cmp.Diff(e, rolled); d != "" {
		t.Errorf("the policies by themselves (-evaluation +rolled out):\n%s", d)
	}
}

// TestEvaluateReadsDataOnce spoils what opening the data does not look at: nobody reads
// it once the policies are there, unless the file was changed since.
func TestEvaluateReadsDataOnce(t *testing.T) {
	o := evaluating(t)
	o.Data.Path = filepath.Join(t.TempDir(), "data.parquet")
	content, err := os.ReadFile(world.data)
	if err != nil {
		t.Fatal(err)
	}
	then := time.Unix(1e9, 5)
	write := func(content []byte, modified time.Time) {
		t.Helper()
		if err := errors.Join(os.WriteFile(o.Data.Path, content, 0o644), os.Chtimes(o.Data.Path, modified, modified)); err != nil {
			t.Fatal(err)
		}
	}
	write(content, then)
	first := run(t, o)

	spoilt := slices.Clone(content)
	clear(spoilt[3*len(spoilt)/4:][:1000]) // of the next observations
	write(spoilt, then)
	run(t, o)
	o.Episodes++
	if e := run(t, o); e.Policy != first.Policy || len(e.Seeds[0].Returns) != o.Episodes {
		t.Errorf("more episodes of the same policies: %+v", e)
	}
	write(spoilt, then.Add(time.Second))
	if _, err := evaluate.Run(t.Context(), o, nil); !errors.Is(err, failure.ErrData) {
		t.Errorf("data that changed: %v", err)
	}
	write(content, then.Add(time.Second))
	if e := run(t, o); e.Policy != first.Policy {
		t.Error("data that holds what it did gives other policies")
	}
	o.Steps++
	if _, err := evaluate.Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "trained differently") {
		t.Errorf("other settings: %v", err)
	}
}

func modified(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "evaluation.json"))
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime().UnixNano()
}

// TestEvaluateInRounds asks for more episodes than run at once.
func TestEvaluateInRounds(t *testing.T) {
	o := evaluating(t)
	o.Learner, o.Steps, o.Seeds, o.Episodes = learners.IQL, 1, []uint64{1}, 130
	if e := run(t, o); len(e.Seeds[0].Returns) != 130 || len(e.Seeds[0].Lengths) != 130 {
		t.Errorf("%d returns and %d lengths of 130 episodes", len(e.Seeds[0].Returns), len(e.Seeds[0].Lengths))
	}
}

// TestEvaluateAims has a Decision Transformer aim at the environment's return.
func TestEvaluateAims(t *testing.T) {
	o := evaluating(t)
	o.Learner, o.Steps, o.Seeds, o.Episodes = learners.DT, 1, []uint64{1}, 1
	if e := run(t, o); e.TargetReturn != e.Env.TargetReturns[0] {
		t.Errorf("it aims at %v, want the first of %v", e.TargetReturn, e.Env.TargetReturns)
	}
}

// TestEvaluateResumes interrupts the roll-outs: the policies stay.
func TestEvaluateResumes(t *testing.T) {
	o := evaluating(t)
	o.Steps = 3
	ctx, cancel := context.WithCancel(t.Context())
	_, err := evaluate.Run(ctx, o, func(p observe.Progress) {
		if p.Task == "rolling out" {
			cancel()
		}
	})
	if !failure.Interrupted(err) {
		t.Fatalf("interrupted: error %v", err)
	}
	_, err = evaluate.Run(t.Context(), o, func(p observe.Progress) {
		if p.Task != "rolling out" {
			t.Errorf("the finished policies are not taken up: %s", p.Task)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestEvaluateRejects(t *testing.T) {
	walks := filepath.Join(t.TempDir(), "walks.parquet")
	fixture.Write(t, walks, fixture.RandomWalks(fixture.Shape{Episodes: 5, MaxSteps: 20, ObservationDim: 3, ActionDim: 1}, 1)...)
	tests := []struct {
		name string
		set  func(*evaluate.Options)
		want string
	}{
		{"no episodes", func(o *evaluate.Options) { o.Episodes = 0 }, "0 episodes"},
		{"no seeds", func(o *evaluate.Options) { o.Seeds = nil }, "no seed"},
		{"no folder", func(o *evaluate.Options) { o.Out = "" }, "no folder"},
		{"no environment", func(o *evaluate.Options) { o.Env = "" }, "no environment"},
		{"unknown learner", func(o *evaluate.Options) { o.Learner = "ppo" }, `no learner "ppo"`},
		{"no augmented rows", func(o *evaluate.Options) { o.Ratio = learners.Ratio{Original: 2, Augmented: 1} }, "it is no D*"},
		{"another environment's data", func(o *evaluate.Options) { o.Data.Path = walks }, "observations of 3 values"},
		{"no policies", func(o *evaluate.Options) { o.Policy = filepath.Join(world.dir, "nothing") }, "holds no finished policies"},
		{"a configuration that cannot be", func(o *evaluate.Options) { o.Seeds = []uint64{3, 3} }, "seed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := evaluating(t)
			test.set(&o)
			if _, err := evaluate.Run(t.Context(), o, nil); !errors.Is(err, failure.ErrUsage) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestEvaluateKeepsOthers has folders that hold other policies, or the evaluation of
// others, stay as they are.
func TestEvaluateKeepsOthers(t *testing.T) {
	first := evaluating(t)
	first.Steps = 1
	run(t, first)
	other := first
	other.Out, other.Steps = filepath.Join(t.TempDir(), "out"), 2
	run(t, other)
	tests := []struct {
		name string
		set  func(*evaluate.Options)
		want string
	}{
		{"another learner", func(o *evaluate.Options) { o.Learner = learners.IQL }, "learner td3bc against iql"},
		{"other updates", func(o *evaluate.Options) { o.Steps = 5 }, "steps 1 against 5"},
		{"other policies", func(o *evaluate.Options) { o.Policy = filepath.Join(other.Out, "policy") }, "is not of the policies in"},
	}
	before := modified(t, first.Out)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := first
			test.set(&o)
			if _, err := evaluate.Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if modified(t, first.Out) != before {
				t.Error("the evaluation was written over")
			}
		})
	}
	if err := os.RemoveAll(filepath.Join(first.Out, "policy")); err != nil {
		t.Fatal(err)
	}
	if _, err := evaluate.Run(t.Context(), first, nil); err == nil || !strings.Contains(err.Error(), "is not of the policies in") {
		t.Errorf("of policies that are gone: error %v", err)
	}
}

// TestEndless has an environment without a time limit refused before anything else.
func TestEndless(t *testing.T) {
	o := evaluating(t)
	o.Python, o.Env = fixture.Python(t, "gymnasium"), "endless:Endless-v0"
	t.Chdir(t.TempDir()) // where Python looks for modules
	module := `import gymnasium; gymnasium.register("Endless-v0", entry_point="gymnasium.envs.classic_control:PendulumEnv")`
	if err := os.WriteFile("endless.py", []byte(module), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := evaluate.Run(t.Context(), o, nil); !errors.Is(err, failure.ErrUsage) || !strings.Contains(err.Error(), "no time limit") {
		t.Errorf("error %v", err)
	}
}

// TestLearningData looks at what becomes of last transitions.
func TestLearningData(t *testing.T) {
	episode := func(end trajectory.End, final []float32) *trajectory.Episode {
		return &trajectory.Episode{
			ObservationDim: 1, ActionDim: 1, Observations: []float32{1, 2}, Actions: []float32{0, 0}, Rewards: []float32{5, 6},
			FinalObservation: final, End: end,
		}
	}
	augmented := episode(trajectory.Timeout, []float32{3})
	augmented.Provenance = &trajectory.Provenance{Source: trajectory.Stitched}
	data := &learners.Data{ObservationDim: 1, ActionDim: 1}
	for _, e := range []*trajectory.Episode{
		augmented,
		episode(trajectory.Timeout, nil),          // loses it
		episode(trajectory.Timeout, []float32{2}), // as D* writes the one before
		episode(trajectory.Terminal, nil),
	} {
		evaluate.Add(data, e, learners.IQL)
	}
	want := &learners.Data{
		ObservationDim: 1, ActionDim: 1,
		Observations: []float32{1, 2, 1, 1, 1, 2}, Next: []float32{2, 3, 2, 2, 2, 2}, Actions: make([]float32, 6),
		Rewards: []float32{5, 6, 5, 5, 5, 6}, Terminals: []bool{false, false, false, false, false, true},
		Starts: []int{0, 2, 3, 4}, Augmented: []bool{true, true, false, false, false, false},
	}
	if d := cmp.Diff(want, data); d != "" {
		t.Errorf("data (-want +got):\n%s", d)
	}
	if err := data.Validate(); err != nil {
		t.Error(err)
	}

	contexts := &learners.Data{ObservationDim: 1, ActionDim: 1}
	evaluate.Add(contexts, episode(trajectory.Timeout, nil), learners.DT)
	if d := cmp.Diff([]float32{5, 6}, contexts.Rewards); d != "" {
		t.Errorf("rewards for a Decision Transformer (-want +got):\n%s", d)
	}
}
