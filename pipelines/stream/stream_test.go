package stream_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/backend"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/modelset"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/stream"
	"diffstitch/pipelines/train"
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
	err error

	mu   sync.Mutex
	said []string
}

// told is what it said so far.
func (r *running) told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said)
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
			r.mu.Lock()
			defer r.mu.Unlock()
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

// contents are what episodes hold, for counting: the same for the same rows.
func contents(all []*trajectory.Episode) (texts []string) {
	for _, e := range all {
		texts = append(texts, fixture.Contents(e))
	}
	slices.Sort(texts)
	return texts
}

// checkOriginals checks that each episode is in D* once.
func checkOriginals(t *testing.T, out string, want []*trajectory.Episode) {
	t.Helper()
	originals, stitched := fixture.Split(t, out)
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
		if len(s.Manifest.Schema) == 0 {
			t.Error("the manifest says no columns")
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

// TestTakesUp ends a stream and begins another: nothing is taken twice, and the ids go on.
func TestTakesUp(t *testing.T) {
	o := streaming(t)
	o.UntilIdle = time.Second
	all := walks(36)
	for i := range 3 {
		arrive(t, o.Data.Path, fmt.Sprintf("log-%d.parquet", i), begun.Add(time.Duration(i)*o.Window), all[12*i:12*(i+1)]...)
		if got := run(t, o).wait(t); got.Windows != 1 || got.Files != 1 {
			t.Errorf("stream %d came to %+v", i+1, got)
		}
	}
	if got := run(t, o).wait(t); got.Windows != 0 {
		t.Errorf("with nothing new it came to %+v", got)
	}
	checkOriginals(t, o.Out, all)
}

// TestSameWindows: D* of the same windows is the same.
func TestSameWindows(t *testing.T) {
	o := streaming(t)
	o.UntilIdle = time.Second
	all := walks(36)
	for i := range 3 {
		arrive(t, o.Data.Path, fmt.Sprintf("log-%d.parquet", i), begun.Add(time.Duration(i)*o.Window), all[12*i:12*(i+1)]...)
	}
	var hashes [2][]string
	for i := range hashes {
		o.Out = filepath.Join(t.TempDir(), "out")
		run(t, o).wait(t)
		s, err := snapshot.Current(o.Out)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Manifest.Parts {
			hashes[i] = append(hashes[i], p.SHA256)
		}
	}
	if !slices.Equal(hashes[0], hashes[1]) || len(hashes[0]) != 3 {
		t.Errorf("the same windows gave %q and %q", hashes[0], hashes[1])
	}
}

// TestOddFiles: what is late is taken and counted, what is published and changes is not taken
// again, what is not whole is waited for, and what is no data of this kind is rejected.
func TestOddFiles(t *testing.T) {
	o := streaming(t)
	all := walks(48)
	r := run(t, o)
	first := filepath.Join(o.Data.Path, "log-0.parquet")
	arrive(t, o.Data.Path, "log-0.parquet", begun.Add(5*o.Window), all[:12]...)
	r.published(t, o.Out, 1)
	arrive(t, o.Data.Path, "late.parquet", begun, all[12:24]...)
	if s := r.published(t, o.Out, 2); s.Manifest.Stream.Late != 1 {
		t.Errorf("the window has %d late files", s.Manifest.Stream.Late)
	}

	whole, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	growing := filepath.Join(o.Data.Path, "growing.parquet")
	if err := os.WriteFile(growing, whole[:len(whole)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	arrive(t, o.Data.Path, "log-0.parquet", begun.Add(6*o.Window), all[24:36]...) // in the place of another
	narrow := fixture.RandomWalks(fixture.Shape{Episodes: 2, MaxSteps: 5, ObservationDim: 2, ActionDim: 1}, 1)
	arrive(t, o.Data.Path, "narrow.parquet", begun.Add(7*o.Window), narrow...)
	r.published(t, o.Out, 3)
	arrive(t, o.Data.Path, "log-1.parquet", begun.Add(8*o.Window), all[36:]...)
	s := r.published(t, o.Out, 4)
	got := r.end(t)
	if got.Late != 1 || !slices.Equal(got.Rewritten, []string{first}) || !slices.Equal(got.Waiting, []string{growing}) {
		t.Errorf("it came to %+v", got)
	}
	checkOriginals(t, o.Out, slices.Concat(all[:24], all[36:]))
	var told string
	for _, id := range []string{s.ID, s.Manifest.Parent} {
		text, err := os.ReadFile(filepath.Join(o.Out, "snapshots", id, "rejects", "inputs.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		told += string(text)
	}
	for _, want := range []string{"narrow.parquet", "rewritten since it was published"} {
		if !strings.Contains(told, want) {
			t.Errorf("the rejects say nothing of %q:\n%s", want, told)
		}
	}
}

// TestOvertaken has another run publish between two windows: the stream goes on from there.
func TestOvertaken(t *testing.T) {
	o := streaming(t)
	all := walks(24)
	r := run(t, o)
	arrive(t, o.Data.Path, "log-0.parquet", begun, all[:12]...)
	before := r.published(t, o.Out, 1)
	other, err := snapshot.Begin(o.Out, snapshot.Options{Configuration: before.Manifest.Configuration})
	for errors.Is(err, snapshot.ErrLocked) { // by the stream, for a moment yet
		other, err = snapshot.Begin(o.Out, snapshot.Options{Configuration: before.Manifest.Configuration})
	}
	if err != nil {
		t.Fatal(err)
	}
	m := before.Manifest
	m.Parts = before.Inherit()
	id, err := other.Commit(m)
	if err != nil {
		t.Fatal(err)
	}
	arrive(t, o.Data.Path, "log-1.parquet", begun.Add(o.Window), all[12:]...)
	after := r.published(t, o.Out, 2)
	r.end(t)
	if after.Manifest.Parent != id {
		t.Errorf("the window's parent is %s, not %s", after.Manifest.Parent, id)
	}
	checkOriginals(t, o.Out, all)
}

// TestPassedOn: what is published is passed on, and what could not be is tried again.
func TestPassedOn(t *testing.T) {
	o := streaming(t)
	o.UntilIdle = time.Second
	for i := range 2 {
		arrive(t, o.Data.Path, fmt.Sprintf("log-%d.parquet", i), begun.Add(time.Duration(i)*o.Window), walks(24)[12*i:12*(i+1)]...)
	}
	var asked []string
	answer := []error{errors.New("away"), errors.New("away still"), nil}
	o.Published = func(_ context.Context, s snapshot.Snapshot) error {
		asked = append(asked, s.ID)
		return answer[len(asked)-1]
	}
	got := run(t, o).wait(t)
	if len(asked) != 3 || asked[0] == asked[1] || asked[1] != asked[2] || asked[2] != got.Snapshot {
		t.Errorf("%q were passed on", asked)
	}
	o.Out, asked, answer = filepath.Join(t.TempDir(), "out"), nil, []error{errors.New("1"), errors.New("2"), errors.New("gone")}
	if r := run(t, o); true {
		<-r.ended
		if r.err == nil || !strings.Contains(r.err.Error(), "gone") {
			t.Errorf("it ended with %v", r.err)
		}
	}
}

// TestNewModels has other models come into use while a stream runs.
func TestNewModels(t *testing.T) {
	o := streaming(t)
	models := t.TempDir()
	if err := os.CopyFS(models, os.DirFS(o.Models)); err != nil {
		t.Fatal(err)
	}
	o.Models = models
	all := walks(24)
	r := run(t, o)
	arrive(t, o.Data.Path, "log-0.parquet", begun, all[:12]...)
	before := r.published(t, o.Out, 1)
	set, err := modelset.Current(models)
	if err != nil {
		t.Fatal(err)
	}
	const id = "0123456789abcdef"
	if _, err := train.Run(t.Context(), train.Options{
		Data: o.Data, Models: set.Beside(id), From: set.Dir, Steps: 1, Backend: backend.Go, Runner: "prism",
	}, nil); err != nil {
		t.Fatal(err)
	}
	if err := set.Replace(id); err != nil {
		t.Fatal(err)
	}
	for !slices.ContainsFunc(r.told(), func(said string) bool { return strings.HasPrefix(said, "new models") }) {
		time.Sleep(20 * time.Millisecond)
	}
	// What has come by the time the stream goes over to them is made by those before.
	came, after := 12, before
	for files := 1; slices.Equal(before.Manifest.Models, after.Manifest.Models) && came < len(all); files++ {
		arrive(t, o.Data.Path, fmt.Sprintf("log-%d.parquet", files), begun.Add(time.Duration(files)*o.Window), all[came:came+2]...)
		came += 2
		after = r.published(t, o.Out, files+1)
	}
	if got := r.end(t); got.Models != 2 || slices.Equal(before.Manifest.Models, after.Manifest.Models) {
		t.Errorf("it came to %+v, by models %v and then %v", got, before.Manifest.Models, after.Manifest.Models)
	}
	checkOriginals(t, o.Out, all[:came])
}
