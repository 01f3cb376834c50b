package snapshots

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"diffstitch/io/snapshot"
)

// Change is a value that differs between two snapshots; "" where there is none.
type Change struct {
	What string `json:"what"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Difference is in what two snapshots differ.
type Difference struct {
	From    string   `json:"from"`
	To      string   `json:"to"`
	Changes []Change `json:"changes"`
	// Alike are the data files that are the same in both, wherever they lie; the others only
	// one of them has.
	Alike    Amount `json:"files_alike"`
	OnlyFrom Amount `json:"files_only_from"`
	OnlyTo   Amount `json:"files_only_to"`
}

// Amount is of data files.
type Amount struct {
	Files int   `json:"files"`
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
}

func (a *Amount) add(p snapshot.Part) {
	a.Files++
	a.Rows += p.Rows
	a.Bytes += p.Bytes
}

func (a Amount) String() string {
	return fmt.Sprintf("%d, %d rows, %.1f MiB", a.Files, a.Rows, float64(a.Bytes)/(1<<20))
}

// Diff compares two snapshots: what they were made with, from what and of what size. With
// an id of "" it is the current snapshot, and its parent.
func Diff(out, from, to string) (Difference, error) {
	after, err := find(out, to)
	if err == nil && from == "" {
		if from = after.Manifest.Parent; from == "" {
			err = fmt.Errorf("%s has no parent to compare it with: name two snapshots: %w", after.ID, snapshot.ErrNoSnapshot)
		}
	}
	var before snapshot.Snapshot
	if err == nil {
		before, err = find(out, from)
	}
	if err != nil {
		return Difference{}, kind(err)
	}
	a, b := facts(before.Manifest), facts(after.Manifest)
	d := Difference{From: before.ID, To: after.ID, Changes: []Change{}}
	names := map[string]bool{}
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if a[name] != b[name] {
			d.Changes = append(d.Changes, Change{name, a[name], b[name]})
		}
	}
	d.compareFiles(before.Manifest.Parts, after.Manifest.Parts)
	return d, nil
}

// compareFiles tells files by what they hold.
func (d *Difference) compareFiles(before, after []snapshot.Part) {
	had := map[string][]snapshot.Part{}
	for _, p := range before {
		had[p.SHA256] = append(had[p.SHA256], p)
	}
	for _, p := range after {
		if same := had[p.SHA256]; len(same) > 0 {
			d.Alike.add(p)
			had[p.SHA256] = same[1:]
			continue
		}
		d.OnlyTo.add(p)
	}
	for _, gone := range had {
		for _, p := range gone {
			d.OnlyFrom.add(p)
		}
	}
}

// Text shows the difference to a reader, a line a value.
func (d Difference) Text() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "--- %s\n+++ %s\n", d.From, d.To)
	for _, c := range d.Changes {
		if c.From != "" {
			fmt.Fprintf(text, "- %s: %s\n", c.What, c.From)
		}
		if c.To != "" {
			fmt.Fprintf(text, "+ %s: %s\n", c.What, c.To)
		}
	}
	fmt.Fprintln(text, "  files that are alike:", d.Alike)
	if d.OnlyFrom.Files > 0 {
		fmt.Fprintln(text, "- files:", d.OnlyFrom)
	}
	if d.OnlyTo.Files > 0 {
		fmt.Fprintln(text, "+ files:", d.OnlyTo)
	}
	if len(d.Changes) == 0 && d.OnlyFrom.Files+d.OnlyTo.Files == 0 {
		fmt.Fprintln(text, "nothing differs")
	}
	return text.String()
}

// facts are a manifest's values by their names.
func facts(m snapshot.Manifest) map[string]string {
	all := map[string]string{
		"software": m.Software, "method": m.Method, "backend": m.Backend, "runner": m.Runner, "seed": fmt.Sprint(m.Seed),
		"observation_dim": fmt.Sprint(m.ObservationDim), "action_dim": fmt.Sprint(m.ActionDim),
		"original": count(m.Original), "stitched": count(m.Stitched), "repeated": count(m.Repeated),
		"generated": fmt.Sprintf("%d transitions", m.Generated), "placeholders": fmt.Sprintf("%d next observations", m.Placeholders),
	}
	for _, c := range m.Schema {
		all["column "+c.Name] = describe(c)
	}
	for _, in := range m.Inputs {
		all["input "+in.Path] = fmt.Sprintf("%d bytes, SHA-256 %.12s", in.Bytes, in.SHA256)
	}
	for _, model := range m.Models {
		all["model "+model.Kind] = fmt.Sprintf("%.12s", model.SHA256)
	}
	for _, s := range m.Stages {
		all["stage "+s.Stage] = fmt.Sprintf("%d in, %d out", s.In, s.Out)
	}
	var configuration any
	if json.Unmarshal(m.Configuration, &configuration) == nil {
		flatten(all, "configuration", configuration)
	}
	return all
}

func describe(c snapshot.Column) string {
	text := c.Type
	if c.Width > 0 {
		text = fmt.Sprintf("list of %d %s", c.Width, c.Type)
	}
	if c.Nullable {
		text += ", nullable"
	}
	return text
}

func count(c snapshot.Count) string {
	return fmt.Sprintf("%d transitions of %d episodes", c.Transitions, c.Episodes)
}

// flatten names the values in a JSON document by their places.
func flatten(into map[string]string, name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			flatten(into, name+"."+key, member)
		}
	case nil:
	default:
		text, err := json.Marshal(v)
		if err == nil {
			into[name] = string(text)
		}
	}
}
