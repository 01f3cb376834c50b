package datasetio

import (
	"bytes"
	"reflect"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	"github.com/google/go-cmp/cmp"
)

// TestShuffledRecordsAreBytes: the runner gets no schema of what is shuffled, and
// every value comes back as it was.
func TestShuffledRecordsAreBytes(t *testing.T) {
	meta := trajectory.Meta{ID: 3, Location: trajectory.Location{File: 1, Row: 40, Rows: 9}, Steps: 9, Return: -1.5, Score: 2, End: trajectory.Terminal, HasFinal: true}
	pair := trajectory.Pair{Index: 7, Low: trajectory.StateRef{Episode: meta, Step: 4}, High: trajectory.StateRef{Episode: meta}, Steps: 2, Similarity: -0.25, LowReturn: 1}
	ref := trajectory.StateRef{Episode: meta, Step: 2}
	outcome := trajectory.Outcome{Pair: pair, Rejected: "dynamics error", MaxError: 0.5, BridgeReturn: 3}
	for _, want := range []any{
		trajectory.PairBatch{Index: 2, Pairs: []trajectory.Pair{pair, pair}, Low: []float32{1, -2, 0.5}, Candidates: []int32{5, 4}, ByEntry: true},
		trajectory.CandidateBlock{First: 8, Refs: []trajectory.StateRef{ref}},
		trajectory.Candidate{Place: 9, Ref: ref, State: []float32{-1, 1e-9}},
		outcome,
		trajectory.Failure{Stage: "inpaint", Error: "no"},
		trajectory.PartInfo{Index: 1, File: "part-00001.parquet", Rows: 8},
		dataset.Reject{File: "a.parquet", Row: 3, Reason: dataset.NotFinite},
		Split{File: 2, Groups: dataset.Groups{From: 1, To: 3}},
		Scanned{Split: Split{File: 2, Groups: dataset.Groups{From: 1, To: 3}}, Episodes: 4},
		FileInfo{Index: 1, Path: "a.parquet", Bytes: 8},
		Arrival{Place: 1, Path: "a.parquet", Bytes: 8, Modified: 1700000000000000001},
		Taken{Arrival: Arrival{Place: 1, Path: "a.parquet"}, SHA256: "ab", Changed: true},
	} {
		kind := reflect.TypeOf(want)
		if coder.LookupCustomCoder(kind) == nil {
			t.Errorf("%v is known to the runner by its fields", kind)
		}
		var row bytes.Buffer
		if err := beam.NewElementEncoder(kind).Encode(want, &row); err != nil {
			t.Errorf("%v: %v", kind, err)
			continue
		}
		got, err := beam.NewElementDecoder(kind).Decode(&row)
		if err != nil {
			t.Errorf("%v: %v", kind, err)
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%v (-want +got):\n%s", kind, d)
		}
	}
}
