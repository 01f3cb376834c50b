package datasetio

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

// stitching is a dataset with the bridges of a run, staged.
type stitching struct {
	in       Input
	episodes []*trajectory.Episode
	metas    []trajectory.Meta
	bridges  []trajectory.BridgeBatch
	staged   string
	outcomes []trajectory.Outcome
}

// originals are walks whose final observation is known, then one of which it
// isn't, then one with next observations of its own, then one that waits where
// the first ends.
func originals() []*trajectory.Episode {
	all := longWalks(30, 5)
	known := slices.DeleteFunc(slices.Clone(all), func(e *trajectory.Episode) bool { return e.FinalObservation == nil })
	unknown := slices.DeleteFunc(slices.Clone(all), func(e *trajectory.Episode) bool { return e.FinalObservation != nil })
	chosen := append(known[:4:4], unknown[0], known[5], known[6])

	own := chosen[5]
	own.NextObservations = append(slices.Clone(own.Observations[3:]), own.FinalObservation...)
	own.NextObservations[0] += 0.5

	first, waiting := chosen[0], chosen[6]
	copy(waiting.Observations, first.Observation(first.Len()-1))
	for i, e := range chosen {
		e.ID = int64(10 + i)
	}
	return chosen
}

// bridge makes a bridge of Δ states, whose values follow from its index.
func (st *stitching) bridge(index int64, low, lowStep, high, highStep, steps int) trajectory.Bridge {
	b := trajectory.Bridge{Pair: trajectory.Pair{
		Index: index, Low: ref(st.metas[low], int32(lowStep)), High: ref(st.metas[high], int32(highStep)), Steps: int32(steps),
	}}
	b.States = slices.Concat(st.episodes[low].Observation(lowStep), make([]float32, 3*steps), st.episodes[high].Observation(highStep))
	for i := range b.Pair.BridgeRows() {
		v := float32(index) + float32(i)/8
		b.Actions = append(b.Actions, v, -v)
		b.Rewards = append(b.Rewards, v)
		b.Errors = append(b.Errors, v/2)
	}
	return b
}

func stage(t *testing.T) *stitching {
	t.Helper()
	st := &stitching{in: write(t, originals()...), staged: t.TempDir()}
	st.episodes, st.metas = readFile(t, st.in.Files[0])
	last := st.episodes[0].Len() - 1
	rejected, broken := st.bridge(1, 1, 0, 2, 0, 4), st.bridge(2, 1, 0, 2, 0, 2)
	rejected.Rejected = "dynamics error"
	broken.Rejected = "not finite"
	broken.States[4] = float32(math.NaN())
	broken.Errors[1] = float32(math.NaN())
	st.bridges = []trajectory.BridgeBatch{
		{Index: 0, Bridges: []trajectory.Bridge{st.bridge(0, 0, last, 2, 0, 3), rejected, broken, st.bridge(3, 1, 1, 3, 1, 1)}},
		{Index: 1, Bridges: []trajectory.Bridge{
			st.bridge(4, 0, last, 6, 0, 0), // one transition, which stays in place
			st.bridge(5, 5, 1, 3, 0, 2),    // next observations spelled out
			st.bridge(6, 2, 1, 4, 0, 2),    // the last one unknown
		}},
	}
	st.outcomes = collect(t, byIndex, func(s beam.Scope) beam.PCollection {
		return fixture.NoneDead(s)(Stage(s, st.staged, shape, beam.CreateList(s, st.bridges)))
	})
	return st
}

func TestStage(t *testing.T) {
	st := stage(t)
	reader := OpenStaged(st.staged)
	defer reader.Close()
	i := 0
	for _, batch := range st.bridges {
		for _, b := range batch.Bridges {
			o := st.outcomes[i]
			i++
			if d := cmp.Diff(b.Pair, o.Pair); d != "" || o.Rejected != b.Rejected {
				t.Errorf("rejected as %q (-want +got):\n%s", o.Rejected, d)
			}
			if !b.Finite() {
				if o.Staged != (trajectory.Location{}) || !math.IsNaN(float64(o.MaxError)) {
					t.Errorf("a bridge that is not finite lies at %+v, with the error %v", o.Staged, o.MaxError)
				}
				continue
			}
			sum := 0.0
			for _, r := range b.Rewards {
				sum += float64(r)
			}
			if o.MaxError != b.Errors[len(b.Errors)-1] || o.BridgeReturn != sum {
				t.Errorf("outcome %+v of the bridge %+v", o, b)
			}
			e, err := reader.Fetch(o.Staged)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(b.Episode(3, 2), e); d != "" {
				t.Errorf("bridge %d (-made +read):\n%s", b.Pair.Index, d)
			}
		}
	}
}

// TestStageAgain: a retry leaves the same bytes.
func TestStageAgain(t *testing.T) {
	st := stage(t)
	for _, batch := range st.bridges {
		path := stagedFile(st.staged, int32(batch.Index))
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fn := &stageFn{Dir: st.staged, Shape: shape}
		if _, err := fn.stage(fn.Dir, batch); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil || !slices.Equal(before, after) {
			t.Errorf("%s changed: %v", path, err)
		}
	}
}

