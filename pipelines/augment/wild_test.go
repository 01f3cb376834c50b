package augment_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/input"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/mix"

	"github.com/google/go-cmp/cmp"
)

// textRow is a transition as a job of another program may leave it.
type textRow struct {
	ID           string    `parquet:"Episode_ID"`
	Step         int32     `parquet:"step"`
	Observations []float32 `parquet:"observations,list"`
	Actions      []float32 `parquet:"actions,list"`
	Rewards      []float64 `parquet:"rewards,list"`
	Next         []float32 `parquet:"next_observations,list"`
	Terminals    bool      `parquet:"terminals"`
	Timeouts     bool      `parquet:"timeouts"`
}

func textRows(episodes []*trajectory.Episode) (rows []textRow) {
	for _, e := range episodes {
		for step := range e.Len() {
			next, _ := e.NextObservation(step)
			last := step == e.Len()-1
			rows = append(rows, textRow{
				ID: textOf(e), Step: int32(step), Observations: e.Observation(step), Actions: e.Action(step),
				Rewards: []float64{float64(e.Rewards[step])}, Next: next,
				Terminals: last && e.End == trajectory.Terminal, Timeouts: last && e.End == trajectory.Timeout,
			})
		}
	}
	return rows
}

func textOf(e *trajectory.Episode) string { return fmt.Sprintf("run-%x", 7919*e.ID%1009) }

// writeRows writes rows as files that end wherever it comes.
func writeRows(t *testing.T, rows []textRow, each int) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; len(rows) > 0; i++ {
		n := min(each, len(rows))
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%03d.parquet", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := parquet.WriteStructs(f, rows[:n]); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		rows = rows[n:]
	}
	return dir
}

// TestTextIDsOverFiles: episodes that files cut, whose ids are text, give the D* that
// they give in one file with numbers, with the text beside the numbers.
func TestTextIDsOverFiles(t *testing.T) {
	want := fixture.Episodes(t, run(t, augmenting(t)).DataDir())
	episodes := fixture.Episodes(t, world.data)
	for _, e := range want[:len(episodes)] {
		e.OriginalID = textOf(e)
	}
	dir := writeRows(t, textRows(episodes), 333)

	o := augmenting(t)
	o.Data.Path = dir
	published := run(t, o)
	got := fixture.Episodes(t, o.Out)
	if d := cmp.Diff(want[:len(episodes)], got[:len(episodes)]); d != "" {
		t.Error("the originals (-want +got)", d)
	}
	for _, e := range got[len(episodes):] {
		if e.OriginalID != "" || e.Provenance.LowID >= int64(len(episodes)) {
			t.Errorf("stitch %d: original id %q, low episode %d", e.ID, e.OriginalID, e.Provenance.LowID)
		}
	}
	if n := published.Manifest.Notes; len(n) != 1 {
		t.Errorf("notes %q", n)
	}

	imported := filepath.Join(t.TempDir(), "imported.parquet")
	if _, err := exchange.Import(t.Context(), exchange.ImportOptions{Data: input.Data{Path: dir}, Out: imported}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want[:len(episodes)], fixture.Episodes(t, imported)); d != "" {
		t.Error("imported (-want +got)", d)
	}
}

// TestRatioKeepsOriginals: with far too few stitches for the ratio all originals stay,
// and stitches come again, as D* counts.
func TestRatioKeepsOriginals(t *testing.T) {
	o := augmenting(t)
	o.Stitches, o.Mix.Ratio = 10, mix.Ratio{Original: 1, Augmented: 1}
	m := run(t, o).Manifest
	all := fixture.Episodes(t, o.Out)
	originals, stitched := map[int64]bool{}, int64(0)
	var rows, repeated int64
	came := map[string]bool{}
	for _, e := range all {
		if e.Provenance == nil {
			originals[e.ID] = true
			continue
		}
		stitched++
		rows += int64(e.Len())
		if key := fmt.Sprint(e.Provenance, e.Rewards); came[key] {
			repeated++
		} else {
			came[key] = true
		}
	}
	want := fixture.Episodes(t, world.data)
	if len(originals) != len(want) || m.Original.Episodes != int64(len(want)) {
		t.Errorf("%d of %d originals", len(originals), len(want))
	}
	if repeated == 0 || m.Repeated.Episodes != repeated || m.Stitched.Episodes != stitched {
		t.Errorf("%d of %d stitches repeat others; the manifest says %+v of %+v", repeated, stitched, m.Repeated, m.Stitched)
	}
	if off := m.Original.Transitions - rows; off < 0 || off > 300 {
		t.Errorf("%d original and %d stitched transitions", m.Original.Transitions, rows)
	}
	checked, err := exchange.Inspect(t.Context(), o.Out, dataset.Options{}, true)
	if err != nil || checked.Err() != nil {
		t.Error(err, checked.Violations)
	}
}
