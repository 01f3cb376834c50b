package datasetio

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	gocmp "github.com/google/go-cmp/cmp"
)

// described is what scanning a file of the episodes should give.
func described(path string, file int32, scoring trajectory.Scoring, episodes []*trajectory.Episode) (metas []trajectory.Meta, rejects []dataset.Reject) {
	row := int64(0)
	for _, e := range episodes {
		steps := int64(e.Len())
		if steps == 1 {
			rejects = append(rejects, dataset.Reject{File: path, Row: row, EpisodeID: e.ID, Reason: dataset.TooShort, Detail: "it has one step"})
		} else {
			metas = append(metas, trajectory.Meta{
				ID: e.ID, Location: trajectory.Location{File: file, Row: row, Rows: steps}, Steps: int32(steps),
				Return: e.Return(), Score: scoring.Of(e), End: e.End, HasFinal: e.FinalObservation != nil,
			})
		}
		row += steps
	}
	return metas, rejects
}

// unreadable is the reject of a file that can't be opened.
func unreadable(t *testing.T, path string) dataset.Reject {
	t.Helper()
	_, err := dataset.Open(path, dataset.Options{})
	if err == nil {
		t.Fatalf("%s can be opened", path)
	}
	return dataset.Reject{File: path, Reason: ReasonUnreadable, Detail: err.Error()}
}

