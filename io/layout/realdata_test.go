package layout_test

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"diffstitch/io/trajectory"

	"diffstitch/io/dataset"
)

// sharedData is a path in the project's test data, which the repository does not
// hold.
func sharedData(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("DIFFSTITCH_DATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no test data: %v; DIFFSTITCH_DATA says where it is", err)
	}
	return path
}

func readPath(t *testing.T, path string) []dataset.Item {
	t.Helper()
	files, err := dataset.Files(path)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, openFile(t, files[0], dataset.Options{}))
}

// TestHopperInBothLayouts: the same data, a row a transition and a row an
// episode. The latter has no ids, and its dones do not tell a time limit.
func TestHopperInBothLayouts(t *testing.T) {
	transitions := readPath(t, sharedData(t, "hopper-medium-replay.parquet"))
	nested := readPath(t, sharedData(t, "layouts/hf_decision_transformer"))
	if len(transitions) != 897 || len(nested) != 897 {
		t.Fatalf("%d and %d episodes, want 897", len(transitions), len(nested))
	}
	for i := range transitions {
		nested[i].Episode.ID, nested[i].Episode.End = transitions[i].Episode.ID, transitions[i].Episode.End
		if diff := diffEpisodes(transitions[i].Episode, nested[i].Episode); diff != "" {
			t.Fatalf("episode %d (-transitions +nested):\n%s", i, diff)
		}
	}
}

// TestHopperInFolders: the first episodes of the same data as LeRobot and dataset.Minari
// keep them.
func TestHopperInFolders(t *testing.T) {
	source := readPath(t, sharedData(t, "hopper-medium-replay.parquet"))
	for _, test := range []struct {
		folder       string
		episodes     int
		finals, ends bool // whether it knows final observations, and time limits
	}{
		{"lerobot_v21", 12, false, false},
		{"lerobot_v30", 12, false, false},
		{"minari/probe/hopper/medium-replay-arrow-v0", 40, true, true},
		{"minari/probe/hopper/medium-replay-parquet-v0", 40, true, true},
		{"minari/probe/hopper/medium-replay-parquet-v0/data", 40, true, true},
	} {
		t.Run(test.folder, func(t *testing.T) {
			files, err := dataset.Files(sharedData(t, "layouts/"+test.folder))
			if err != nil {
				t.Fatal(err)
			}
			var items []dataset.Item
			for _, path := range files {
				items = append(items, readAll(t, openFile(t, path, dataset.Options{}))...)
			}
			if len(items) != test.episodes {
				t.Fatalf("%d episodes, want %d", len(items), test.episodes)
			}
			places := map[float32]*trajectory.Episode{} // by an action, which no two episodes share
			for _, item := range source {
				places[item.Episode.Actions[0]] = item.Episode
			}
			for i, item := range items {
				want := *places[item.Episode.Actions[0]]
				want.ID = int64(i)
				if test.finals != (item.Episode.FinalObservation != nil) {
					t.Errorf("episode %d: its final observation is %v", i, item.Episode.FinalObservation)
				}
				want.FinalObservation = item.Episode.FinalObservation
				if !test.ends {
					want.End = trajectory.Terminal
				}
				if diff := diffEpisodes(&want, item.Episode); diff != "" {
					t.Errorf("episode %d (-source +got):\n%s", i, diff)
				}
			}
		})
	}
}

// TestMazeOfMinari flattens a Dict of observations in the order of its names, or
// the one that is given.
func TestMazeOfMinari(t *testing.T) {
	order := func(format string, opts dataset.Options) (*trajectory.Episode, dataset.Schema) {
		files, err := dataset.Files(sharedData(t, "layouts/minari/probe/pointmaze/medium-random-"+format+"-v0"))
		if err != nil {
			t.Fatal(err)
		}
		f := openFile(t, files[3], opts)
		return readAll(t, f)[0].Episode, f.Schema()
	}
	given := dataset.Options{Columns: map[string]string{"observations": "observations.observation+observations.desired_goal"}}
	for _, format := range []string{"arrow", "parquet"} {
		all, schema := order(format, dataset.Options{})
		if want := "observations.achieved_goal+observations.desired_goal+observations.observation"; schema.Columns["observations"] != want || schema.ObservationDim != 8 {
			t.Errorf("%s: %d values of %s, want %s", format, schema.ObservationDim, schema.Columns["observations"], want)
		}
		some, schema := order(format, given)
		if schema.ObservationDim != 6 || all.Len() != 120 || some.Len() != 120 {
			t.Fatalf("%s: %d values, %d and %d steps", format, schema.ObservationDim, all.Len(), some.Len())
		}
		for step := range all.Len() {
			o := all.Observation(step)
			// The position is achieved_goal and the beginning of observation.
			if want := slices.Concat(o[4:8], o[2:4]); !slices.Equal(o[:2], o[4:6]) || !slices.Equal(want, some.Observation(step)) {
				t.Fatalf("%s: step %d: %v and %v", format, step, o, some.Observation(step))
			}
		}
		if len(all.FinalObservation) != 8 || !slices.Equal(all.FinalObservation[2:4], some.FinalObservation[4:]) {
			t.Errorf("%s: final observations %v and %v", format, all.FinalObservation, some.FinalObservation)
		}
	}
}

