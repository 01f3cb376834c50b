package study

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Preview is a study's plan, and how far it has come.
type Preview struct {
	Plan
	// Finished are the steps that are, by key; Seconds says how long they took, or
	// how long those that are not will take, as far as finished steps of their kind
	// tell.
	Finished map[string]bool    `json:"finished"`
	Seconds  map[string]float64 `json:"seconds"`
}

// Look says what Run would do. It writes nothing.
func Look(o Options) (Preview, error) {
	r, err := open(o)
	if err != nil {
		return Preview{}, err
	}
	rates := rates(r.finished)
	p := Preview{Plan: r.plan, Finished: map[string]bool{}, Seconds: map[string]float64{}}
	for _, step := range r.plan.Steps {
		record, done := r.finished[step.Key]
		if p.Finished[step.Key] = done; done {
			p.Seconds[step.Key] = record.Seconds
		} else if rate, known := rates[step.Work.Alike]; known {
			p.Seconds[step.Key] = rate * float64(step.Work.Amount)
		}
	}
	return p, nil
}

// Text shows the plan to a reader.
func (p Preview) Text() string {
	text := &strings.Builder{}
	s := p.Settings
	data := s.Data
	if data == "" {
		data = "built in"
	}
	fmt.Fprintf(text, "%s: %s\nenvironment %s, data %s, scale %s, %d seeds, backend %s\n\n", s.Study, Titles[s.Study], s.Env, data, s.Scale.Name, s.Scale.Seeds, s.Backend)
	if words := s.Stitching.Words(); p.stitches() {
		fmt.Fprintf(text, "DiffStitch, %s: pairing %s, similarity %s, sampler %s, Δ %s, δ %s\n\n",
			stitchingNames[s.Scale.Stitching], words.Pairing, words.Similarity, words.Sampler, words.Steps, words.Delta)
	}
	w := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "folder\tstep\twork\tstate")
	for _, step := range p.Steps {
		fmt.Fprintf(w, "%s\t%s\t%d %s\t%s\n", step.Key, step.Title, step.Work.Amount, step.Work.Unit, p.state(step))
	}
	_ = w.Flush() // a builder takes everything
	fmt.Fprintln(text)
	fmt.Fprintln(text, p.sum())
	return text.String()
}

// stitches is whether a step is DiffStitch's.
func (p Preview) stitches() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool {
		a, ok := s.job.(augmentJob)
		return ok && a.Stitching != nil
	})
}

func (p Preview) state(step Step) string {
	seconds, known := p.Seconds[step.Key]
	switch {
	case p.Finished[step.Key]:
		return "finished, took " + clock(seconds)
	case known:
		return "to do, about " + clock(seconds)
	}
	return "to do"
}

// sum is how much is left to do.
func (p Preview) sum() string {
	left, known, seconds := 0, 0, 0.0
	work := map[string]int64{}
	var units []string
	for _, step := range p.Steps {
		if p.Finished[step.Key] {
			continue
		}
		left++
		if _, seen := work[step.Work.Unit]; !seen {
			units = append(units, step.Work.Unit)
		}
		work[step.Work.Unit] += step.Work.Amount
		if s, ok := p.Seconds[step.Key]; ok {
			known++
			seconds += s
		}
	}
	if left == 0 {
		return fmt.Sprintf("all of the %d steps are finished", len(p.Steps))
	}
	var amounts []string
	for _, unit := range units {
		amounts = append(amounts, fmt.Sprintf("%d %s", work[unit], unit))
	}
	line := fmt.Sprintf("%d of %d steps are left: %s", left, len(p.Steps), strings.Join(amounts, ", "))
	switch known {
	case 0:
		return line + "; how long they take is told once some like them are finished"
	case left:
		return line + "; about " + clock(seconds)
	}
	return line + fmt.Sprintf("; about %s for the %d of them that are like finished ones", clock(seconds), known)
}

func clock(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}
