package datasetio

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func someMeta(id int64) trajectory.Meta {
	return trajectory.Meta{
		ID: id, Location: trajectory.Location{File: 2, Row: 1 << 40, Rows: 17}, Steps: 17,
		Return: 1.5, Score: -0.25, End: trajectory.Terminal, HasFinal: true,
	}
}

func someOutcome(index int64) trajectory.Outcome {
	return trajectory.Outcome{
		Pair: trajectory.Pair{
			Index: index, Low: ref(someMeta(3), 16), High: ref(someMeta(-4), 2), Steps: 5, Similarity: 0.75,
			LowReturn: 1, LowRest: 2, HighReturn: 3,
		},
		Rejected: "dynamics error", MaxError: 0.125, MaxDisagreement: 0.5, BridgeReturn: -7,
		Staged: trajectory.Location{File: 1, Row: 40, Rows: 6},
	}
}

// roundTrip writes records and reads them as a list.
func roundTrip[T any](t *testing.T, records ...T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.parquet")
	ptest.BuildAndRun(t, func(s beam.Scope) { WriteRecords[T](s, path, beam.CreateList(s, records)) })
	loaded, err := LoadRecords[T](path)
	if err != nil {
		t.Fatal(err)
	}
	inAnyOrder := cmpopts.SortSlices(func(a, b T) bool { return cmp.Diff(a, b) > cmp.Diff(b, a) })
	if d := cmp.Diff(records, loaded, inAnyOrder, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("(-written +read):\n%s", d)
	}
}

func TestRecords(t *testing.T) {
	notFinite := someOutcome(8)
	notFinite.MaxError, notFinite.BridgeReturn, notFinite.Similarity = float32(math.NaN()), math.NaN(), float32(math.Inf(-1))
	t.Run("Scanned", func(t *testing.T) {
		roundTrip(t, Scanned{Split{1, dataset.Groups{From: 2, To: 5}}, 6}, Scanned{})
	})
	t.Run("Outcome", func(t *testing.T) { roundTrip(t, someOutcome(7), notFinite, trajectory.Outcome{}) })
	t.Run("PartInfo", func(t *testing.T) {
		roundTrip(t, trajectory.PartInfo{Index: 1, File: "part", Rows: 2, Episodes: 3, Stitched: 4, StitchedRows: 5, BridgeRows: 6, UnknownFinals: 7})
	})
	t.Run("Reject", func(t *testing.T) {
		roundTrip(t, dataset.Reject{File: "a", Row: 1, EpisodeID: -2, Reason: dataset.NotFinite, Detail: "ä\n"})
	})
	t.Run("FileInfo", func(t *testing.T) { roundTrip(t, FileInfo{Index: 1, Path: "a", Bytes: 2, SHA256: "00ff"}) })
}

// TestShares: every share comes, and its records stay in order.
func TestShares(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "100%", "plan")
	if err := os.Mkdir(filepath.Dir(prefix), 0o755); err != nil {
		t.Fatal(err)
	}
	var shares [][]trajectory.PairBatch
	for share := range int64(3) {
		var batches []trajectory.PairBatch
		for i := range 2 + share {
			batches = append(batches, trajectory.PairBatch{
				Index: 10*share + i, Candidates: []int32{3, 1}, Low: []float32{},
				Pairs: []trajectory.Pair{{Index: 7, Low: ref(someMeta(1), 4)}, {Index: 8, Low: ref(someMeta(2), 5)}},
			})
		}
		shares = append(shares, batches)
	}
	if saved, err := SaveShares(t.Context(), prefix, slices.Values(shares)); err != nil || saved != 3 {
		t.Fatalf("%d shares saved: %v", saved, err)
	}
	for share, batches := range shares {
		got, err := LoadRecords[trajectory.PairBatch](sharePath(prefix, int64(share)))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(batches, got); d != "" {
			t.Errorf("share %d (-saved +read):\n%s", share, d)
		}
	}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.EqualsList(s, ReadShares[trajectory.PairBatch](s, prefix, 3), slices.Concat(shares...))
	})
}

func TestNoRecordsLeaveNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.parquet")
	ptest.BuildAndRun(t, func(s beam.Scope) {
		_, rejects := Scan(s, write(t, longWalks(3, 1)...), shape, trajectory.Scoring{Kind: trajectory.ScoreReturn}, t.TempDir())
		WriteRecords[dataset.Reject](s, path, rejects)
	})
	if _, err := LoadRecords[dataset.Reject](path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
