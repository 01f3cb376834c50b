package layout_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/testing/stores"
)

// BenchmarkReadRemote reads a file of 100,000 transitions, whole and by single episodes, from
// object stores whose answers are late, and compares the time with that on this machine.
func BenchmarkReadRemote(b *testing.B) {
	local := benchFile(b)
	data, err := os.ReadFile(local)
	if err != nil {
		b.Fatal(err)
	}
	for name, read := range map[string]func(*testing.B, string){"whole": readThrough, "50 episodes": readSome} {
		here := timed(b, read, local)
		for _, kind := range []string{stores.GCS, stores.S3} {
			for _, late := range []time.Duration{0, 20 * time.Millisecond} {
				b.Run(fmt.Sprintf("%s/%s/late=%v", name, kind, late), func(b *testing.B) {
					s := stores.Start(b, kind)
					path := s.Root + "/bench.parquet"
					if err := storage.WriteWhole(path, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
						b.Fatal(err)
					}
					s.Suffer(stores.Faults{Latency: late})
					before, there := s.Requests(), time.Duration(0)
					for b.Loop() {
						there += timed(b, read, path)
					}
					b.ReportMetric(float64(s.Requests()-before)/float64(b.N), "requests/file")
					b.ReportMetric(there.Seconds()/float64(b.N)/here.Seconds(), "×local")
				})
			}
		}
	}
}

func timed(b *testing.B, read func(*testing.B, string), path string) time.Duration {
	begin := time.Now()
	read(b, path)
	return time.Since(begin)
}

func readThrough(b *testing.B, path string) {
	f, err := dataset.Open(path, dataset.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close() // nothing was written
	rows := 0
	for item, err := range f.Episodes(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		rows += item.Episode.Len()
	}
	if rows != 100_000 {
		b.Fatalf("%d rows", rows)
	}
}

// readSome fetches episodes here and there, as stitching does.
func readSome(b *testing.B, path string) {
	f, err := dataset.Open(path, dataset.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close() // nothing was written
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		at := rng.Int32N(100)
		place := trajectory.Location{Row: int64(at) * 1000, Rows: 1000}
		if _, err := f.States(place, 100, 200); err != nil {
			b.Fatal(err)
		}
	}
}
