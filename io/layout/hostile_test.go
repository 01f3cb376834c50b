package layout_test

import (
	"errors"
	"runtime"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/testing/fixture"
)

// TestHostileFiles reads small files that ask for much: each is refused, and what that
// takes is bounded.
func TestHostileFiles(t *testing.T) {
	const most = 64 << 20
	for _, name := range []string{"ids_delta_bigblock", "one_id_2e9", "one_id_2e12", "crc_ignored"} {
		t.Run(name, func(t *testing.T) {
			path := fixture.Data(t, "wild/"+name+".parquet")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := readWholeFile(t, path)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, dataset.ErrNotParquet) {
				t.Errorf("error %v", err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("it took %d bytes", took)
			}
		})
	}
}

func readWholeFile(t *testing.T, path string) (err error) {
	f, err := dataset.Open(path, dataset.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, err := range f.Episodes(t.Context()) {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestLongEpisodes has an episode that is longer than it may be: it is rejected with
// the flag's name, and the next one read.
func TestLongEpisodes(t *testing.T) {
	path := layoutCases()[0].write(t, testEpisodes()) // the fifth has 65 steps
	items := readAll(t, openFile(t, path, dataset.Options{MaxEpisodeSteps: 30}))
	for i, item := range items {
		if long := i == 4; long != (item.Reject != nil) || long && item.Reject.Reason != dataset.TooLong {
			t.Errorf("episode %d: %+v", i, item.Reject)
		}
	}
}
