package dataset

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"diffstitch/io/trajectory"
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

func readPath(t *testing.T, path string) []Item {
	t.Helper()
	files, err := Files(path)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, openFile(t, files[0], Options{}))
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

// TestHopperThroughDStar: written as D* and read again, every episode is the
// same, and the file keeps the rules.
func TestHopperThroughDStar(t *testing.T) {
	items := readPath(t, sharedData(t, "hopper-medium-replay.parquet"))
	var episodes []*trajectory.Episode
	for _, item := range items {
		episodes = append(episodes, item.Episode)
	}
	path := writeBytes(t, nil)
	writeFile(t, path, WriterConfig{ObservationDim: 11, ActionDim: 3}, episodes...)
	f := openFile(t, path, Options{})
	checkEpisodes(t, episodes, readAll(t, f))
	violations, checked, err := Verify(t.Context(), []string{path})
	if err != nil || len(violations) > 0 || checked.Transitions != 149_556 {
		t.Errorf("verified: %v, %+v, %v", violations, checked, err)
	}
}

func TestPointMaze(t *testing.T) {
	path := sharedData(t, "pointmaze-medium-play.parquet")
	s, err := Inspect(t.Context(), []string{path}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Episodes != 506 || s.Transitions != 100_115 || s.Returns.Max != 284 || s.Returns.Median != 26 || s.Rejected() != 0 {
		t.Errorf("%+v", s)
	}
	f := openFile(t, path, Options{})
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
	writeFile(t, path, WriterConfig{ObservationDim: 3, ActionDim: 2, RowGroupRows: 20}, mixedEpisodes()...)
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
	writeFile(t, from, WriterConfig{ObservationDim: 3, ActionDim: 2, RowGroupRows: 20}, mixedEpisodes()...)
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
	files, err := Files(to)
	if err != nil || len(files) != 6 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		f := openFile(t, path, Options{})
		items := readAll(t, f)
		checkEpisodes(t, mixedEpisodes(), items)
		checkFetch(t, f, items)
	}
}
