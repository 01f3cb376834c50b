package layout_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/layout"
	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// cutFiles writes the rows of episodes as files that end after some rows.
func cutFiles(tb rapid.TB, dir string, columns map[string]*testColumn, cuts []int) []string {
	var files []string
	from := 0
	rows := len(columns["rewards"].values)
	for i, to := range append(slices.Clone(cuts), rows) {
		path := filepath.Join(dir, fmt.Sprintf("part-%02d.parquet", i))
		if err := os.WriteFile(path, tableBytes(tb, pick(rowsOf(columns, from, to), every...), 16), 0o644); err != nil {
			tb.Fatal(err)
		}
		files = append(files, path)
		from = to
	}
	return files
}

// readFiles reads files as the splits of a dataset, and fetches what it found.
func readFiles(tb rapid.TB, files []string) (episodes []*trajectory.Episode) {
	for i := range files {
		f, err := dataset.OpenAmong(files, i, dataset.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		for _, groups := range f.Splits(1) {
			for item, err := range f.EpisodesIn(context.Background(), groups) {
				if err != nil || item.Reject != nil {
					tb.Fatalf("%v, %v", item.Reject, err)
				}
				e := item.Episode
				episodes = append(episodes, e)
				if got, err := f.Fetch(item.Location); err != nil || !reflect.DeepEqual(e, got) {
					tb.Fatalf("fetching %+v: %v\n%s", item.Location, err, cmp.Diff(e, got))
				}
				from := e.Len() / 2
				if states, err := f.States(item.Location, from, e.Len()); err != nil || !slices.Equal(states, e.Observations[from*3:]) {
					tb.Fatalf("states of %+v: %v", item.Location, err)
				}
			}
		}
		if err := f.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return episodes
}

// TestEpisodesOverFiles: wherever the files of a dataset are cut, its episodes are the
// same, ids or not, text or numbers.
func TestEpisodesOverFiles(t *testing.T) {
	dir := t.TempDir()
	want := readFiles(t, cutFiles(t, dir, transitionColumns(testEpisodes(), float32s), nil))
	if len(want) != len(testEpisodes()) {
		t.Fatalf("%d episodes", len(want))
	}
	rapid.Check(t, func(t *rapid.T) {
		cuts := rapid.SliceOfNDistinct(rapid.IntRange(1, 119), 1, 6, rapid.ID[int]).Draw(t, "cuts")
		slices.Sort(cuts)
		got := readFiles(t, cutFiles(t, dir, transitionColumns(testEpisodes(), float32s), cuts))
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("cut at %v: %s", cuts, cmp.Diff(want, got))
		}
	})
}

// TestEpisodeOverManyFiles: one that goes on over more files than may be open is a reject,
// of all its rows.
func TestEpisodeOverManyFiles(t *testing.T) {
	columns := transitionColumns(testEpisodes()[4:5], float32s) // of 65 steps
	for _, files := range []int{layout.MaxJoined, layout.MaxJoined + 1, 60} {
		var cuts []int
		for i := range files - 1 {
			cuts = append(cuts, i+1)
		}
		s, err := dataset.Inspect(t.Context(), cutFiles(t, t.TempDir(), columns, cuts), dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if fits := files <= layout.MaxJoined; s.Episodes == 1 != fits || s.Rejects[dataset.TooLong] == 1 == fits || s.Rejected() > 1 {
			t.Errorf("over %d files: %d episodes, rejects %v", files, s.Episodes, s.Examples)
		}
	}
}

// TestEpisodesThatOnlySeemToGoOn: the next file's rows are taken where both ids and
// steps say so, and are rejected otherwise.
func TestEpisodesThatOnlySeemToGoOn(t *testing.T) {
	for name, change := range map[string]func(columns map[string]*testColumn){
		"another id":   func(c map[string]*testColumn) { c["episode_id"].values[3] = int64(77) },
		"another step": func(c map[string]*testColumn) { c["step"].values[3] = 5 },
		"it had ended": func(c map[string]*testColumn) { c["timeouts"].values[2] = true },
	} {
		t.Run(name, func(t *testing.T) {
			columns := transitionColumns(testEpisodes()[1:2], float32s)
			change(columns)
			files := cutFiles(t, t.TempDir(), columns, []int{3})
			s, err := dataset.Inspect(t.Context(), files, dataset.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if s.Episodes != 1 || s.Transitions != 3 || s.Rejects[dataset.StartsLate] == 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestEpisodesCutUnseen: without steps it is said that an episode may go on in the next
// file.
func TestEpisodesCutUnseen(t *testing.T) {
	columns := transitionColumns(testEpisodes(), float32s)
	for _, names := range [][]string{every, slices.DeleteFunc(slices.Clone(every), func(name string) bool { return name == "step" })} {
		files := filesOfRows(t, pick(rowsOf(columns, 0, 20), names...), pick(rowsOf(columns, 20, 120), names...))
		s, err := dataset.Inspect(t.Context(), files, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Contains(strings.Join(s.Notes, "\n"), "1 episodes have the id of the last one of the file before")
		if stepless := len(names) < len(every); said != stepless || s.Episodes == 7 == stepless {
			t.Errorf("%d episodes, notes %q", s.Episodes, s.Notes)
		}
	}
}

func TestByName(t *testing.T) {
	want := []string{"a", "a/part-1", "a/part-02", "a/part-2", "a/part-10", "a/part-10x", "a10/b2", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, layout.ByName)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfN(rapid.StringMatching(`[ab/]{0,2}[0-9]{0,3}[ab]?`), 3, 3).Draw(t, "names")
		a, b, c := some[0], some[1], some[2]
		if layout.ByName(a, b) != -layout.ByName(b, a) || layout.ByName(a, b) == 0 && a != b {
			t.Fatalf("%q and %q have no order", a, b)
		}
		if layout.ByName(a, b) < 0 && layout.ByName(b, c) < 0 && layout.ByName(a, c) >= 0 {
			t.Fatalf("%q, %q, %q go in a circle", a, b, c)
		}
	})
}

// rowsOf are some rows of columns.
func rowsOf(columns map[string]*testColumn, from, to int) map[string]*testColumn {
	some := map[string]*testColumn{}
	for name, c := range columns {
		some[name] = &testColumn{name: c.name, kind: c.kind, values: c.values[from:to]}
	}
	return some
}

// filesOfRows writes tables as the files of a dataset.
func filesOfRows(t *testing.T, tables ...[]testColumn) (files []string) {
	t.Helper()
	dir := t.TempDir()
	for i, table := range tables {
		path := filepath.Join(dir, fmt.Sprintf("%02d.parquet", i))
		if err := os.WriteFile(path, tableBytes(t, table, 16), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	return files
}

// TestEmptyFilesBetween: files without rows neither cut an episode nor refuse the data.
func TestEmptyFilesBetween(t *testing.T) {
	columns := transitionColumns(testEpisodes(), float32s)
	part := func(from, to int) []testColumn { return pick(rowsOf(columns, from, to), every...) }
	files := filesOfRows(t, part(0, 0), part(0, 20), part(20, 20), part(20, 20), part(20, 120), part(120, 120))
	s, err := dataset.Inspect(t.Context(), files, dataset.Options{})
	if err != nil || s.Episodes != 7 || s.Rejected() > 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestEpisodeOverOtherColumns: an episode that goes on in a file of other columns is a
// reject with that reason, and not half an episode.
func TestEpisodeOverOtherColumns(t *testing.T) {
	columns := transitionColumns(testEpisodes(), float32s)
	fewer := slices.DeleteFunc(slices.Clone(every), func(name string) bool { return name == "next_observations" })
	files := filesOfRows(t, pick(rowsOf(columns, 0, 20), fewer...), pick(rowsOf(columns, 20, 120), every...))
	s, err := dataset.Inspect(t.Context(), files, dataset.Options{})
	if err != nil || s.Episodes != 6 || s.Rejected() != 1 || !strings.Contains(s.Examples[0].Detail, "columns are others") {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestOpenEnds: that files with flags alone may cut an episode is said.
func TestOpenEnds(t *testing.T) {
	columns := transitionColumns(testEpisodes(), float32s)
	bare := slices.DeleteFunc(slices.Clone(every), func(name string) bool { return name == "episode_id" || name == "step" })
	for cut, open := range map[int]bool{20: true, 9: false} { // 9 is where the third episode begins
		files := filesOfRows(t, pick(rowsOf(columns, 0, cut), bare...), pick(rowsOf(columns, cut, 120), bare...))
		s, err := dataset.Inspect(t.Context(), files, dataset.Options{})
		if said := strings.Contains(strings.Join(s.Notes, "\n"), "not flagged as ended"); err != nil || said != open {
			t.Errorf("cut at %d: %q, %v", cut, s.Notes, err)
		}
	}
}

// TestDonesBesideTerminals: without ids, ends that `dones` alone marks are ends.
func TestDonesBesideTerminals(t *testing.T) {
	columns := transitionColumns(testEpisodes(), float32s)
	done := &testColumn{name: "dones", kind: bools}
	for i, v := range columns["terminals"].values {
		done.values = append(done.values, v.(bool) || columns["timeouts"].values[i].(bool))
	}
	columns["dones"] = done
	path := writeTable(t, pick(columns, "observations", "actions", "rewards", "terminals", "dones"), 16)
	items := readAll(t, openFile(t, path, dataset.Options{}))
	if len(items) != 7 {
		t.Fatalf("%d episodes", len(items))
	}
	for i, e := range testEpisodes() {
		if got := items[i].Episode; got.Len() != e.Len() || got.End != e.End {
			t.Errorf("episode %d of %d steps ends by %v, want %d and %v", i, got.Len(), got.End, e.Len(), e.End)
		}
	}
}

// TestSeveralEnvironments: rows of several environments at once are no episodes.
func TestSeveralEnvironments(t *testing.T) {
	columns := transitionColumns(testEpisodes(), float32s)
	for _, name := range []string{"observations", "actions", "rewards"} {
		c := columns[name]
		c.kind = arrow.ListOf(c.kind)
		for i, v := range c.values {
			c.values[i] = []any{v, v}
		}
	}
	_, err := dataset.Open(writeTable(t, pick(columns, "step", "observations", "actions", "rewards"), 16), dataset.Options{})
	if err == nil || !strings.Contains(err.Error(), "holds lists of 2 values, want one value for rewards") {
		t.Errorf("%v", err)
	}
}

// TestWideVectors: the width of vectors longer than what is looked at first is theirs.
func TestWideVectors(t *testing.T) {
	columns := transitionColumns(testEpisodes()[:1], float32s)
	wide := anys(make([]float32, 20_000))
	for i := range columns["observations"].values {
		columns["observations"].values[i] = wide
	}
	f := openFile(t, writeTable(t, pick(columns, "episode_id", "step", "observations", "actions", "rewards"), 16), dataset.Options{})
	if s := f.Schema(); s.ObservationDim != 20_000 {
		t.Errorf("%+v", s)
	}
}
