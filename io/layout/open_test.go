package layout_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"diffstitch/io/dataset"
)

func TestOpenRefuses(t *testing.T) {
	good := smallFile(t)
	hostile := append([]byte(nil), good...)
	binary.LittleEndian.PutUint32(hostile[len(hostile)-8:], 0x7fffffff)
	zeroFooter := append([]byte(nil), good...)
	binary.LittleEndian.PutUint32(zeroFooter[len(zeroFooter)-8:], 0)
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "it is empty"},
		{"a few bytes", []byte("PAR1"), "it has only 4 bytes"},
		{"another format", []byte("episode_id,step,observation\n1,2,3\n"), "does not begin with PAR1"},
		{"cut short", good[:len(good)/2], "was it cut short?"},
		{"hostile footer length", hostile, "its footer claims 2147483647 bytes"},
		{"no footer", zeroFooter, "footer"},
		{"eight bytes that claim a gigabyte", []byte("PAR1\xff\xff\xff\x3fPAR1"), "its footer claims"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := dataset.Open(writeBytes(t, test.data), dataset.Options{})
			if !errors.Is(err, dataset.ErrNotParquet) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := dataset.Open(t.TempDir(), dataset.Options{}); !errors.Is(err, dataset.ErrNotParquet) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := dataset.Open(filepath.Join(t.TempDir(), "absent"), dataset.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
}

func smallFile(tb testing.TB) []byte {
	tb.Helper()
	path := writeBytes(tb, nil)
	writeFile(tb, path, dataset.WriterConfig{ObservationDim: 3, ActionDim: 2, RowGroupRows: 50}, testEpisodes()...)
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestColumnErrors(t *testing.T) {
	all := []string{"episode_id", "step", "observations", "actions", "rewards"}
	tests := []struct {
		name    string
		columns []string
		opts    dataset.Options
		want    []string
	}{
		{"one missing", []string{"episode_id", "observations:obs", "actions", "rewards"}, dataset.Options{},
			[]string{"observations or observation", "obs (list of float)", "--column observations=NAME"}},
		{"no ends", []string{"observations", "actions", "rewards"}, dataset.Options{}, []string{"where an episode ends", "--column episode_id=NAME"}},
		{"mapped to nothing", all, dataset.Options{Columns: map[string]string{"rewards": "points"}}, []string{"--column rewards=points", "rewards (float)"}},
		{"mapping of nothing", all, dataset.Options{Columns: map[string]string{"reward": "rewards"}}, []string{`no column is called "reward"`, "rewards"}},
		{"scalar mapped to a list", all, dataset.Options{Columns: map[string]string{"step": "actions"}}, []string{`"actions" holds lists of 2 values`}},
		{"forced layout", all, dataset.Options{Layout: dataset.Episodes}, []string{"look like layout transitions"}},
		{"unknown layout", all, dataset.Options{Layout: "rlds"}, []string{`"rlds" is unknown`, "episodes, lerobot-v2.1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := writeTable(t, pick(transitionColumns(testEpisodes(), float32s), test.columns...), 100)
			_, err := dataset.Open(path, test.opts)
			if !errors.Is(err, dataset.ErrColumns) {
				t.Fatalf("got %v", err)
			}
			for _, want := range append(test.want, path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestWrongTypes(t *testing.T) {
	columns := transitionColumns(testEpisodes(), float32s)
	columns["rewards"].kind = words
	for i := range columns["rewards"].values {
		columns["rewards"].values[i] = "high"
	}
	path := writeTable(t, pick(columns, "episode_id", "observations", "actions", "rewards"), 100)
	f := openFile(t, path, dataset.Options{})
	for _, err := range f.Episodes(t.Context()) {
		if !errors.Is(err, dataset.ErrColumns) || !strings.Contains(err.Error(), "want numbers") {
			t.Errorf("got %v", err)
		}
	}
}

func TestFileWithoutRows(t *testing.T) {
	path := writeBytes(t, nil)
	writeFile(t, path, dataset.WriterConfig{ObservationDim: 3, ActionDim: 2})
	f := openFile(t, path, dataset.Options{})
	if items := readAll(t, f); len(items) != 0 {
		t.Errorf("got %v", items)
	}
}

func TestEpisodesStops(t *testing.T) {
	f := openFile(t, writeBytes(t, smallFile(t)), dataset.Options{})
	for range f.Episodes(t.Context()) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range f.Episodes(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

// TestDamagedFile turns over every byte of a file in turn: each is an error, a
// reject or another value, never a panic.
func TestDamagedFile(t *testing.T) {
	for _, good := range fuzzSeeds(t) {
		step := max(len(good)/150, 1)
		for i := 0; i < len(good); i += step {
			data := append([]byte(nil), good...)
			data[i] ^= 0xff
			readWhole(writeBytes(t, data))
		}
		for n := 0; n < len(good); n += 7 * step {
			readWhole(writeBytes(t, good[:n]))
		}
	}
}

// fuzzSeeds are small files of each layout and way of storing.
func fuzzSeeds(tb testing.TB) [][]byte {
	tb.Helper()
	var seeds [][]byte
	for _, c := range layoutCases() {
		switch c.name {
		case "D*", "one row group", "small pages with an index", "pages of the second version", "row an episode":
			data, err := os.ReadFile(c.write(tb, testEpisodes()[:4]))
			if err != nil {
				tb.Fatal(err)
			}
			seeds = append(seeds, data)
		}
	}
	return seeds
}

// readWhole reads all of a file in every way, whatever comes of it.
func readWhole(path string) {
	f, err := dataset.Open(path, dataset.Options{})
	if err != nil {
		return
	}
	defer f.Close()
	count := 0
	for item, err := range f.Episodes(context.Background()) {
		if count++; err != nil || count > 1000 {
			return
		}
		_, _ = f.Fetch(item.Location)
	}
	_, _, _ = dataset.Verify(context.Background(), []string{path})
}

// FuzzOpen reads mutated files: nothing may panic, and memory stays bounded.
func FuzzOpen(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(seed)
	}
	f.Fuzz(readBounded)
}

// readBounded reads a small file, and watches what that allocates.
func readBounded(t *testing.T, data []byte) {
	if len(data) > 1<<16 {
		t.Skip("not a small file")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	readWhole(writeBytes(t, data))
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<30 {
		t.Errorf("reading %d bytes allocated %d", len(data), grown)
	}
}