func truncate(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()/2)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestScan(t *testing.T) {
	dir := t.TempDir()
	in := Input{}
	for _, name := range []string{"good", "truncated", "wide", "absent", "better"} {
		in.Files = append(in.Files, filepath.Join(dir, name+".parquet"))
	}
	good, better := walks(30, 1), walks(20, 2)
	fixture.Write(t, in.Files[0], good...)
	fixture.Write(t, in.Files[1], good...)
	truncate(t, in.Files[1])
	fixture.Write(t, in.Files[2], fixture.RandomWalks(fixture.Shape{Episodes: 3, MaxSteps: 5, ObservationDim: 4, ActionDim: 2}, 1)...)
	fixture.Write(t, in.Files[4], better...)

	scoring := trajectory.Scoring{Kind: trajectory.ScoreDiscounted, Discount: 0.5}
	wantMetas, wantRejects := described(in.Files[0], 0, scoring, good)
	moreMetas, moreRejects := described(in.Files[4], 4, scoring, better)
	wantRejects = append(append(wantRejects, moreRejects...),
		unreadable(t, in.Files[1]),
		dataset.Reject{File: in.Files[2], Reason: ReasonUnreadable, Detail: "observations of 4 values and actions of 2, where the rest of the data has 3 and 2"},
		unreadable(t, in.Files[3]))
	if len(moreRejects) == 0 {
		t.Fatal("no episode is short")
	}

	kept := t.TempDir()
	scanned := collect(t, inAnyOrder, func(s beam.Scope) beam.PCollection {
		scanned, rejects := Scan(s, in, shape, scoring, kept)
		passert.EqualsList(s, rejects, wantRejects)
		return scanned
	})
	metas, err := LoadScanned(kept, scanned)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(append(wantMetas, moreMetas...), metas); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func inAnyOrder(a, b Scanned) int { return 0 }

// manyGroups is a file of some ten row groups, in which an id comes back.
func manyGroups(t *testing.T) (in Input, episodes []*trajectory.Episode) {
	t.Helper()
	episodes = walks(120, 3)
	episodes[116].ID = episodes[1].ID
	return write(t, episodes...), episodes
}

// TestScanSplits: row groups on their own give what the file does.
func TestScanSplits(t *testing.T) {
	in, episodes := manyGroups(t)
	var wantMetas []trajectory.Meta
	var wantRejects []dataset.Reject
	err := ScanFile(t.Context(), in, 0, shape,
		func(_ *trajectory.Episode, m trajectory.Meta) { wantMetas = append(wantMetas, m) },
		func(r dataset.Reject) { wantRejects = append(wantRejects, r) })
	if err != nil || len(wantMetas)+len(wantRejects) != len(episodes) {
		t.Fatalf("%d metas and %d rejects of %d episodes: %v", len(wantMetas), len(wantRejects), len(episodes), err)
	}
	splits, err := in.splits(0, shape, 1)
	if err != nil || len(splits) < 10 {
		t.Fatalf("%d splits: %v", len(splits), err)
	}
	scanned := func(bytes int64) ([]trajectory.Meta, []dataset.Reject) {
		dir := t.TempDir()
		ptest.BuildAndRun(t, func(s beam.Scope) {
			scanned, rejects := scan(s, in, shape, trajectory.Scoring{Kind: trajectory.ScoreReturn}, dir, bytes)
			WriteRecords[Scanned](s, filepath.Join(dir, "scanned"), scanned)
			WriteRecords[dataset.Reject](s, filepath.Join(dir, "rejects"), rejects)
		})
		scanned, errS := LoadRecords[Scanned](filepath.Join(dir, "scanned"))
		rejects, errR := LoadRecords[dataset.Reject](filepath.Join(dir, "rejects"))
		metas, errM := LoadScanned(dir, scanned)
		if err := errors.Join(errS, errR, errM); err != nil {
			t.Fatal(err)
		}
		for i := range metas {
			metas[i].Score = 0 // ScanFile knows no scoring
		}
		return RejectReturning(in, metas, rejects)
	}
	byRow := func(a, b dataset.Reject) int { return cmp.Compare(a.Row, b.Row) }
	slices.SortFunc(wantRejects, byRow)
	for _, bytes := range []int64{1, 5000, 1 << 30} {
		metas, rejects := scanned(bytes)
		slices.SortFunc(rejects, byRow)
		if d := gocmp.Diff(wantMetas, metas) + gocmp.Diff(wantRejects, rejects); d != "" {
			t.Errorf("splits of %d bytes (-whole +split):\n%s", bytes, d)
		}
	}
	if !slices.ContainsFunc(wantRejects, func(r dataset.Reject) bool { return r.Reason == dataset.IDReturns }) {
		t.Errorf("no id came back: %v", wantRejects)
	}
}

// TestScanOfDamagedPages: a split is used up to the damage, and the others
// whole.
func TestScanOfDamagedPages(t *testing.T) {
	in, episodes := manyGroups(t)
	whole, err := os.ReadFile(in.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	var splits []Split
	for at := len(whole) / 4; splits == nil && at < len(whole)/2; at += 100 { // until it is not the ids that are hit, without which no row is read
		damaged := slices.Concat(whole[:at], bytes.Repeat([]byte{0xff}, 500), whole[at+500:])
		if err := os.WriteFile(in.Files[0], damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		splits, _ = in.splits(0, shape, 1)
	}
	var used, short, unreadable []int64
	for _, split := range splits {
		err := in.scan(t.Context(), split,
			func(e *trajectory.Episode, m trajectory.Meta) { used = append(used, m.Location.Row) },
			func(r dataset.Reject) {
				if r.Reason == ReasonUnreadableRows {
					unreadable = append(unreadable, r.Row)
				} else {
					short = append(short, r.Row)
				}
			})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(unreadable) == 0 || len(unreadable) > 3 {
		t.Errorf("rows from %v are unreadable, want one row group and those beside it", unreadable)
	}
	if read := len(used) + len(short); read == len(episodes) || read < len(episodes)/2 {
		t.Errorf("%d of %d episodes were read", read, len(episodes))
	}
	if slices.Max(used) < unreadable[0] || slices.Min(used) > unreadable[0] {
		t.Errorf("rows from %v are unreadable, and episodes at %v are used", unreadable, used)
	}
}

func TestScanStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := ScanFile(ctx, write(t, longWalks(20, 1)...), 0, shape,
		func(*trajectory.Episode, trajectory.Meta) { cancel() },
		func(r dataset.Reject) { t.Error("an interrupted file is no broken one:", r) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestHashes(t *testing.T) {
	in := write(t, walks(3, 1)...)
	data, err := os.ReadFile(in.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.Equals(s, Hashes(s, in), FileInfo{Path: in.Files[0], Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])})
	})
}

func TestTroubleOfTheStorageIsNoReject(t *testing.T) {
	for _, err := range []error{
		&fs.PathError{Op: "read", Path: "a.parquet", Err: syscall.EIO},
		&fs.PathError{Op: "open", Path: "a.parquet", Err: os.ErrDeadlineExceeded},
	} {
		if !OfTheStorage(fmt.Errorf("dataset: %w", err)) {
			t.Errorf("%v would reject a file", err)
		}
	}
	for _, err := range []error{
		nil, dataset.ErrNotParquet,
		&fs.PathError{Op: "open", Path: "a.parquet", Err: fs.ErrNotExist},
		&fs.PathError{Op: "open", Path: "a.parquet", Err: syscall.EACCES},
	} {
		if OfTheStorage(err) {
			t.Errorf("%v is taken for the storage's", err)
		}
	}
}
