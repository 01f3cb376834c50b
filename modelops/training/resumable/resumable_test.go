package resumable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffstitch/modelops/checkpoint"
)

// counting is a loop whose only array counts its steps.
type counting struct {
	Made int `json:"made"`

	stride, failAt int
	array          float32
	calls          []string
	afterStep      func(done int)
}

func (c *counting) Progress() any { return c }

func (c *counting) Snapshot() ([]checkpoint.Tensor, error) {
	c.calls = append(c.calls, fmt.Sprintf("snapshot %d", c.Made))
	return []checkpoint.Tensor{{Name: "count", Shape: []int{1}, Data: []float32{c.array}}}, nil
}

func (c *counting) Restore(list []checkpoint.Tensor) error {
	c.calls, c.array = append(c.calls, "restore"), list[0].Data[0]
	return nil
}

func (c *counting) Begin(Pace) error {
	c.calls = append(c.calls, "begin")
	return nil
}

func (c *counting) Done() int { return c.Made }

func (c *counting) Advance() error {
	if c.failAt > 0 && c.Made >= c.failAt {
		return errors.New("failed")
	}
	c.Made, c.array = c.Made+c.stride, c.array+float32(c.stride)
	if c.afterStep != nil {
		c.afterStep(c.Made)
	}
	return nil
}

func (c *counting) End() error {
	c.calls = append(c.calls, "end")
	return nil
}

func (c *counting) Finish() (checkpoint.Model, []checkpoint.Tensor, error) {
	c.calls = append(c.calls, "finish")
	weights, err := c.Snapshot()
	return checkpoint.Model{Kind: "counting", Details: json.RawMessage(`{}`)}, weights, err
}

func (c *counting) Finalize() { c.calls = append(c.calls, "finalize") }

// training is of 12 steps, saved at every fifth.
func training(dir string) Training {
	identity := checkpoint.Identity{Config: json.RawMessage(`{}`), DatasetFingerprint: "data", Seed: 1, Backend: "go"}
	return Training{
		Dir: dir, Identity: identity, Steps: 12, SaveEvery: 5,
		Open:       checkpoint.Describe,
		Difference: func(there checkpoint.Identity) string { return there.Difference(identity) },
		Words:      Words{Model: "counter", Step: "count", Again: "count on"},
	}
}

func run(ctx context.Context, t Training, c *counting) (Outcome, error) {
	return t.Run(ctx, func() (Loop, error) { return c, nil })
}

func expectCalls(t *testing.T, c *counting, want ...string) {
	t.Helper()
	if !slices.Equal(c.calls, want) {
		t.Errorf("calls %q, want %q", c.calls, want)
	}
}

func TestFromTheStart(t *testing.T) {
	tr, c := training(t.TempDir()), &counting{stride: 3}
	outcome, err := run(t.Context(), tr, c)
	if err != nil || outcome.Reused || outcome.ResumedFrom != 0 {
		t.Fatalf("%+v, %v", outcome, err)
	}
	expectCalls(t, c, "begin", "snapshot 6", "end", "finish", "snapshot 12", "finalize")
	m, hash, weights, err := checkpoint.Open(tr.Dir)
	if err != nil || hash != outcome.Hash || m.Kind != "counting" || m.Identity.Seed != 1 || weights[0].Data[0] != 12 {
		t.Errorf("%+v, %v, %v", m, weights, err)
	}
	if _, err := os.Stat(filepath.Join(tr.Dir, checkpoint.StateFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state is still there: %v", err)
	}
}

func TestFinishedIsTakenAsItIs(t *testing.T) {
	tr := training(t.TempDir())
	first, err := run(t.Context(), tr, &counting{stride: 1})
	if err != nil {
		t.Fatal(err)
	}
	unused := &counting{}
	again, err := run(t.Context(), tr, unused)
	if err != nil || !again.Reused || again.Hash != first.Hash || again.Model.Kind != "counting" {
		t.Errorf("%+v, %v", again, err)
	}
	expectCalls(t, unused)

	tr.Difference = func(checkpoint.Identity) string { return "seed 1 against 2" }
	_, err = run(t.Context(), tr, unused)
	if err == nil || !strings.Contains(err.Error(), "holds a counter trained differently (seed 1 against 2)") {
		t.Errorf("another training's model: %v", err)
	}
}

func TestInterruptedGoesOn(t *testing.T) {
	tr := training(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := &counting{stride: 1, afterStep: func(done int) {
		if done == 7 {
			cancel()
		}
	}}
	_, err := run(ctx, tr, first)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted at count 7 of 12, count on to resume") {
		t.Errorf("interrupted: %v", err)
	}
	expectCalls(t, first, "begin", "snapshot 5", "snapshot 7", "end", "finalize")

	nothingNew := &counting{stride: 1}
	if _, err := run(ctx, tr, nothingNew); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted at once: %v", err)
	}
	expectCalls(t, nothingNew, "restore", "begin", "end", "finalize")

	other := tr
	other.Difference = func(checkpoint.Identity) string { return "seed 1 against 2" }
	_, err = run(t.Context(), other, &counting{stride: 1})
	if err == nil || !strings.Contains(err.Error(), "unfinished training of something else (seed 1 against 2)") {
		t.Errorf("another training's state: %v", err)
	}

	second := &counting{stride: 1}
	outcome, err := run(t.Context(), tr, second)
	if err != nil || outcome.ResumedFrom != 7 || second.array != 12 {
		t.Errorf("%+v with %v, %v", outcome, second.array, err)
	}
	expectCalls(t, second, "restore", "begin", "snapshot 10", "end", "finish", "snapshot 12", "finalize")
}

func TestFailedStep(t *testing.T) {
	tr, c := training(t.TempDir()), &counting{stride: 1, failAt: 3}
	if _, err := run(t.Context(), tr, c); err == nil || err.Error() != "failed" {
		t.Errorf("got %v", err)
	}
	expectCalls(t, c, "begin", "end", "finalize")
}
