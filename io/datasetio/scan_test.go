package datasetio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
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

	ptest.BuildAndRun(t, func(s beam.Scope) {
		metas, rejects := Scan(s, in, shape, scoring)
		passert.EqualsList(s, metas, append(wantMetas, moreMetas...))
		passert.EqualsList(s, rejects, wantRejects)
	})
}

// TestScanOfDamagedPages: what comes before the damage is used, and the file is
// rejected.
func TestScanOfDamagedPages(t *testing.T) {
	episodes := longWalks(60, 3)
	in := write(t, episodes...)
	data, err := os.ReadFile(in.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	middle := data[len(data)/2 : len(data)/2+2000]
	copy(middle, bytes.Repeat([]byte{0xff}, len(middle)))
	if err := os.WriteFile(in.Files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	used := 0
	var rejects []dataset.Reject
	err = ScanFile(t.Context(), in, 0, shape,
		func(e *trajectory.Episode, _ trajectory.Meta) {
			if e.ID != episodes[used].ID {
				t.Errorf("episode %d in place of %d", e.ID, episodes[used].ID)
			}
			used++
		},
		func(r dataset.Reject) { rejects = append(rejects, r) })
	if err != nil || used == 0 || used == len(episodes) || len(rejects) != 1 || rejects[0].Reason != ReasonUnreadable {
		t.Errorf("%d of %d episodes, rejects %v: %v", used, len(episodes), rejects, err)
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
