package layout_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/trajectory"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"diffstitch/io/dataset"
	"diffstitch/io/layout"
	"diffstitch/io/parquet"
)

// drawEpisode draws any episode that Write takes.
func drawEpisode(t *rapid.T, id int64, observationDim, actionDim int) *trajectory.Episode {
	finite := rapid.Float32().Filter(func(v float32) bool { return parquet.NotFinite([]float32{v}) < 0 })
	values := func(n int, name string) []float32 { return rapid.SliceOfN(finite, n, n).Draw(t, name) }
	steps := rapid.IntRange(2, 40).Draw(t, "steps")
	e := &trajectory.Episode{
		ID: id, ObservationDim: observationDim, ActionDim: actionDim,
		Observations: values(steps*observationDim, "observations"),
		Actions:      values(steps*actionDim, "actions"),
		Rewards:      values(steps, "rewards"),
		End:          trajectory.End(rapid.IntRange(0, 1).Draw(t, "end")),
	}
	if rapid.Bool().Draw(t, "final known") {
		e.FinalObservation = values(observationDim, "final")
		if layout.SameBits(e.FinalObservation, e.Observation(steps-1)) { // reads as unknown
			e.FinalObservation = nil
		}
	}
	if rapid.Bool().Draw(t, "stitched") {
		bridges := spans(t, steps)
		e.Provenance = &trajectory.Provenance{
			Source: trajectory.Stitched,
			LowID:  rapid.Int64().Draw(t, "low"), HighID: rapid.Int64().Draw(t, "high"),
			Bridges: bridges,
		}
		e.Provenance.Errors = values(e.Provenance.GeneratedRows(steps), "errors")
		if rapid.Bool().Draw(t, "origins known") {
			e.Provenance.Origins = origins(t, steps, e.Provenance)
		}
		if rapid.Bool().Draw(t, "refined") {
			e.Provenance.Residuals = values(len(e.Provenance.Errors), "residuals")
		}
	}
	return e
}

// spans are bridges with real rows between them.
func spans(t *rapid.T, steps int) (bridges []trajectory.Range) {
	at := 0
	for at < steps && (len(bridges) == 0 || rapid.Bool().Draw(t, "another bridge")) {
		from := rapid.IntRange(at, steps-1).Draw(t, "bridge start")
		to := rapid.IntRange(from+1, steps).Draw(t, "bridge end")
		bridges = append(bridges, trajectory.Range{From: from, To: to})
		at = to + 1
	}
	return bridges
}

// origins are of the stretches around the bridges: what has no rows before the first
// bridge is said to begin the low episode, and there is none after a bridge that ends
// the episode, which is no stitch.
func origins(t *rapid.T, steps int, p *trajectory.Provenance) (list []trajectory.Origin) {
	if p.Bridges[len(p.Bridges)-1].To == steps {
		return nil
	}
	for i := range len(p.Bridges) + 1 {
		origin := trajectory.Origin{EpisodeID: rapid.Int64().Draw(t, "origin"), Step: rapid.IntRange(0, 1<<20).Draw(t, "origin step")}
		if i == 0 && p.Bridges[0].From == 0 {
			origin = trajectory.Origin{EpisodeID: p.LowID}
		}
		list = append(list, origin)
	}
	return list
}

// TestRoundTrip writes any episodes, and reads the same ones; writing those
// gives the same bytes.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		config := dataset.WriterConfig{
			ObservationDim: rapid.IntRange(1, 9).Draw(r, "observation dim"),
			ActionDim:      rapid.IntRange(1, 4).Draw(r, "action dim"),
			RowGroupRows:   rapid.IntRange(1, 100).Draw(r, "row group rows"),
		}
		var want []*trajectory.Episode
		for id := range rapid.Int64Range(1, 8).Draw(r, "episodes") {
			want = append(want, drawEpisode(r, id*7-20, config.ObservationDim, config.ActionDim))
		}
		var first, second bytes.Buffer
		writeEpisodes(t, &first, config, want...)
		f := openFile(t, writeBytes(t, first.Bytes()), dataset.Options{})
		items := readAll(t, f)
		checkEpisodes(t, want, items)
		checkFetch(t, f, items)
		var got []*trajectory.Episode
		for _, item := range items {
			got = append(got, item.Episode)
		}
		writeEpisodes(t, &second, config, got...)
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Error("writing what was read gives other bytes")
		}
	})
}

