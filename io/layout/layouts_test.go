package layout_test

import (
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"

	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/google/go-cmp/cmp"

	"diffstitch/io/dataset"
)

// layoutCase is a way that a dataset is found in. What a layout cannot hold,
// forget takes out of the episodes that reading should give back.
type layoutCase struct {
	name     string
	opts     dataset.Options
	episodes func() []*trajectory.Episode // testEpisodes where nil
	write    func(testing.TB, []*trajectory.Episode) string
	forget   func(e *trajectory.Episode, row, index int64)
	want     dataset.Schema // of the first file, without Columns
}

func forgetFinal(e *trajectory.Episode, _, _ int64) { e.FinalObservation = nil }

func layoutCases() []layoutCase {
	table := func(float arrow.DataType, rowGroup int64, names []string, options ...parquet.WriterProperty) func(testing.TB, []*trajectory.Episode) string {
		return func(tb testing.TB, episodes []*trajectory.Episode) string {
			return writeTable(tb, pick(transitionColumns(episodes, float), names...), rowGroup, options...)
		}
	}
	transitions := dataset.Schema{Layout: dataset.Transitions, ObservationDim: 3, ActionDim: 2, Rows: 120}
	implicit := transitions
	implicit.ImplicitIDs = true
	nested := dataset.Schema{Layout: dataset.Episodes, ObservationDim: 3, ActionDim: 2, Rows: 7, ImplicitIDs: true}
	all := []string{"episode_id", "step", "observations", "actions", "rewards", "next_observations", "terminals", "timeouts"}
	derived := transitions
	derived.Provenance = true
	byRow := func(e *trajectory.Episode, row, _ int64) { e.ID = row }
	byIndex := func(e *trajectory.Episode, _, index int64) { e.ID, e.FinalObservation = index, nil }
	return append(wildCases(), []layoutCase{
		{
			name: "D*", want: derived,
			write: func(tb testing.TB, episodes []*trajectory.Episode) string {
				path := writeBytes(tb, nil)
				writeFile(tb, path, dataset.WriterConfig{ObservationDim: 3, ActionDim: 2, RowGroupRows: 20}, episodes...)
				return path
			},
		},
		{name: "all columns by another writer", want: transitions, write: table(float32s, 16, all)},
		{name: "one row group", want: transitions, write: table(float32s, 1000, all, parquet.WithCompression(compress.Codecs.Snappy))},
		{name: "small pages with an index", want: transitions, write: table(float32s, 50, all, parquet.WithPageIndexEnabled(true), parquet.WithDataPageSize(64), parquet.WithBatchSize(4))},
		{name: "pages of the second version", want: transitions, write: table(float32s, 50, all, parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithDictionaryDefault(false), parquet.WithCompression(compress.Codecs.Zstd))},
		{name: "byte stream split", want: transitions, write: table(float32s, 50, all, parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("observations.list.element", parquet.Encodings.ByteStreamSplit))},
		{name: "float64", want: narrowed(transitions, "observations", "next_observations", "actions", "rewards"), write: table(float64s, 50, all)},
		{name: "int32", want: transitions, write: wildTable(all, func(columns map[string]*testColumn) {
			retype(columns, int32s, "observations", "next_observations", "rewards")
		})},
		{name: "int64", want: transitions, write: wildTable(all, func(columns map[string]*testColumn) {
			retype(columns, int64s, "observations", "next_observations", "rewards")
		})},
		{
			name: "singular names", want: transitions, forget: forgetFinal,
			write: table(float32s, 16, []string{"episode_id", "step", "observations:observation", "actions:action", "rewards:reward", "terminals:terminated", "timeouts:truncated"}),
		},
		{
			name: "named columns", want: transitions,
			opts:   dataset.Options{Columns: map[string]string{"observations": "obs", "actions": "act", "rewards": "r", "terminals": "end", "episode_id": "traj"}},
			write:  table(float32s, 16, []string{"episode_id:traj", "observations:obs", "actions:act", "rewards:r", "terminals:end"}),
			forget: forgetFinal,
		},
		{name: "terminals alone", want: transitions, forget: forgetFinal, write: table(float32s, 16, []string{"episode_id", "observations", "actions", "rewards", "terminals"})},
		{
			name: "timeouts alone", want: transitions, write: table(float32s, 16, []string{"episode_id", "observations", "actions", "rewards", "timeouts"}),
			forget: func(e *trajectory.Episode, _, _ int64) { e.FinalObservation, e.End = nil, trajectory.Timeout },
		},
		{
			name: "ids alone", want: transitions, write: table(float32s, 16, []string{"episode_id", "observations", "actions", "rewards"}),
			forget: func(e *trajectory.Episode, _, _ int64) { e.FinalObservation, e.End = nil, trajectory.Timeout },
		},
		{name: "D4RL", want: implicit, forget: byRow, write: table(float32s, 16, []string{"observations", "actions", "rewards", "next_observations", "terminals", "timeouts"})},
		{
			name: "steps alone", want: implicit, write: table(float32s, 16, []string{"step", "observations", "actions", "rewards", "next_observations"}),
			forget: func(e *trajectory.Episode, row, _ int64) { e.ID, e.End = row, trajectory.Timeout },
		},
		{
			name: "row an episode", want: nested, forget: byIndex,
			write: func(tb testing.TB, episodes []*trajectory.Episode) string {
				return writeTable(tb, episodeColumns(episodes, float32s), 3)
			},
		},
		{
			name: "row an episode, forced, float64", want: narrowed(nested, "observations", "actions", "rewards"), opts: dataset.Options{Layout: dataset.Episodes}, forget: byIndex,
			write: func(tb testing.TB, episodes []*trajectory.Episode) string {
				return writeTable(tb, episodeColumns(episodes, float64s), 100)
			},
		},
	}...)
}

