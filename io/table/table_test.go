package table

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/google/go-cmp/cmp"
)

// place is a catalog, and a folder that snapshots are published in.
type place struct {
	Options
	out string
}

func newPlace(t *testing.T) place {
	dir := t.TempDir()
	return place{Options{Catalog: filepath.Join(dir, "catalog.db"), Table: "rl.dstar"}, filepath.Join(dir, "out")}
}

// walks are n episodes, of which the last is a stitch.
func walks(n int) []*trajectory.Episode {
	all := fixture.RandomWalks(fixture.Shape{Episodes: n, MaxSteps: 30, ObservationDim: 3, ActionDim: 2}, uint64(n))
	last := all[n-1]
	rows := last.Len()
	last.Provenance = &trajectory.Provenance{
		Source: trajectory.Stitched, LowID: 1, HighID: 2, Bridges: []trajectory.Range{{From: 0, To: rows}},
		Errors: make([]float32, rows), Residuals: make([]float32, rows),
	}
	return all
}

func (p place) snapshot(t *testing.T, episodes int) snapshot.Snapshot {
	t.Helper()
	return fixture.Published(t, p.out, walks(episodes)...)
}

func (p place) publish(t *testing.T, s snapshot.Snapshot, mode Mode) Result {
	t.Helper()
	r, err := Publish(t.Context(), p.Options, s, mode)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (p place) show(t *testing.T) Description {
	t.Helper()
	d, err := Show(t.Context(), p.Options)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// holds is a table's snapshots in short: what D* each is of, its rows, and those whose
// folders it is read from.
func (p place) holds(t *testing.T) (lines []string) {
	t.Helper()
	for _, v := range p.show(t).Snapshots {
		var ids []string
		for _, folder := range v.Folders {
			ids = append(ids, filepath.Base(filepath.Dir(folder)))
		}
		lines = append(lines, fmt.Sprintf("%s %s %d rows of %s, current: %v", v.Mode, v.SnapshotID, v.Rows, strings.Join(ids, " "), v.Current))
	}
	return lines
}

func line(mode Mode, s snapshot.Snapshot, rows int64, current bool, of ...snapshot.Snapshot) string {
	var ids []string
	for _, o := range of {
		ids = append(ids, o.ID)
	}
	return fmt.Sprintf("%s %s %d rows of %s, current: %v", mode, s.ID, rows, strings.Join(ids, " "), current)
}

func TestReplaceAndAppend(t *testing.T) {
	p := newPlace(t)
	one, two, three := p.snapshot(t, 5), p.snapshot(t, 7), p.snapshot(t, 4)
	n1, n2, n3 := one.Manifest.Rows(), two.Manifest.Rows(), three.Manifest.Rows()
	first := p.publish(t, one, Replace)
	if !first.Published || first.Rows != n1 || first.TableRows != n1 || first.Files != 5 || first.SnapshotID != one.ID {
		t.Errorf("the first: %+v", first)
	}
	if r := p.publish(t, two, Append); !r.Published || r.TableRows != n1+n2 {
		t.Errorf("added: %+v", r)
	}
	p.publish(t, three, Replace)
	want := []string{
		line(Replace, one, n1, false, one),
		line(Append, two, n1+n2, false, one, two),
		line(Replace, three, n3, true, three),
	}
	if diff := cmp.Diff(want, p.holds(t)); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
	if got := len(p.show(t).Folders); got != 3 {
		t.Errorf("%d folders are in use, want 3", got)
	}
	for _, s := range []snapshot.Snapshot{one, two, three} {
		if err := s.Check(true); err != nil {
			t.Error(err)
		}
	}
}

// TestAgain publishes what the table has.
func TestAgain(t *testing.T) {
	p := newPlace(t)
	one, two, three := p.snapshot(t, 5), p.snapshot(t, 7), p.snapshot(t, 4)
	for _, test := range []struct {
		of        snapshot.Snapshot
		mode      Mode
		published bool
	}{
		{one, Append, true},
		{one, Append, false},
		{one, Replace, false}, // it is all there is
		{two, Append, true},
		{one, Append, false},
		{two, Append, false},
		{two, Replace, true}, // its files stay, the others go
		{two, Replace, false},
		{two, Append, false},
		{three, Append, true},
		{two, Append, false},
	} {
		before := p.atMost(t)
		r := p.publish(t, test.of, test.mode)
		if r.Published != test.published {
			t.Errorf("%s %s: published: %v, want %v", test.mode, test.of.ID, r.Published, test.published)
		}
		if after := p.show(t).Metadata; (after == before) == test.published {
			t.Errorf("%s %s: the table's metadata went from %q to %q", test.mode, test.of.ID, before, after)
		}
	}
	want := line(Append, three, two.Manifest.Rows()+three.Manifest.Rows(), true, two, three)
	if got := p.holds(t); got[len(got)-1] != want {
		t.Errorf("the table:\n%s\nwant at the end:\n%s", strings.Join(got, "\n"), want)
	}
}

// atMost is the table's metadata, "" where there is no table.
func (p place) atMost(t *testing.T) string {
	d, err := Show(t.Context(), p.Options)
	if err != nil && !errors.Is(err, ErrCatalog) {
		t.Fatal(err)
	}
	return d.Metadata
}

func TestOlder(t *testing.T) {
	p := newPlace(t)
	one, two := p.snapshot(t, 5), p.snapshot(t, 7)
	p.publish(t, two, Replace)
	if _, err := Publish(t.Context(), p.Options, one, Replace); !errors.Is(err, ErrSuperseded) || !strings.Contains(err.Error(), two.ID) {
		t.Errorf("an earlier one replaces a later one: %v", err)
	}
	p.Older = true
	if r := p.publish(t, one, Replace); !r.Published || r.TableRows != one.Manifest.Rows() {
		t.Errorf("though it may: %+v", r)
	}
}

// TestFacts: what a table says of a snapshot has no path in it, and no input's name.
func TestFacts(t *testing.T) {
	p := newPlace(t)
	s := p.snapshot(t, 5)
	p.publish(t, s, Replace)
	got := p.show(t).Snapshots[0].Facts
	want := map[string]string{
		"method": "diffstitch", "seed": "7", "software": "diffstitch test", "backend": "go", "runner": "direct",
		"model.denoiser-sha256": "d0", "model.dynamics-sha256": "d1", "configuration-sha256": s.Manifest.ConfigurationHash(),
		"original-episodes": "4", "stitched-episodes": "1", "repeated-episodes": "0", "generated-transitions": "0", "placeholder-rows": "0",
		"original-transitions": fmt.Sprint(s.Manifest.Original.Transitions), "stitched-transitions": fmt.Sprint(s.Manifest.Stitched.Transitions),
		"observation-dim": "3", "action-dim": "2", "created": s.Manifest.Created.Format("2006-01-02T15:04:05Z"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if !strings.HasSuffix(s.ID, want["configuration-sha256"][:8]) {
		t.Errorf("the configuration's hash %s is not that of %s", want["configuration-sha256"], s.ID)
	}
}

func TestColumnsMustFit(t *testing.T) {
	p := newPlace(t)
	p.publish(t, p.snapshot(t, 5), Replace)
	named := walks(5)
	named[0].OriginalID = "a"
	wide := fixture.RandomWalks(fixture.Shape{Episodes: 5, MaxSteps: 30, ObservationDim: 4, ActionDim: 2}, 1)
	for says, episodes := range map[string][]*trajectory.Episode{
		"its observation-dim is 3, that of D* 4": wide,
		`the table has no column "original_id"`:  named,
	} {
		s := fixture.Published(t, filepath.Join(t.TempDir(), "out"), episodes...)
		for _, mode := range []Mode{Replace, Append} {
			if _, err := Publish(t.Context(), p.Options, s, mode); !errors.Is(err, ErrColumns) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: error %v, want one that says %q", mode, err, says)
			}
		}
	}
	if got := len(p.show(t).Snapshots); got != 1 {
		t.Errorf("the table has %d snapshots, want one", got)
	}
}

func TestDifferences(t *testing.T) {
	table := map[string]string{"a": "int", "b": "optional long", "c": "list<float>"}
	got := differences(table, map[string]string{"b": "long", "c": "list<float>", "d": "string"})
	want := []string{`D* has no column "a"`, `column "b" is optional long in the table and long in D*`, `the table has no column "d"`}
	if diff := cmp.Diff(want, sortedLines(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNotPublished has snapshots that are not as their manifests say.
func TestNotPublished(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, s *snapshot.Snapshot){
		"none":            func(_ *testing.T, s *snapshot.Snapshot) { *s = snapshot.Snapshot{} },
		"another's":       func(_ *testing.T, s *snapshot.Snapshot) { s.Manifest.ID = "20260101T000000Z-00000000" },
		"no files":        func(_ *testing.T, s *snapshot.Snapshot) { s.Manifest.Parts = nil },
		"a file less":     func(_ *testing.T, s *snapshot.Snapshot) { s.Manifest.Parts = s.Manifest.Parts[1:] },
		"other rows":      func(_ *testing.T, s *snapshot.Snapshot) { s.Manifest.Parts[0].Rows++ },
		"other widths":    func(_ *testing.T, s *snapshot.Snapshot) { s.Manifest.ActionDim++ },
		"a file is gone":  func(t *testing.T, s *snapshot.Snapshot) { remove(t, partOf(s)) },
		"a file is cut":   func(t *testing.T, s *snapshot.Snapshot) { truncate(t, partOf(s)) },
		"no Parquet file": func(t *testing.T, s *snapshot.Snapshot) { scribble(t, partOf(s)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			s := p.snapshot(t, 5)
			change(t, &s)
			if _, err := Publish(t.Context(), p.Options, s, Replace); !errors.Is(err, ErrNotPublished) {
				t.Errorf("error %v", err)
			}
			if d, err := Show(t.Context(), p.Options); err == nil && len(d.Snapshots) > 0 {
				t.Errorf("the table has %d snapshots", len(d.Snapshots))
			}
		})
	}
}

func partOf(s *snapshot.Snapshot) string { return filepath.Join(s.Dir, s.Manifest.Parts[0].File) }

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
}

func scribble(t *testing.T, path string) {
	t.Helper()
	bytes, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, make([]byte, len(bytes)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAppendOfGrown appends snapshots each of which lists the files of those before.
func TestAppendOfGrown(t *testing.T) {
	p := newPlace(t)
	p.publish(t, p.snapshot(t, 5), Append)
	for _, missed := range []int{0, 1} {
		for range missed {
			fixture.Grown(t, p.out, walks(3)...)
		}
		s := fixture.Grown(t, p.out, walks(2)...)
		if r := p.publish(t, s, Append); !r.Published || r.TableRows != s.Manifest.Rows() {
			t.Errorf("%d snapshots were missed: %+v", missed, r)
		}
	}
}
