package dataset

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"text/tabwriter"

	"diffstitch/io/layout"
	"diffstitch/io/trajectory"
)

// Summary is what a dataset holds.
type Summary struct {
	// Notes are what a user should know of how the data is read.
	Notes          []string `json:"notes,omitempty"`
	Files          int      `json:"files"`
	Layout         string   `json:"layout"`
	ObservationDim int      `json:"observation_dim"`
	ActionDim      int      `json:"action_dim"`
	Episodes       int64    `json:"episodes"`
	Transitions    int64    `json:"transitions"`
	// Lengths are steps an episode.
	Lengths   Lengths   `json:"lengths"`
	Returns   Quantiles `json:"returns"`
	Terminals int64     `json:"terminals"` // episodes that ended so
	Timeouts  int64     `json:"timeouts"`
	// KnownFinals are episodes whose observation after the last step is known.
	KnownFinals int64 `json:"known_final_observations"`
	// Sources are the episodes of each source, and Generated the transitions
	// among them whose action and reward were inferred.
	Sources   map[string]int64 `json:"sources"`
	Generated int64            `json:"generated_transitions"`
	// Rejects are the episodes left out, by reason, and Examples the first of
	// each reason.
	Rejects  map[Reason]int64 `json:"rejects"`
	Examples []Reject         `json:"reject_examples"`
}

// Lengths are in steps; all 0 where there are no episodes.
type Lengths struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// Quantiles of episode returns; all 0 where there are no episodes.
type Quantiles struct {
	Min    float64 `json:"min"`
	Q10    float64 `json:"q10"`
	Q25    float64 `json:"q25"`
	Median float64 `json:"median"`
	Q75    float64 `json:"q75"`
	Q90    float64 `json:"q90"`
	Max    float64 `json:"max"`
}

// Inspect reads files, which should hold one dataset, and sums them up.
func Inspect(ctx context.Context, files []string, opts Options) (Summary, error) {
	s := Summary{Sources: map[string]int64{}, Rejects: map[Reason]int64{}, Examples: []Reject{}}
	var lengths, returns []float64
	var edges Edges
	for i := range files {
		stepless := false
		err := eachItem(ctx, files, i, opts, func(f *File) error {
			stepless = Stepless(f.Schema())
			return s.addFile(f)
		}, func(item Item) {
			if item.Reject != nil {
				s.addReject(*item.Reject)
				return
			}
			s.addEpisode(item.Episode)
			if stepless {
				edges.Add(i, item.Episode.ID)
			}
			lengths = append(lengths, float64(item.Episode.Len()))
			returns = append(returns, item.Episode.Return())
		})
		if err != nil {
			return Summary{}, err
		}
	}
	s.note(layout.Disordered(s.Episodes, s.Rejects), edges.Note())
	slices.Sort(lengths)
	slices.Sort(returns)
	s.Lengths = Lengths{Min: quantile(lengths, 0), Median: quantile(lengths, 0.5), Max: quantile(lengths, 1)}
	s.Returns = Quantiles{
		Min: quantile(returns, 0), Q10: quantile(returns, 0.1), Q25: quantile(returns, 0.25), Median: quantile(returns, 0.5),
		Q75: quantile(returns, 0.75), Q90: quantile(returns, 0.9), Max: quantile(returns, 1),
	}
	return s, nil
}

// eachItem opens a file of some and calls begin with it and add with each of its items.
func eachItem(ctx context.Context, files []string, index int, opts Options, begin func(*File) error, add func(Item)) (err error) {
	f, err := OpenAmong(files, index, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.CheckOrder(); err != nil {
		return err
	}
	if err := begin(f); err != nil {
		return err
	}
	for item, err := range f.Episodes(ctx) {
		if err != nil {
			return err
		}
		add(item)
	}
	return nil
}

func (s *Summary) addFile(f *File) error {
	schema := f.Schema()
	s.Files++
	notes, err := f.Notes()
	if err != nil {
		return err
	}
	s.note(notes...)
	if schema.Rows == 0 {
		return nil
	}
	if s.Layout == "" {
		s.Layout, s.ObservationDim, s.ActionDim = schema.Layout, schema.ObservationDim, schema.ActionDim
	}
	if s.Layout != schema.Layout || s.ObservationDim != schema.ObservationDim || s.ActionDim != schema.ActionDim {
		return fmt.Errorf("dataset: %q has layout %s with %d observation and %d action values, the files before it %s with %d and %d: they are not one dataset",
			f.Path(), schema.Layout, schema.ObservationDim, schema.ActionDim, s.Layout, s.ObservationDim, s.ActionDim)
	}
	return nil
}

// note keeps what is not kept yet.
func (s *Summary) note(notes ...string) {
	for _, note := range notes {
		if note != "" && !slices.Contains(s.Notes, note) {
			s.Notes = append(s.Notes, note)
		}
	}
}

func (s *Summary) addReject(r Reject) {
	if s.Rejects[r.Reason] == 0 {
		s.Examples = append(s.Examples, r)
	}
	s.Rejects[r.Reason]++
}

func (s *Summary) addEpisode(e *trajectory.Episode) {
	s.Episodes++
	s.Transitions += int64(e.Len())
	if e.End == trajectory.Terminal {
		s.Terminals++
	} else {
		s.Timeouts++
	}
	if _, known := e.NextObservation(e.Len() - 1); known {
		s.KnownFinals++
	}
	if p := e.Provenance; p != nil {
		s.Generated += int64(p.GeneratedRows(e.Len()))
	}
	s.Sources[e.Source()]++
}

// Rejected is the number of episodes left out.
func (s Summary) Rejected() int64 {
	total := int64(0)
	for _, n := range s.Rejects {
		total += n
	}
	return total
}

// Text is the summary for a person to read.
func (s Summary) Text() string {
	var buffer bytes.Buffer
	w := tabwriter.NewWriter(&buffer, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	for _, note := range s.Notes {
		line("note", "%s", note)
	}
	line("layout", "%s, %d files", cmp.Or(s.Layout, "(no rows)"), s.Files)
	line("observations", "%d values", s.ObservationDim)
	line("actions", "%d values", s.ActionDim)
	line("episodes", "%d (%d terminal, %d timeout; %d with a known final observation)", s.Episodes, s.Terminals, s.Timeouts, s.KnownFinals)
	line("transitions", "%d (%d generated)", s.Transitions, s.Generated)
	line("lengths", "min %g  median %g  max %g", s.Lengths.Min, s.Lengths.Median, s.Lengths.Max)
	q := s.Returns
	line("returns", "min %.4g  10%% %.4g  25%% %.4g  median %.4g  75%% %.4g  90%% %.4g  max %.4g", q.Min, q.Q10, q.Q25, q.Median, q.Q75, q.Q90, q.Max)
	for _, source := range slices.Sorted(maps.Keys(s.Sources)) {
		line("source "+source, "%d episodes", s.Sources[source])
	}
	line("rejected", "%d episodes", s.Rejected())
	for _, r := range s.Examples {
		line("  "+string(r.Reason), "%d, as %s row %d: %s", s.Rejects[r.Reason], r.File, r.Row, r.Detail)
	}
	w.Flush() // to memory
	return buffer.String()
}

// quantile interpolates between the order statistics of sorted values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}
