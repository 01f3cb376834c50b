package attempt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"diffstitch/io/trajectory"

	"github.com/google/go-cmp/cmp"
)

// atOnce does without the waits, for the length of a test.
func atOnce(t *testing.T) {
	before := firstWait
	firstWait = 0
	t.Cleanup(func() { firstWait = before })
}

var span = trajectory.Span{Batch: 3, FirstPair: 12, Pairs: 4}

// TestBatch: work that fails n times leads to a result, a dead letter or an
// error, and never to more than one of them.
func TestBatch(t *testing.T) {
	full := fmt.Errorf("staging: %w", &fs.PathError{Op: "write", Path: "/out/bridges", Err: syscall.ENOSPC})
	odd := errors.New("the batch is odd")
	device := fmt.Errorf("%w: no memory", ErrWorker)
	tests := []struct {
		name  string
		fails int
		fail  func() error
		want  string // "" for a result, the dead letter, or "error: " and the error
	}{
		{"it works", 0, nil, ""},
		{"an error that passes", tries - 1, func() error { return odd }, ""},
		{"a panic that passes", tries - 1, func() error { panic("index out of range") }, ""},
		{"a full disk that is made room on", 1, func() error { return full }, ""},
		{"an error that stays", tries, func() error { return odd }, "the batch is odd"},
		{"a panic that stays", tries, func() error { panic("index out of range") }, "panic: index out of range"},
		{"a disk that stays full", tries, func() error { return full }, "error: inpaint: batch 3: staging: write /out/bridges: no space left on device"},
		{"a device that stays full", tries, func() error { return device }, "error: inpaint: batch 3: the worker is in trouble: no memory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			atOnce(t)
			var emitted []int
			var letters []trajectory.Failure
			tried := 0
			err := Batch(t.Context(), "inpaint", span, func() (int, error) {
				if tried++; tried <= test.fails {
					return 0, test.fail()
				}
				return tried, nil
			}, func(n int) { emitted = append(emitted, n) }, func(f trajectory.Failure) { letters = append(letters, f) })

			message, isError := strings.CutPrefix(test.want, "error: ")
			switch {
			case isError:
				if err == nil || err.Error() != message || emitted != nil || letters != nil {
					t.Errorf("error %v, output %v, dead letters %v", err, emitted, letters)
				}
			case test.want == "":
				if err != nil || !cmp.Equal(emitted, []int{test.fails + 1}) || letters != nil {
					t.Errorf("error %v, output %v, dead letters %v", err, emitted, letters)
				}
			default:
				want := []trajectory.Failure{{Span: span, Stage: "inpaint", Error: test.want}}
				if d := cmp.Diff(want, letters); d != "" || err != nil || emitted != nil {
					t.Errorf("error %v, output %v, dead letters (-want +got):\n%s", err, emitted, d)
				}
			}
		})
	}
}

func TestTheEndOfTheJobEndsTheTries(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	before := firstWait
	firstWait = time.Hour // which must not be waited for
	defer func() { firstWait = before }()
	tried := 0
	_, err := Do(ctx, "write", "0", func() (int, error) {
		tried++
		time.AfterFunc(time.Millisecond, cancel)
		return 0, errors.New("not this time")
	})
	if !errors.Is(err, context.Canceled) || tried != 1 {
		t.Errorf("error %v after %d tries", err, tried)
	}
}
