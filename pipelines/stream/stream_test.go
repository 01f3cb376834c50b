package stream_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/backend"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/stream"
	"diffstitch/testing/fixture"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// walks are episodes that the fixture's models know, none of which is too short.
func walks(count int) []*trajectory.Episode {
	shape := fixture.Walks
	shape.Episodes = 2 * count
	long := slices.DeleteFunc(fixture.RandomWalks(shape, fixture.WalksSeed), func(e *trajectory.Episode) bool { return e.Len() < 2 })
	return long[:count]
}

// begun is where the event times of tests begin: a multiple of all windows.
var begun = time.Unix(1_700_000_000, 0)

// arrive has a file with some episodes come to a folder, whole, as last changed at a time.
func arrive(t *testing.T, dir, name string, at time.Time, episodes ...*trajectory.Episode) {
	t.Helper()
	hidden := filepath.Join(dir, "."+name)
	fixture.Write(t, hidden, episodes...)
	if err := os.Chtimes(hidden, at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// streaming is a stream of a new folder, that keeps every stitch.
func streaming(t *testing.T) stream.Options {
	t.Helper()
	o := stream.DefaultOptions()
	models := fixture.Models(t)
	o.Data, o.Models, o.Out = input.Data{Path: t.TempDir()}, models.Dir, filepath.Join(t.TempDir(), "out")
	o.Window, o.Poll = 10*time.Second, 20*time.Millisecond
	o.Batch, o.Sampler, o.Backend = models.Batch, models.Sampler, backend.Go
	o.Delta, o.Refine, o.Seed = method.Delta{Off: true}, method.RefineOff, 7
	o.Mix.RowGroupRows = 100
	return o
}

// running is a stream that runs.
type running struct {
	drain func()
	ended chan struct{}
	stream.Summary
	err  error
	said []string
}

// run starts a stream.
func run(t *testing.T, o stream.Options) *running {
	t.Helper()
	drain := make(chan struct{})
	r := &running{ended: make(chan struct{}), drain: func() { close(drain) }}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); <-r.ended })
	go func() {
		defer close(r.ended)
		r.Summary, r.err = stream.Run(ctx, o, drain, func(p observe.Progress) {
			if p.Said != "" {
				r.said = append(r.said, p.Said)
			}
		})
	}()
	return r
}

// end drains a stream that must end well.
func (r *running) end(t *testing.T) stream.Summary {
	t.Helper()
	r.drain()
	return r.wait(t)
}

func (r *running) wait(t *testing.T) stream.Summary {
	t.Helper()
	<-r.ended
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.Summary
}

// published waits until so many files are published.
func (r *running) published(t *testing.T, out string, files int) snapshot.Snapshot {
	t.Helper()
	for {
		s, err := snapshot.Current(out)
		if err == nil && len(s.Manifest.Inputs) >= files {
			return s
		}
		select {
		case <-r.ended:
			t.Fatalf("it ended with %d of %d files published: %v", len(s.Manifest.Inputs), files, r.err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// episodes are those of the current snapshot.
func episodes(t *testing.T, out string) (originals, stitched []*trajectory.Episode) {
	t.Helper()
	ids := map[int64]bool{}
	fixture.EachEpisode(t, out, func(e *trajectory.Episode) {
		if ids[e.ID] {
			t.Errorf("two episodes have the id %d", e.ID)
		}
		ids[e.ID] = true
		if e.Provenance == nil {
			originals = append(originals, e)
		} else {
			stitched = append(stitched, e)
		}
	})
	return originals, stitched
}

// contents are what episodes hold, for counting: the same for the same rows.
func contents(all []*trajectory.Episode) (texts []string) {
	for _, e := range all {
		texts = append(texts, fmt.Sprint(e.Observations, e.Actions, e.Rewards))
	}
	slices.Sort(texts)
	return texts
}

// checkOriginals checks that each episode is in D* once.
func checkOriginals(t *testing.T, out string, want []*trajectory.Episode) {
	t.Helper()
	originals, stitched := episodes(t, out)
	if got, want := contents(originals), contents(want); !slices.Equal(got, want) {
		t.Errorf("D* has %d originals, want %d", len(got), len(want))
	}
	known := map[int64]bool{}
	for _, e := range originals {
		known[e.ID] = true
	}
	for _, e := range stitched {
		if !known[e.Provenance.LowID] || !known[e.Provenance.HighID] {
			t.Errorf("episode %d is stitched of %d and %d, which are not there", e.ID, e.Provenance.LowID, e.Provenance.HighID)
		}
	}
}

// TestFilesThatArrive come while the stream runs, window after window.
func TestFilesThatArrive(t *testing.T) {
	o := streaming(t)
	all := walks(48)
	r := run(t, o)
	for i := range 4 {
		arrive(t, o.Data.Path, fmt.Sprintf("log-%d.parquet", i), begun.Add(time.Duration(i)*o.Window), all[12*i:12*(i+1)]...)
		s := r.published(t, o.Out, i+1)
		if err := s.Check(true); err != nil {
			t.Error(err)
		}
		if got := s.Manifest.Stream; got == nil || got.Sequence != int64(i) || got.Files != 1 || len(s.Manifest.Parts) != i+1 {
			t.Errorf("window %d of the stream is %+v, of %d parts", i, got, len(s.Manifest.Parts))
		}
	}
	got := r.end(t)
	if got.Windows != 4 || got.Files != 4 || got.Late != 0 || got.Original.Episodes != 48 || got.Stitched.Episodes == 0 {
		t.Errorf("it came to %+v", got)
	}
	checkOriginals(t, o.Out, all)
	if left, err := filepath.Glob(filepath.Join(o.Out, ".stream", "*")); err != nil || len(left) != 1 {
		t.Errorf("%q are left of the stream (%v)", left, err)
	}
}