// TestNegativeZero: originals pass bit for bit, which == would not see.
func TestNegativeZero(t *testing.T) {
	zero := float32(math.Copysign(0, -1))
	e := &trajectory.Episode{
		ObservationDim: 1, ActionDim: 1, Observations: []float32{zero, 0}, Actions: []float32{0, zero}, Rewards: []float32{zero, 0},
		NextObservations: []float32{zero, 0}, FinalObservation: nil,
	}
	path := writeBytes(t, nil)
	writeFile(t, path, dataset.WriterConfig{ObservationDim: 1, ActionDim: 1}, e)
	got := readAll(t, openFile(t, path, dataset.Options{}))[0].Episode
	if !layout.SameBits(got.Observations, e.Observations) || !layout.SameBits(got.Actions, e.Actions) || !layout.SameBits(got.Rewards, e.Rewards) || !layout.SameBits(got.NextObservations, e.NextObservations) {
		t.Errorf("got %v", got)
	}
}

func TestWriterRefuses(t *testing.T) {
	if _, err := dataset.NewWriter(io.Discard, dataset.WriterConfig{ActionDim: 2}); err == nil {
		t.Error("no observations: went well")
	}
	if _, err := dataset.NewWriter(io.Discard, dataset.WriterConfig{ObservationDim: 1, ActionDim: 1, RowGroupRows: -1}); err == nil {
		t.Error("negative row groups: went well")
	}
	w, err := dataset.NewWriter(io.Discard, dataset.WriterConfig{ObservationDim: 3, ActionDim: 2})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		spoil func(e *trajectory.Episode)
		want  string
	}{
		{"other dims", func(e *trajectory.Episode) { e.ObservationDim = 4 }, "4 observation"},
		{"NaN", func(e *trajectory.Episode) { e.Rewards[1] = float32(math.NaN()) }, "rewards holds NaN"},
		{"no steps", func(e *trajectory.Episode) { e.Rewards = nil }, "no steps"},
		{"original with provenance", func(e *trajectory.Episode) { e.Provenance = &trajectory.Provenance{Source: trajectory.Original} }, "provenance"},
		{"bridge beyond the end", func(e *trajectory.Episode) {
			e.Provenance = &trajectory.Provenance{Source: trajectory.Stitched, Bridges: []trajectory.Range{{From: 1, To: 3}}, Errors: []float32{1, 2}}
		}, "bridges at [{1 3}] of 2 steps"},
		{"errors of some generated rows", func(e *trajectory.Episode) {
			e.Provenance = &trajectory.Provenance{Source: trajectory.TATU, Errors: []float32{1}}
		}, "0 bridges and 1 errors, of 2 steps"},
	}
	for _, test := range tests {
		e := testEpisodes()[0]
		test.spoil(e)
		if err := w.Write(e); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

type fullDisk struct{ left int }

var errFull = errors.New("no space left on device")

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.left -= len(p); d.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestFullDisk: an error of the underlying writer comes out, wherever it strikes.
func TestFullDisk(t *testing.T) {
	size := len(smallFile(t))
	for left := 0; left < size; left += 97 {
		w, err := dataset.NewWriter(&fullDisk{left: left}, dataset.WriterConfig{ObservationDim: 3, ActionDim: 2, RowGroupRows: 50})
		for _, e := range testEpisodes() {
			if err == nil {
				err = w.Write(e)
			}
		}
		if err == nil {
			err = w.Close()
		}
		if !errors.Is(err, errFull) {
			t.Fatalf("with %d bytes: %v", left, err)
		}
	}
}

// TestEndRowGroup: row groups end where they are told to, so that a mix can be
// held inside each.
func TestEndRowGroup(t *testing.T) {
	var buffer bytes.Buffer
	w, err := dataset.NewWriter(&buffer, dataset.WriterConfig{ObservationDim: 3, ActionDim: 2, RowGroupRows: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range testEpisodes() {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
		if i == 2 || i == 4 {
			if err := errors.Join(w.EndRowGroup(), w.EndRowGroup()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, writeBytes(t, buffer.Bytes()), dataset.Options{})
	starts := []int64{f.Schema().Rows}
	for g := range f.Splits(1) {
		starts = slices.Insert(starts, g, f.FirstRow(g))
	}
	if diff := cmp.Diff([]int64{0, 39, 107, 120}, starts); diff != "" {
		t.Errorf("row groups (-want +got):\n%s", diff)
	}
}
