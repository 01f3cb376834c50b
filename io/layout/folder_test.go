package layout_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/dataset"
)

// smallFolder exports a few episodes.
func smallFolder(tb testing.TB, layout string) string {
	tb.Helper()
	c := dataset.ExportConfig{Layout: layout, ObservationDim: 3, ActionDim: 2, Provenance: true, Name: "test/small-v0", Task: "test", FPS: 30}
	return exportTo(tb, filepath.Join(tb.TempDir(), "small"), c, folderEpisodes()[:2])
}

// TestFoldersAreRefused damages folders in ways that reading must name.
func TestFoldersAreRefused(t *testing.T) {
	write := func(name, content string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name, layout string
		spoil        func(t *testing.T, dir string)
		want         []string
	}{
		{"no JSON", dataset.LeRobotV30, write("meta/info.json", "{"), []string{"meta/info.json", "unexpected end of JSON"}},
		{"another version", dataset.LeRobotV30, write("meta/info.json", `{"codebase_version": "v1.6"}`), []string{`"v1.6"`, "v2.1 and v3.0 are read"}},
		{"a version that is a number", dataset.LeRobotV21, write("meta/info.json", `{"codebase_version": 2}`), []string{"cannot unmarshal number"}},
		{"no data", dataset.LeRobotV30, remove("data/chunk-000/file-000.parquet"), []string{"no *.parquet"}},
		{"an episode missing", dataset.LeRobotV21, remove("data/chunk-000/episode_000001.parquet"), []string{"2 episodes", "of 1 are missing"}},
		{"no JSON", dataset.MinariArrow, write("data/metadata.json", "[]"), []string{"metadata.json", "cannot unmarshal array"}},
		{"HDF5", dataset.MinariArrow, write("data/metadata.json", `{"data_format": "hdf5"}`), []string{`data_format is "hdf5"`, "tools/hdf5"}},
		{"an episode missing", dataset.MinariParquet, remove("data/1"), []string{"names 2 episodes, and holds 1"}},
		{"no episodes", dataset.MinariParquet, func(t *testing.T, dir string) {
			remove("data/0")(t, dir)
			remove("data/1")(t, dir)
			write("data/metadata.json", `{"data_format": "parquet"}`)(t, dir)
		}, []string{"it holds no episode"}},
		{"an empty episode", dataset.MinariParquet, remove("data/1/part-0.parquet"), []string{"episode 1 has 0 *.parquet files"}},
		{"two parts", dataset.MinariArrow, write("data/1/part-1.arrow", ""), []string{"episode 1 has 2 *.arrow files"}},
	}
	for _, test := range tests {
		t.Run(test.layout+" "+test.name, func(t *testing.T) {
			dir := smallFolder(t, test.layout)
			test.spoil(t, dir)
			_, err := dataset.Files(dir)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
					t.Errorf("got %v, want %q and the folder", err, want)
				}
			}
		})
	}
}

// TestRejectsOfMinari spoils an episode's file or what lies beside it.
func TestRejectsOfMinari(t *testing.T) {
	tests := []struct {
		name     string
		metadata string
		want     dataset.Reason
	}{
		{"too many steps said", `{"total_steps": 3}`, dataset.LengthsDiffer},
		{"an original with a bridge", `{"source": "original", "low_episode_id": 1, "high_episode_id": 2}`, dataset.BadProvenance},
		{"a stitch without its episodes", `{"source": "stitched"}`, dataset.BadProvenance},
	}
	for _, layout := range []string{dataset.MinariArrow, dataset.MinariParquet} {
		for _, test := range tests {
			t.Run(layout+" "+test.name, func(t *testing.T) {
				dir := smallFolder(t, layout)
				if err := os.WriteFile(filepath.Join(dir, "data/0/metadata.json"), []byte(test.metadata), 0o644); err != nil {
					t.Fatal(err)
				}
				files, err := dataset.Files(dir)
				if err != nil {
					t.Fatal(err)
				}
				items := readAll(t, openFile(t, files[0], dataset.Options{}))
				if len(items) != 1 || items[0].Reject == nil || items[0].Reject.Reason != test.want {
					t.Errorf("got %+v, want %q", items, test.want)
				}
			})
		}
	}
}

// TestStrayEpisodeOfMinari: out of its folder, nothing says that the last row is
// no step, unless the layout is given.
func TestStrayEpisodeOfMinari(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(smallFolder(t, dataset.MinariParquet), "data/1/part-0.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	path := writeBytes(t, data)
	if _, err := dataset.Open(path, dataset.Options{}); !errors.Is(err, dataset.ErrColumns) {
		t.Errorf("got %v", err)
	}
	f := openFile(t, path, dataset.Options{Layout: dataset.Minari})
	if items := readAll(t, f); len(items) != 1 || items[0].Episode == nil || !f.Schema().ImplicitIDs {
		t.Errorf("got %+v", items)
	}
}

// TestDamagedArrow turns over bytes of an Arrow file, and cuts it short: each is
// an error, a reject or another value, never a panic.
func TestDamagedArrow(t *testing.T) {
	good := smallArrow(t)
	for i := range good {
		data := slices.Clone(good)
		data[i] ^= 0xff
		readWhole(writeBytes(t, data))
	}
	for n := 0; n < len(good); n += 5 {
		readWhole(writeBytes(t, good[:n]))
	}
}

func smallArrow(tb testing.TB) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(smallFolder(tb, dataset.MinariArrow), "data/0/part-0.arrow"))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// FuzzArrow reads mutated Arrow files.
func FuzzArrow(f *testing.F) {
	f.Add(smallArrow(f))
	f.Fuzz(readBounded)
}

// FuzzFolders reads folders that say odd things of themselves.
func FuzzFolders(f *testing.F) {
	type spoilt struct{ dir, name string }
	var cases []spoilt
	for _, layout := range dataset.Exports {
		for _, name := range []string{"meta/info.json", "data/metadata.json", "data/0/metadata.json"} {
			c := spoilt{smallFolder(f, layout), name}
			if content, err := os.ReadFile(filepath.Join(c.dir, name)); err == nil {
				f.Add(uint8(len(cases)), content)
				cases = append(cases, c)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, content []byte) {
		c := cases[int(which)%len(cases)]
		if err := os.WriteFile(filepath.Join(c.dir, c.name), content, 0o644); err != nil {
			t.Fatal(err)
		}
		dataset.FolderLayout(c.dir)
		files, err := dataset.Files(c.dir)
		if err != nil {
			return
		}
		for _, path := range files {
			readWhole(path)
		}
	})
}
