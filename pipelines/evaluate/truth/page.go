package truth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"diffstitch/io/report"
	"diffstitch/io/storage"
	"diffstitch/pipelines/version"
)

// The two ends of the scale, in tables.
const (
	realKind     = "real"
	shuffledKind = "real, actions shuffled"
)

// draw is what the page shows.
func (j *judge) draw(t Truth, whole, shuffled *judged) *report.Truth {
	drawn := &report.Truth{
		Judge: "The simulator of " + j.sim.Spec().Name, Unit: "units of the observations",
		Kinds: []report.Errors{{Name: realKind, Values: whole.truth}, {Name: shuffledKind, Values: shuffled.truth}},
	}
	for _, source := range slices.Sorted(maps.Keys(j.generated)) {
		drawn.Kinds = append(drawn.Kinds, report.Errors{Name: source, Values: j.generated[source].truth})
	}
	drawn.Lead = lead(t)
	for _, w := range j.episodes {
		if !math.IsNaN(w.qualification) && !math.IsInf(w.truth, 0) {
			drawn.Judged = append(drawn.Judged, report.Judged{MaxError: w.qualification, TrueError: w.truth, Accepted: true})
		}
	}
	return drawn
}

// lead is whether the data can be trusted, in a figure for each source.
func lead(t Truth) (facts []report.Fact) {
	for _, source := range slices.Sorted(maps.Keys(t.Generated)) {
		if e := t.Generated[source].Episodes; e != nil {
			facts = append(facts, report.Fact{Name: fmt.Sprintf("of the %s episodes are true in every transition (real: %.0f %%, actions shuffled: %.0f %%)", source, 100*t.Real.True, 100*t.Shuffled.True), Value: fmt.Sprintf("%.1f %%", 100*e.True)})
		}
	}
	return facts
}

// Report is what a report shows of the judgement.
func (t Truth) Report() report.Truth { return *t.drawn }

// Write writes truth.json and truth.html into a folder.
func (t Truth) Write(dir, data string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("truth: %w", err)
	}
	page := report.Report{
		Title: filepath.Base(data) + ", judged by " + t.Env.Name, Created: time.Now().UTC(), Software: version.Software, Truth: t.drawn,
		Summary: []report.Fact{{Name: "environment", Value: t.Env.Name}, {Name: "true below", Value: fmt.Sprintf("%.4g", t.Bound)}},
	}
	if t.Env.Unobserved != "" {
		page.Notices = append(page.Notices, "Not observed is "+t.Env.Unobserved+".")
	}
	if len(t.Dimensions) > 0 {
		page.Summary = append(page.Summary, report.Fact{Name: "dimensions", Value: fmt.Sprint(t.Dimensions)})
	}
	return errors.Join(
		storage.WriteJSON(filepath.Join(dir, "truth.json"), t),
		storage.WriteWhole(filepath.Join(dir, "truth.html"), func(w io.Writer) error { return report.Write(w, page) }),
	)
}

// Text shows the judgement to a reader.
func (t Truth) Text() string {
	text := &bytes.Buffer{}
	fmt.Fprintf(text, "true one-step error by %s, distances in the units of the observations", t.Env.Name)
	if len(t.Dimensions) > 0 {
		fmt.Fprintf(text, ", dimensions %v", t.Dimensions)
	}
	if t.Env.Unobserved != "" {
		fmt.Fprintf(text, "\nnot observed: %s", t.Env.Unobserved)
	}
	fmt.Fprintf(text, "\ntrue: below %.4g, the error of one in twenty transitions whose actions were shuffled\n\n", t.Bound)
	w := tabwriter.NewWriter(text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "transitions\tnumber\tmedian\t90 %\t99 %\tlargest\ttrue\tnot replayed\t")
	row := func(name string, e TrueErrors) {
		fmt.Fprintf(w, "%s\t%d\t%.4g\t%.4g\t%.4g\t%.4g\t%.1f %%\t%d\t\n", name, e.Rows, e.Median, e.Q90, e.Q99, e.Max, 100*e.True, e.Unset)
	}
	row(realKind, t.Real)
	for _, source := range slices.Sorted(maps.Keys(t.Generated)) {
		row(source, t.Generated[source])
	}
	row(shuffledKind, t.Shuffled)
	w.Flush() // to memory
	for _, source := range slices.Sorted(maps.Keys(t.Generated)) {
		if e := t.Generated[source].Episodes; e != nil {
			fmt.Fprintf(text, "\n%s: %.1f %% of %d episodes are true in every generated transition; worst transition of an episode, median: %.4g\n", source, 100*e.True, e.Count, e.Worst)
		}
	}
	t.Transitions.text(text, "transitions")
	t.Episodes.text(text, "episodes, by the worst transition of each")
	return text.String()
}

func (f *Filter) text(text *bytes.Buffer, what string) {
	if f == nil {
		fmt.Fprintf(text, "\n%s: no qualification errors to compare with\n", what)
		return
	}
	fmt.Fprintf(text, "\n%d %s: rank correlation (Spearman) of qualification error and true error %.3f\n", f.Count, what, f.Spearman)
	w := tabwriter.NewWriter(text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "kept\tδ\ttrue\tmedian true error\t")
	for _, l := range f.Levels {
		fmt.Fprintf(w, "%.0f %%\t%.4g\t%.1f %%\t%.4g\t\n", 100*l.Share, l.Delta, 100*l.Precision, l.Median)
	}
	w.Flush() // to memory
}