func narrowed(s dataset.Schema, columns ...string) dataset.Schema {
	s.Narrowed = columns
	return s
}

// folderCases are the layouts of other tools' folders, written by this package.
func folderCases() []layoutCase {
	export := func(layout string, provenance bool) func(testing.TB, []*trajectory.Episode) string {
		return func(tb testing.TB, episodes []*trajectory.Episode) string {
			c := dataset.ExportConfig{Layout: layout, ObservationDim: 3, ActionDim: 2, Provenance: provenance, Name: "test/mixed-v0", Task: "test", FPS: 30}
			return exportTo(tb, filepath.Join(tb.TempDir(), layout), c, episodes)
		}
	}
	var cases []layoutCase
	for _, layout := range dataset.Exports {
		plain := dataset.Schema{Layout: filesOf(layout), ObservationDim: 3, ActionDim: 2, Rows: 2}
		forget := func(*trajectory.Episode, int64, int64) {}
		switch layout {
		case dataset.LeRobotV30:
			plain.Rows = 120
		case dataset.MinariArrow, dataset.MinariParquet:
			plain.Rows = 1
			plain.Narrowed = []string{"rewards"}
			forget = func(e *trajectory.Episode, _, _ int64) {
				if e.NextObservations != nil {
					e.FinalObservation, _ = e.NextObservation(e.Len() - 1)
					e.NextObservations = nil
				}
			}
		}
		derived := plain
		derived.Provenance = true
		if layout == dataset.LeRobotV30 {
			derived.Rows = 0
			for _, e := range folderEpisodes() {
				derived.Rows += int64(e.Len())
			}
		}
		cases = append(cases,
			layoutCase{name: layout, want: plain, write: export(layout, false)},
			layoutCase{name: layout + " of D*", want: derived, episodes: folderEpisodes, write: export(layout, true), forget: forget},
		)
	}
	return cases
}

// filesOf is the layout of the files of a folder.
func filesOf(folder string) string {
	if folder == dataset.MinariArrow || folder == dataset.MinariParquet {
		return dataset.Minari
	}
	return dataset.Transitions
}

// all are the row groups of a file.
func all(f *dataset.File) dataset.Groups { return dataset.Groups{To: len(f.Splits(1))} }

// folderEpisodes are of D*, and have all that an episode can have.
func folderEpisodes() []*trajectory.Episode {
	episodes := mixedEpisodes()
	episodes[1].FinalObservation = nil
	own := episodes[2]
	own.NextObservations = slices.Concat(own.Observations[own.ObservationDim:], own.FinalObservation)
	own.NextObservations[7] += 0.5
	single := testEpisodes()[0] // a bridge of one transition
	single.ID, single.Observations, single.Actions, single.Rewards = -7, single.Observations[:3], single.Actions[:2], single.Rewards[:1]
	single.Provenance = &trajectory.Provenance{Source: trajectory.Stitched, LowID: -1, HighID: 94, Bridges: []trajectory.Range{{To: 1}}, Errors: []float32{1e-30}}
	return append(append(episodes, single), syntheticEpisodes()...)
}

func exportTo(tb testing.TB, dir string, c dataset.ExportConfig, episodes []*trajectory.Episode) string {
	tb.Helper()
	w, err := dataset.NewExport(dir, c)
	if err != nil {
		tb.Fatal(err)
	}
	writeAll(tb, w, episodes)
	return dir
}

