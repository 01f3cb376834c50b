package exchange

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
	"diffstitch/testing/fixture"

	"github.com/google/go-cmp/cmp"
)

// walks are original episodes and a stitch of them.
func walks() []*trajectory.Episode {
	episodes := fixture.RandomWalks(fixture.Shape{Episodes: 9, MaxSteps: 40, ObservationDim: 3, ActionDim: 2}, 5)
	for i := range episodes {
		episodes[i].ID = int64(50 - i)
	}
	stitch := *episodes[0]
	stitch.ID = 1000
	stitch.Provenance = &trajectory.Provenance{Source: trajectory.Stitched, LowID: 50, HighID: 44, Bridges: []trajectory.Range{{To: 1}}, Origins: []trajectory.Origin{{EpisodeID: 50}, {EpisodeID: 44, Step: 3}}, Errors: []float32{0.25}}
	return append(longEnough(episodes), &stitch)
}

// longEnough are the episodes that readers do not reject.
func longEnough(episodes []*trajectory.Episode) (long []*trajectory.Episode) {
	for _, e := range episodes {
		if e.Len() > 1 {
			long = append(long, e)
		}
	}
	return long
}

// episodesAt reads all of a dataset.
func episodesAt(t *testing.T, path string) (episodes []*trajectory.Episode) {
	t.Helper()
	source, err := open(input.Data{Path: path}, filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	x := Exchanged{}
	err = source.each(t.Context(), &x, func(e *trajectory.Episode) error { episodes = append(episodes, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return episodes
}

// TestExchange exports a D*, reads it where it lies, and imports it: the same
// episodes, whatever the layout.
func TestExchange(t *testing.T) {
	for _, layout := range dataset.Exports {
		t.Run(layout, func(t *testing.T) {
			dir := t.TempDir()
			from, folder, back := filepath.Join(dir, "dstar.parquet"), filepath.Join(dir, "out", layout), filepath.Join(dir, "back")
			fixture.Write(t, from, walks()...)
			x, err := Export(t.Context(), ExportOptions{Data: input.Data{Path: from}, Layout: layout, Out: folder, FPS: 20})
			if err != nil {
				t.Fatal(err)
			}
			if want := int64(len(walks())); x.Episodes != want || x.UnknownFinals == 0 || !strings.Contains(x.Text(), "it repeats the last") {
				t.Errorf("%+v, want %d episodes\n%s", x, want, x.Text())
			}
			if diff := cmp.Diff(walks(), episodesAt(t, folder)); diff != "" {
				t.Errorf("where it lies (-want +got):\n%s", diff)
			}
			options := ImportOptions{Data: input.Data{Path: folder, Options: dataset.Options{Layout: layout}}, Out: back}
			if _, err := Import(t.Context(), options); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(walks(), episodesAt(t, back)); diff != "" {
				t.Errorf("imported (-want +got):\n%s", diff)
			}
			options.Out = filepath.Join(dir, "one.parquet")
			if _, err := Import(t.Context(), options); err != nil {
				t.Fatal(err)
			}
			i, err := Inspect(t.Context(), options.Out, dataset.Options{}, true)
			if err != nil || i.Err() != nil || i.Generated != 1 {
				t.Errorf("%v\n%s", err, i.Text())
			}
		})
	}
}

// TestExchangeLeavesNothing fails in ways that leave the disk as it was.
func TestExchangeLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "in", "walks.parquet")
	if err := os.Mkdir(filepath.Dir(from), 0o755); err != nil {
		t.Fatal(err)
	}
	short := fixture.RandomWalks(fixture.Shape{Episodes: 6, MaxSteps: 2, ObservationDim: 3, ActionDim: 2}, 1)
	fixture.Write(t, from, short...) // some are too short
	out := filepath.Join(dir, "out")
	export := ExportOptions{Data: input.Data{Path: from}, Layout: dataset.LeRobotV30, Out: out, FPS: 20}
	if _, err := Export(t.Context(), export); !errors.Is(err, failure.ErrData) {
		t.Errorf("got %v", err)
	}
	if _, err := Import(t.Context(), ImportOptions{Data: input.Data{Path: from}, Out: out}); !errors.Is(err, failure.ErrData) {
		t.Errorf("got %v", err)
	}
	for _, unusable := range []ExportOptions{{Layout: "rlds", FPS: 1}, {Layout: dataset.MinariArrow}} {
		if _, err := Export(t.Context(), unusable); !errors.Is(err, failure.ErrUsage) {
			t.Errorf("%+v: got %v", unusable, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v are left: %v", entries, err)
	}
	export.Out = filepath.Dir(from)
	if _, err := Export(t.Context(), export); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over what is there: %v", err)
	}
}

// TestImportNumbersAnew joins files that share ids, and refuses to where stitches
// name them; it does not take a folder for another.
func TestImportNumbersAnew(t *testing.T) {
	dir := t.TempDir()
	plain := longEnough(walks()[:5])
	for _, name := range []string{"a.parquet", "b.parquet"} {
		fixture.Write(t, filepath.Join(dir, name), plain...)
	}
	out := filepath.Join(dir, "joined.parquet")
	x, err := Import(t.Context(), ImportOptions{Data: input.Data{Path: filepath.Join(dir, "?.parquet")}, Out: out})
	if err != nil || !x.Renumbered {
		t.Fatalf("%+v, %v", x, err)
	}
	for i, e := range episodesAt(t, out) {
		want := *plain[i%len(plain)]
		want.ID = int64(i)
		if diff := cmp.Diff(&want, e); diff != "" {
			t.Errorf("episode %d (-want +got):\n%s", i, diff)
		}
	}
	fixture.Write(t, filepath.Join(dir, "b.parquet"), walks()...)
	if _, err := Import(t.Context(), ImportOptions{Data: input.Data{Path: filepath.Join(dir, "?.parquet"), MaxRejectShare: 1}, Out: out}); !errors.Is(err, failure.ErrData) {
		t.Errorf("got %v", err)
	}
}

func TestMinariID(t *testing.T) {
	for out, want := range map[string]string{"a/maze-v3": "maze-v3", "maze": "maze-v0", "maze-v": "maze-v-v0", "maze-v2x": "maze-v2x-v0"} {
		if got := minariID(out); got != want {
			t.Errorf("%s: %q, want %q", out, got, want)
		}
	}
}

// TestNothingIsWrittenOntoTheData: neither onto a file of the data nor among them.
func TestNothingIsWrittenOntoTheData(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "maze.parquet")
	fixture.Write(t, path, fixture.Maze(3, 1)...)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for data, out := range map[string]string{path: path, dir: filepath.Join(dir, "all.parquet"), filepath.Join(dir, "*.parquet"): path} {
		if _, err := Import(t.Context(), ImportOptions{Data: input.Data{Path: data}, Out: out}); !errors.Is(err, failure.ErrUsage) {
			t.Errorf("importing %s as %s: %v", data, out, err)
		}
	}
	o := ExportOptions{Data: input.Data{Path: dir}, Out: filepath.Join(dir, "minari-v0"), Layout: dataset.MinariParquet, ID: "x-v0", FPS: 1}
	if _, err := Export(t.Context(), o); !errors.Is(err, failure.ErrUsage) {
		t.Errorf("exporting below the data: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the data is another: %v", err)
	}
}
