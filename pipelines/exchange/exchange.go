// Package exchange brings datasets in and out: it generates the built-in ones, imports
// from and exports to other tools' layouts, samples, and inspects.
package exchange

import (
	"fmt"
	"strings"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
)

// Exchanged is what came of an export or an import.
type Exchanged struct {
	Layout      string `json:"layout"`
	Out         string `json:"out"`
	Episodes    int64  `json:"episodes"`
	Transitions int64  `json:"transitions"`
	Rejected    int    `json:"rejected_episodes"`
	// UnknownFinals are the episodes whose observation after the last step is not
	// known, and so repeats the last.
	UnknownFinals int64 `json:"unknown_final_observations"`
	// OwnNext are the episodes whose own next observations, which differ from the
	// observations a step later, the layout has no place for.
	OwnNext int64 `json:"own_next_observations_left_out"`
	// Renumbered is whether the episodes got new ids, since files shared theirs.
	Renumbered bool `json:"renumbered"`
	// Notes are what a user should know of how the data was read.
	Notes []string `json:"notes,omitempty"`
	// Columns are the data's own names, and so the order in which vectors were
	// flattened.
	Columns map[string]string `json:"columns"`
}

// Text shows what was done to a reader.
func (x Exchanged) Text() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "%d episodes, %d transitions, layout %s: %s\n", x.Episodes, x.Transitions, x.Layout, x.Out)
	for _, name := range []string{"observations", "next_observations", "actions"} {
		if column := x.Columns[name]; strings.Contains(column, "+") {
			fmt.Fprintf(text, "%s are %s, in this order (--column %s=… names another)\n", name, column, name)
		}
	}
	for _, line := range []struct {
		count int64
		what  string
	}{
		{int64(x.Rejected), "episodes cannot be used, and are left out (diffstitch inspect says why)"},
		{x.UnknownFinals, "episodes have no known observation after the last step: it repeats the last"},
		{x.OwnNext, "episodes have next observations of their own, for which the layout has no place: they are left out"},
	} {
		if line.count > 0 {
			fmt.Fprintf(text, "%d %s\n", line.count, line.what)
		}
	}
	if x.Renumbered {
		fmt.Fprintln(text, "episode ids are text, or shared by files: the episodes are numbered anew")
	}
	for _, note := range x.Notes {
		fmt.Fprintln(text, note)
	}
	return text.String()
}

func (x *Exchanged) count(e *trajectory.Episode) {
	x.Episodes++
	x.Transitions += int64(e.Len())
	if _, known := e.NextObservation(e.Len() - 1); !known {
		x.UnknownFinals++
	}
	if e.NextObservations != nil && (x.Layout == dataset.MinariArrow || x.Layout == dataset.MinariParquet) {
		x.OwnNext++
	}
}
