package layout_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"diffstitch/io/trajectory"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"diffstitch/io/dataset"
)

// readSplit reads a file in parts that end at the cuts, as several workers would.
func readSplit(tb rapid.TB, f *dataset.File, cuts ...int) []dataset.Item {
	var items []dataset.Item
	seen := dataset.Seen{}
	from := 0
	for _, to := range append(cuts, all(f).To) {
		for item, err := range f.EpisodesIn(context.Background(), dataset.Groups{from, to}) {
			if err != nil {
				tb.Fatalf("row groups %d to %d: %v", from, to, err)
			}
			if item.Episode != nil && !f.Schema().ImplicitIDs {
				if r := seen.Add(f.Path(), item.Location.Row, item.Episode.ID); r != nil {
					item.Episode, item.Reject = nil, r
				}
			}
			items = append(items, item)
		}
		from = to
	}
	return items
}

// TestLayoutsSplit: every layout gives the same in two parts, wherever they
// meet, and with a part for each row group.
func TestLayoutsSplit(t *testing.T) {
	for _, c := range layoutCases() {
		t.Run(c.name, func(t *testing.T) {
			f := openFile(t, c.write(t, testEpisodes()), c.opts)
			want := readAll(t, f)
			var each []int
			for g := range all(f).To {
				each = append(each, g)
				if got := readSplit(t, f, g); !reflect.DeepEqual(want, got) {
					t.Errorf("cut at row group %d (-whole +parts):\n%s", g, cmp.Diff(want, got))
				}
			}
			if got := readSplit(t, f, each...); !reflect.DeepEqual(want, got) {
				t.Errorf("row group by row group (-whole +parts):\n%s", cmp.Diff(want, got))
			}
		})
	}
}

// randomTable draws episodes of any length, some of which are rejected or share
// an id, in one of the ways to tell episodes apart.
func randomTable(t *rapid.T) []testColumn {
	lengths := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 4), rapid.IntRange(1, 40)), 1, 12).Draw(t, "lengths")
	var episodes []*trajectory.Episode
	for i, steps := range lengths {
		episodes = append(episodes, &trajectory.Episode{
			ID: int64(rapid.IntRange(0, 40).Draw(t, "id")), ObservationDim: 1, ActionDim: 1, End: trajectory.End(i % 2),
			Observations: make([]float32, steps), Actions: make([]float32, steps), Rewards: make([]float32, steps),
		})
		for step := range steps {
			episodes[i].Observations[step] = float32(100*i + step)
		}
	}
	columns := transitionColumns(episodes, float32s)
	rows := len(columns["step"].values)
	for range rapid.IntRange(0, 3).Draw(t, "faults") {
		row := rapid.IntRange(0, rows-1).Draw(t, "row")
		name := rapid.SampledFrom([]string{"episode_id", "step", "rewards", "terminals"}).Draw(t, "column")
		columns[name].values[row] = map[string]any{"episode_id": nil, "step": 0, "rewards": nil, "terminals": true}[name]
	}
	names := rapid.SampledFrom([][]string{
		{"episode_id", "step", "terminals", "timeouts"}, {"episode_id"}, {"terminals", "timeouts"}, {"step"}, {"step", "terminals"},
	}).Draw(t, "columns")
	return pick(columns, append(names, "observations", "actions", "rewards")...)
}

// TestSplitsOfAnyTable: parts give what the whole gives, whatever ends where.
func TestSplitsOfAnyTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := randomTable(t)
		dir, err := os.MkdirTemp("", "splits")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "data.parquet")
		if err := os.WriteFile(path, tableBytes(t, columns, int64(rapid.IntRange(1, 30).Draw(t, "row group"))), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := dataset.Open(path, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close() // nothing was written
		want := readSplit(t, f)
		var cuts []int
		for g := 1; g < all(f).To; g++ {
			if rapid.Bool().Draw(t, "cut") {
				cuts = append(cuts, g)
			}
		}
		if got := readSplit(t, f, cuts...); !reflect.DeepEqual(want, got) {
			t.Fatalf("cut at %v (-whole +parts):\n%s", cuts, cmp.Diff(want, got))
		}
		var whole []dataset.Item
		for item, err := range f.Episodes(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			whole = append(whole, item)
		}
		if !reflect.DeepEqual(whole, want) {
			t.Fatalf("Episodes (-it +one part):\n%s", cmp.Diff(whole, want))
		}
	})
}

func TestSplits(t *testing.T) {
	f := openFile(t, layoutCases()[1].write(t, testEpisodes()), dataset.Options{}) // 120 rows by 16
	group := int64(4 * 16 * (1 + 1 + 3 + 2 + 1 + 3 + 1 + 1))                       // of its eight columns
	tests := []struct {
		bytes int64
		want  []dataset.Groups
	}{
		{1, []dataset.Groups{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {6, 7}, {7, 8}}},
		{2*group - 1, []dataset.Groups{{0, 2}, {2, 4}, {4, 6}, {6, 8}}},
		{1 << 30, []dataset.Groups{{0, 8}}},
	}
	for _, test := range tests {
		if d := cmp.Diff(test.want, f.Splits(test.bytes)); d != "" {
			t.Errorf("of %d bytes (-want +got):\n%s", test.bytes, d)
		}
	}
}