// entries lays out every original and every accepted stitch.
func (st *stitching) entries() (entries []trajectory.Entry) {
	for _, m := range st.metas {
		entries = append(entries, trajectory.Entry{ID: m.ID, Original: m})
	}
	for _, o := range st.outcomes {
		if o.Rejected == "" {
			entries = append(entries, trajectory.Entry{ID: 100 + o.Index, Group: 1, IsStitch: true, Stitch: o})
		}
	}
	return entries
}

// layOut leaves the entries of one data file, and gives the prefix of the layout.
func layOut(t *testing.T, entries []trajectory.Entry) (prefix string) {
	t.Helper()
	prefix = filepath.Join(t.TempDir(), "layout")
	if _, err := SaveShares(t.Context(), prefix, slices.Values([][]trajectory.Entry{entries})); err != nil {
		t.Fatal(err)
	}
	return prefix
}

// accepted lists the bridges that stand.
func (st *stitching) accepted() (bridges []trajectory.Bridge) {
	for _, batch := range st.bridges {
		for _, b := range batch.Bridges {
			if b.Rejected == "" {
				bridges = append(bridges, b)
			}
		}
	}
	return bridges
}

func (st *stitching) byID(id int64) *trajectory.Episode { return st.episodes[id-10] }

func rows(episodes []*trajectory.Episode) (n int64) {
	for _, e := range episodes {
		n += int64(e.Len())
	}
	return n
}

func TestWrite(t *testing.T) {
	st := stage(t)
	var stitched, bridges []*trajectory.Episode
	for _, b := range st.accepted() {
		bridge := b.Episode(3, 2)
		p := b.Pair
		high := st.byID(p.High.Episode.ID)
		e, err := trajectory.Join(100+p.Index, []trajectory.Stretch{
			{Episode: st.byID(p.Low.Episode.ID), To: int(p.Low.Step)}, {Episode: high, From: int(p.High.Step), To: high.Len()},
		}, []*trajectory.Episode{bridge})
		if err != nil {
			t.Fatal(err)
		}
		bridge.ID = e.ID
		stitched, bridges = append(stitched, e), append(bridges, bridge)
	}
	// A bridge alone says that it stays in place as data says that it does not
	// know the next state.
	alone := slices.IndexFunc(bridges, func(e *trajectory.Episode) bool { return e.Len() == 1 })
	bridges[alone].FinalObservation = nil

	for _, test := range []struct {
		name        string
		bridgesOnly bool
		want        []*trajectory.Episode
		unknown     int64
	}{{"whole trajectories", false, stitched, 2}, {"bridges alone", true, bridges, 1}} {
		t.Run(test.name, func(t *testing.T) {
			out := Output{Dir: t.TempDir(), Bridges: st.staged, Layout: layOut(t, st.entries()), Shape: shape, BridgesOnly: test.bridgesOnly}
			want := trajectory.PartInfo{
				Index: 0, File: "part-00000.parquet", Rows: rows(st.episodes) + rows(test.want), Episodes: int64(len(st.episodes) + len(test.want)),
				Stitched: int64(len(test.want)), StitchedRows: rows(test.want), BridgeRows: rows(bridges), UnknownFinals: test.unknown,
			}
			ptest.BuildAndRun(t, func(s beam.Scope) {
				passert.Equals(s, beam.ParDo(s, &unsumFn{Dir: out.Dir}, Write(s, st.in, out, 1)), want)
			})
			got, _ := readFile(t, filepath.Join(out.Dir, want.File))
			if d := cmp.Diff(slices.Concat(st.episodes, test.want), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			checkGroups(t, filepath.Join(out.Dir, want.File), rows(st.episodes), rows(test.want))
		})
	}
}

// unsumFn compares the size and the hash of a part with its file, and takes them out.
type unsumFn struct {
	Dir string `json:"dir"`
}

func (fn *unsumFn) ProcessElement(info trajectory.PartInfo) (trajectory.PartInfo, error) {
	data, err := os.ReadFile(filepath.Join(fn.Dir, info.File))
	if sum := sha256.Sum256(data); err == nil && (info.Bytes != int64(len(data)) || info.SHA256 != hex.EncodeToString(sum[:])) {
		err = fmt.Errorf("%+v is not of a file of %d bytes with the hash %x", info, len(data), sum)
	}
	info.Bytes, info.SHA256 = 0, ""
	return info, err
}

func init() { beam.RegisterDoFn(&unsumFn{}) }

func checkGroups(t *testing.T, path string, want ...int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() // read only
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, g := range file.RowGroups() {
		got = append(got, g.NumRows())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("row groups (-want +got):\n%s", d)
	}
}

// TestWriteNamesWhatIsMissing: an episode that can't be made fails the part, and
// leaves no file.
func TestWriteNamesWhatIsMissing(t *testing.T) {
	st := stage(t)
	entries := st.entries()
	last := &entries[len(entries)-1]
	last.Stitch.Staged.File = 77
	fn := &writeFn{fetcher{Input: st.in}, Output{Dir: t.TempDir(), Bridges: st.staged, Layout: layOut(t, entries), Shape: shape}}
	fn.Setup()
	defer func() {
		if err := fn.Teardown(); err != nil {
			t.Error(err)
		}
	}()
	_, err := fn.write(t.Context(), nil, 0)
	if err == nil || !strings.Contains(err.Error(), "bridges-00000077.parquet") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(fn.Output.Dir); err != nil || len(left) > 0 {
		t.Errorf("%v are left behind (%v)", left, err)
	}
}
