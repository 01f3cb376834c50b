package table

import (
	"encoding/json"
	"math"
	"os/exec"
	"strings"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// content is what a reader finds in a snapshot of a table.
type content struct {
	Rows      int                `json:"rows"`
	Types     map[string]string  `json:"types"`
	Required  []string           `json:"required"`
	Sums      map[string]float64 `json:"sums"`
	Nulls     map[string]int     `json:"nulls"`
	Generated int                `json:"generated"`
	Stitched  int                `json:"stitched"`
}

// expected are the types of a table's columns as Arrow has them, and whether they are
// required.
var expected = []struct {
	name, kind string
	required   bool
}{
	{"episode_id", "int64", true}, {"step", "int32", true},
	{"observations", "list<element: float not null>", true}, {"actions", "list<element: float not null>", true},
	{"rewards", "float", true}, {"next_observations", "list<element: float not null>", true},
	{"terminals", "bool", true}, {"timeouts", "bool", true}, {"source", "string", true}, {"generated", "bool", true},
	{"low_episode_id", "int64", false}, {"high_episode_id", "int64", false}, {"from_episode_id", "int64", false}, {"from_step", "int32", false},
	{"qualification_error", "float", false}, {"refinement_residual", "float", false},
}

// contentOf is what is to be found of episodes.
func contentOf(episodes []*trajectory.Episode) content {
	c := content{Types: map[string]string{}, Sums: map[string]float64{}, Nulls: map[string]int{}}
	for _, e := range expected {
		c.Types[e.name] = e.kind
		if e.required {
			c.Required = append(c.Required, e.name)
		}
	}
	for _, e := range episodes {
		c.Rows += e.Len()
		c.Sums["observations"] += total(e.Observations)
		c.Sums["actions"] += total(e.Actions)
		c.Sums["rewards"] += total(e.Rewards)
		for step := range e.Len() {
			next, known := e.NextObservation(step)
			if !known {
				next = e.Observation(step)
			}
			c.Sums["next_observations"] += total(next)
		}
		c.Nulls["from_episode_id"] += e.Len() // the stitches are generated whole
		c.Nulls["from_step"] += e.Len()
		if e.Provenance != nil {
			c.Stitched += e.Len()
			c.Generated += e.Len()
			continue
		}
		for _, name := range []string{"low_episode_id", "qualification_error", "refinement_residual"} {
			c.Nulls[name] += e.Len()
		}
	}
	return c
}

func total(values []float32) (sum float64) {
	for _, v := range values {
		sum += float64(v)
	}
	return sum
}

// TestPython has pyiceberg read the current and the first snapshot, as Arrow, polars and
// pandas have them. Nothing may warn.
func TestPython(t *testing.T) {
	python := fixture.Python(t, "pyiceberg.catalog.sql", "sqlalchemy", "polars", "pandas")
	p := newPlace(t)
	p.out += " with é" // a path that URLs have encoded
	one, two := p.snapshot(t, 5), p.snapshot(t, 7)
	p.publish(t, one, Replace)
	p.publish(t, two, Replace)
	read := exec.Command(python, "-W", "error", "testdata/read.py", p.Catalog, p.Table)
	said := &strings.Builder{}
	read.Stderr = said
	out, err := read.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if said.Len() > 0 {
		t.Errorf("it said: %s", said)
	}
	var got struct {
		IDs      []string           `json:"ids"`
		First    map[string]content `json:"first"`
		Current  map[string]content `json:"current"`
		Filtered int                `json:"filtered"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff([]string{one.ID, two.ID}, got.IDs); diff != "" {
		t.Errorf("snapshots (-want +got):\n%s", diff)
	}
	for name, test := range map[string]struct {
		got  map[string]content
		want content
	}{"first": {got.First, contentOf(walks(5))}, "current": {got.Current, contentOf(walks(7))}} {
		for _, reader := range []string{"arrow", "polars", "pandas"} {
			want := test.want
			if reader != "arrow" {
				want.Types, want.Required = nil, nil
			}
			if diff := cmp.Diff(want, test.got[reader], cmpopts.EquateEmpty(), cmp.Comparer(near)); diff != "" {
				t.Errorf("the %s snapshot by %s (-want +got):\n%s", name, reader, diff)
			}
		}
	}
	if want := contentOf(walks(7)).Stitched; got.Filtered != want {
		t.Errorf("%d rows are stitched ones, want %d", got.Filtered, want)
	}
}

// near is whether sums are the same but for the order they were added up in.
func near(a, b float64) bool { return math.Abs(a-b) < 1e-9*(1+math.Abs(a)) }

// TestChangedByPython has pyiceberg delete rows of what is published: publishing anew
// brings them back, adding does not.
func TestChangedByPython(t *testing.T) {
	python := fixture.Python(t, "pyiceberg.catalog.sql", "sqlalchemy")
	p := newPlace(t)
	s := p.snapshot(t, 5)
	p.publish(t, s, Replace)
	const program = `import sys
from pyiceberg.catalog.sql import SqlCatalog
SqlCatalog("default", uri=f"sqlite:///{sys.argv[1]}").load_table(sys.argv[2]).delete("step > 0")`
	if out, err := exec.Command(python, "-c", program, p.Catalog, p.Table).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, test := range []struct {
		mode Mode
		rows int64
	}{{Append, 5}, {Replace, s.Manifest.Rows()}} {
		if r := p.publish(t, s, test.mode); r.Published != (test.mode == Replace) || r.TableRows != test.rows {
			t.Errorf("%s: %+v, want %d rows", test.mode, r, test.rows)
		}
	}
	if err := s.Check(true); err != nil {
		t.Error(err)
	}
}
