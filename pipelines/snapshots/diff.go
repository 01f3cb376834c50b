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
	return d, nil
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
	if len(d.Changes) == 0 {
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
	}
	for _, in := range m.Inputs {
		all["input "+in.Path] = fmt.Sprintf("%d bytes, SHA-256 %.12s", in.Bytes, in.SHA256)
	}
	for _, model := range m.Models {
		all["model "+model.Kind] = fmt.Sprintf("%.12s", model.SHA256)
	}
	for _, p := range m.Parts {
		name := strings.TrimPrefix(p.Snapshot+"/"+p.File, "/")
		all["file "+name] = fmt.Sprintf("%d rows, SHA-256 %.12s", p.Rows, p.SHA256)
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