// TestLayouts is the suite that every layout passes: the schema, every episode
// in order, also of a file that is read in parts, and every episode fetched by
// its location, whole or a window of it.
func TestLayouts(t *testing.T) {
	for _, c := range append(layoutCases(), folderCases()...) {
		t.Run(c.name, func(t *testing.T) {
			episodes := testEpisodes
			if c.episodes != nil {
				episodes = c.episodes
			}
			path := c.write(t, episodes())
			want := episodes()
			row := int64(0)
			for i, e := range want {
				if c.forget != nil {
					c.forget(e, row, int64(i))
				}
				row += int64(e.Len())
			}
			files, err := dataset.Files(path)
			if err != nil {
				t.Fatal(err)
			}
			var all []dataset.Item
			for i, path := range files {
				f := openFile(t, path, c.opts)
				got := f.Schema()
				got.Columns = nil
				if diff := cmp.Diff(c.want, got); diff != "" && i == 0 {
					t.Errorf("schema (-want +got):\n%s", diff)
				}
				items := readAll(t, f)
				checkSplits(t, f, items)
				checkFetch(t, f, items)
				checkWindows(t, f, items)
				all = append(all, items...)
			}
			checkEpisodes(t, want, all)
		})
	}
}

// checkSplits reads the file a row group at a time.
func checkSplits(t *testing.T, f *dataset.File, items []dataset.Item) {
	t.Helper()
	var parts []dataset.Item
	for _, groups := range f.Splits(1) {
		for item, err := range f.EpisodesIn(t.Context(), groups) {
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, item)
		}
	}
	if !reflect.DeepEqual(items, parts) {
		t.Errorf("in %d parts it is something else", len(f.Splits(1)))
	}
}

// checkWindows fetches some of the states and the rewards of each episode.
func checkWindows(t *testing.T, f *dataset.File, items []dataset.Item) {
	t.Helper()
	for _, item := range items {
		e := item.Episode
		from, to := e.Len()/3, e.Len()
		states, err := f.States(item.Location, from, to)
		if err != nil || !slices.Equal(states, e.Observations[from*e.ObservationDim:]) {
			t.Errorf("states from %d of %+v: %v, %v", from, item.Location, states, err)
		}
		if rewards, err := f.Rewards(item.Location, to); err != nil || !slices.Equal(rewards, e.Rewards) {
			t.Errorf("rewards of %+v: %v, %v", item.Location, rewards, err)
		}
	}
}

func openFile(tb testing.TB, path string, opts dataset.Options) *dataset.File {
	tb.Helper()
	f, err := dataset.Open(path, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

func readAll(tb testing.TB, f *dataset.File) []dataset.Item {
	tb.Helper()
	var items []dataset.Item
	for item, err := range f.Episodes(tb.Context()) {
		if err != nil {
			tb.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

func checkEpisodes(t *testing.T, want []*trajectory.Episode, items []dataset.Item) {
	t.Helper()
	if len(items) != len(want) {
		t.Fatalf("%d episodes, want %d", len(items), len(want))
	}
	for i, item := range items {
		if item.Reject != nil {
			t.Fatalf("rejected: %v", item.Reject)
		}
		if item.Episode.OriginalID != "" { // for which a number stands
			item.Episode.ID = want[i].ID
		}
		if diff := diffEpisodes(want[i], item.Episode); diff != "" {
			t.Errorf("episode %d (-want +got):\n%s", i, diff)
		}
	}
}

// diffEpisodes is cmp.Diff, which takes long over long slices, where they differ.
func diffEpisodes(want, got *trajectory.Episode) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

// checkFetch fetches every episode, from the last to the first and by several
// goroutines at once.
func checkFetch(t *testing.T, f *dataset.File, items []dataset.Item) {
	t.Helper()
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for _, item := range slices.Backward(items) {
				got, err := f.Fetch(item.Location)
				if err != nil {
					t.Error(err)
					return
				}
				if diff := diffEpisodes(item.Episode, got); diff != "" {
					t.Errorf("fetching %+v (-want +got):\n%s", item.Location, diff)
				}
			}
		})
	}
	group.Wait()
}

func TestFetchRefuses(t *testing.T) {
	path := layoutCases()[0].write(t, testEpisodes())
	f := openFile(t, path, dataset.Options{})
	for _, at := range []trajectory.Location{
		{Row: -1, Rows: 2}, {Row: 0, Rows: 0}, {Row: 119, Rows: 2}, {Row: 1 << 62, Rows: 1 << 62},
		{Row: 0, Rows: 3}, // the second episode's first row
		{Row: 1, Rows: 8}, // the first episode's last row
		{Row: 3, Rows: 2}, // begins late
	} {
		if _, err := f.Fetch(at); err == nil {
			t.Errorf("fetching %+v went well", at)
		}
	}
}
