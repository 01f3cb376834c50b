package exchange

import (
	"context"
	"fmt"
	"strings"

	"diffstitch/io/dataset"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// Inspection is what a dataset holds and, if asked for, whether it keeps the
// rules of D*.
type Inspection struct {
	dataset.Summary
	Checked    *dataset.Checked    `json:"checked,omitempty"`
	Violations []dataset.Violation `json:"violations,omitempty"`
}

// Inspect reads a dataset whole.
func Inspect(ctx context.Context, path string, opts dataset.Options, verify bool) (Inspection, error) {
	files, err := input.Files(path, verify)
	if err != nil {
		return Inspection{}, err
	}
	var i Inspection
	if i.Summary, err = dataset.Inspect(ctx, files, opts); err != nil {
		return i, fmt.Errorf("%w: %w", failure.ErrData, err)
	}
	if !verify {
		return i, nil
	}
	violations, checked, err := dataset.Verify(ctx, files)
	if err != nil {
		return i, fmt.Errorf("%w: %w", failure.ErrData, err)
	}
	i.Checked, i.Violations = &checked, violations
	return i, nil
}

// Text shows the inspection to a reader.
func (i Inspection) Text() string {
	text := &strings.Builder{}
	text.WriteString(i.Summary.Text())
	if i.Checked == nil {
		return text.String()
	}
	for _, v := range i.Violations {
		fmt.Fprintln(text, "violation:", v)
	}
	if i.Err() == nil {
		fmt.Fprintf(text, "verified: %d transitions of %d episodes in %d files keep the rules of D*\n",
			i.Checked.Transitions, i.Checked.Episodes, i.Checked.Files)
	}
	return text.String()
}

// Err is an error if a rule of D* is broken.
func (i Inspection) Err() error {
	if i.Checked == nil || len(i.Checked.Violations) == 0 {
		return nil
	}
	counts := map[string]int{}
	for rule, n := range i.Checked.Violations {
		counts[string(rule)] = int(n)
	}
	return fmt.Errorf("%w: the rules of D* are broken: %s", failure.ErrData, input.Reasons(counts))
}
