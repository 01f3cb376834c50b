package datasetio

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"
)

func letter(batch int64) trajectory.Failure {
	return trajectory.Failure{Span: trajectory.Span{Batch: batch, FirstPair: 4 * batch, Pairs: 4}, Stage: "inpaint", Error: "panic: \"ä\""}
}

func TestDeadLetters(t *testing.T) {
	tests := []struct {
		name  string
		limit int64
		fails string
	}{
		{"as many as may fail", 8, ""},
		{"one more", 7, "8 stitches failed, 7 may"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			p, s := beam.NewPipelineWithRoot()
			DeadLetters(s, dir, test.limit, beam.Create(s, letter(1)), beam.Create(s, letter(0), letter(1))) // one came twice
			err := ptest.Run(p)
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("error %v, want %q", err, test.fails)
			}
			got, err := LoadDeadLetters(dir)
			if d := cmp.Diff([]trajectory.Failure{letter(0), letter(1)}, got); d != "" || err != nil {
				t.Errorf("error %v, letters (-want +got):\n%s", err, d)
			}
		})
	}
}

// TestABatchThatCannotBeFetchedIsADeadLetter: what is missing in a file that is
// there is the batch's own trouble; a file that is gone is the worker's.
func TestABatchThatCannotBeFetchedIsADeadLetter(t *testing.T) {
	in := write(t, longWalks(12, 4)...)
	_, m := readFile(t, in.Files[0])
	beyond := m[1]
	beyond.Location.Row = 1 << 30
	batch := trajectory.PairBatch{Index: 3, Pairs: []trajectory.Pair{{Index: 6, Low: ref(beyond, 0), High: ref(m[2], 0)}}}
	fn := &lowEndsFn{fetcher{Input: in}}
	fn.Setup()
	defer func() {
		if err := fn.Teardown(); err != nil {
			t.Error(err)
		}
	}()
	var letters []trajectory.Failure
	none := func(trajectory.PairBatch) { t.Error("something came of it") }
	keep := func(f trajectory.Failure) { letters = append(letters, f) }
	if err := fn.ProcessElement(t.Context(), nil, batch, none, keep); err != nil {
		t.Fatal(err)
	}
	if len(letters) != 1 || letters[0].FirstPair != 6 || letters[0].Stage != "ends" || !strings.Contains(letters[0].Error, "fetching episode") {
		t.Errorf("dead letters %+v", letters)
	}

	gone := &lowEndsFn{fetcher{Input: Input{Files: []string{in.Files[0] + ".gone"}}}}
	gone.Setup()
	err := gone.ProcessElement(t.Context(), nil, batch, none, func(f trajectory.Failure) { t.Error(f) })
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := gone.Teardown(); err != nil {
		t.Error(err)
	}
}
