package study

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/session"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/train"
)

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