// TestHopperThroughDStar: written as D* and read again, every episode is the
// same, and the file keeps the rules.
func TestHopperThroughDStar(t *testing.T) {
	items := readPath(t, sharedData(t, "hopper-medium-replay.parquet"))
	var episodes []*trajectory.Episode
	for _, item := range items {
		episodes = append(episodes, item.Episode)
	}
	path := writeBytes(t, nil)
	writeFile(t, path, dataset.WriterConfig{ObservationDim: 11, ActionDim: 3}, episodes...)
	f := openFile(t, path, dataset.Options{})
	checkEpisodes(t, episodes, readAll(t, f))
	violations, checked, err := dataset.Verify(t.Context(), []string{path})
	if err != nil || len(violations) > 0 || checked.Transitions != 149_556 {
		t.Errorf("verified: %v, %+v, %v", violations, checked, err)
	}
}

func TestPointMaze(t *testing.T) {
	path := sharedData(t, "pointmaze-medium-play.parquet")
	s, err := dataset.Inspect(t.Context(), []string{path}, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Episodes != 506 || s.Transitions != 100_115 || s.Returns.Max != 284 || s.Returns.Median != 26 || s.Rejected() != 0 {
		t.Errorf("%+v", s)
	}
	f := openFile(t, path, dataset.Options{})
	items := readAll(t, f)
	for i := 0; i < len(items); i += 50 {
		got, err := f.Fetch(items[i].Location)
		if err != nil {
			t.Fatal(err)
		}
		if diff := diffEpisodes(items[i].Episode, got); diff != "" {
			t.Errorf("episode %d (-want +got):\n%s", i, diff)
		}
	}
}

// python is the interpreter that has pyarrow: DIFFSTITCH_PYTHON, or python3.
func python() string { return cmp.Or(os.Getenv("DIFFSTITCH_PYTHON"), "python3") }

// runPython runs a script that reads the file at path with pyarrow.
func runPython(t *testing.T, script string, args ...string) string {
	t.Helper()
	if err := exec.Command(python(), "-c", "import pyarrow.parquet").Run(); err != nil {
		t.Skipf("no python3 with pyarrow: %v", err)
	}
	out, err := exec.Command(python(), append([]string{"-c", script}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestPyarrowReads: pyarrow sees the types of D*, and the same values.
func TestPyarrowReads(t *testing.T) {
	path := writeBytes(t, nil)
	writeFile(t, path, dataset.WriterConfig{ObservationDim: 3, ActionDim: 2, RowGroupRows: 20}, mixedEpisodes()...)
	got := runPython(t, `
import sys, pyarrow.parquet as pq
table = pq.read_table(sys.argv[1])
for field in table.schema: print(field.name, field.type)
print(table.num_rows, table["rewards"].to_numpy().sum(), table["next_observations"].combine_chunks().flatten().to_numpy().sum())
print(table.slice(122, 1).to_pylist())
`, path)
	golden(t, "testdata/pyarrow.txt", got)
}

// TestPyarrowWrites: what pyarrow writes reads back, through dictionaries, lists
// that may be null, and with no page index.
func TestPyarrowWrites(t *testing.T) {
	from, to := writeBytes(t, nil), t.TempDir()
	writeFile(t, from, dataset.WriterConfig{ObservationDim: 3, ActionDim: 2, RowGroupRows: 20}, mixedEpisodes()...)
	runPython(t, `
import sys, pyarrow as pa, pyarrow.parquet as pq
table = pq.read_table(sys.argv[1])
table = table.cast(pa.schema([field.with_nullable(True) for field in table.schema]))
for i, options in enumerate([
    {},
    {"compression": "zstd"},
    {"data_page_version": "2.0", "compression": "gzip"},
    {"write_page_index": True, "data_page_size": 100},
    {"use_dictionary": False, "use_byte_stream_split": ["rewards"]},
    {"store_schema": False},
]):
    pq.write_table(table, f"{sys.argv[2]}/{i}.parquet", row_group_size=50, **options)
`, from, to)
	files, err := dataset.Files(to)
	if err != nil || len(files) != 6 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		f := openFile(t, path, dataset.Options{})
		items := readAll(t, f)
		checkEpisodes(t, mixedEpisodes(), items)
		checkFetch(t, f, items)
	}
}
