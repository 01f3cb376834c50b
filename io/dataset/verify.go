package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"

	"diffstitch/io/layout"
	"diffstitch/io/layout/transitions"
	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"
)

// Rule is a rule of D*.
type Rule string

// The rules that Verify checks.
const (
	RuleColumns    Rule = "columns"    // all there, with their names and types
	RuleDims       Rule = "dimensions" // one length of vectors, no nulls
	RuleUniqueID   Rule = "unique id"  // an id's rows are contiguous, in one file
	RuleSteps      Rule = "steps"      // 0, 1, 2, …
	RuleFlags      Rule = "flags"      // exactly one on the last row, none elsewhere
	RuleSource     Rule = "source"     // one of the known ones, the same on all rows
	RuleGenerated  Rule = "generated"  // no row of an original, every row of a synthetic episode
	RuleProvenance Rule = "provenance" // ids there in a stitch, null elsewhere
	RuleError      Rule = "error"      // there on generated rows alone; on all, or on none of a synthetic episode
	RuleContinuous Rule = "continuous" // next_observations is the next row's observation
	RuleFinite     Rule = "finite"     // no NaN, no Inf
)

// Violation is a row that breaks a rule.
type Violation struct {
	File      string `json:"file"`
	Row       int64  `json:"row"`
	EpisodeID int64  `json:"episode_id"`
	Rule      Rule   `json:"rule"`
	Detail    string `json:"detail"`
}

// String is the violation on one line, for a person to read.
func (v Violation) String() string {
	return fmt.Sprintf("%s: row %d: episode %d: %s: %s", v.File, v.Row, v.EpisodeID, v.Rule, v.Detail)
}

// Checked is how much Verify saw.
type Checked struct {
	Files       int   `json:"files"`
	Episodes    int64 `json:"episodes"`
	Transitions int64 `json:"transitions"`
	Generated   int64 `json:"generated"`
	// Violations are all of them by rule, also those not listed.
	Violations map[Rule]int64 `json:"violations"`
}

// listed is how many violations of one rule are listed.
const listed = 20

// sources are the values that the source column of D* may have.
var sources = map[string]bool{trajectory.Original: true, trajectory.Stitched: true, trajectory.SynthER: true, trajectory.TATU: true}

// Verify checks that files together are a D*. It lists the first violations of
// each rule; an error means that a file could not be read.
func Verify(ctx context.Context, files []string) ([]Violation, Checked, error) {
	v := verifier{
		checked: Checked{Violations: map[Rule]int64{}},
		seen:    map[int64]string{},
	}
	for _, path := range files {
		if err := v.file(ctx, path); err != nil {
			return nil, Checked{}, fmt.Errorf("dataset: verifying %q: %w", path, err)
		}
	}
	return v.violations, v.checked, nil
}

type verifier struct {
	violations []Violation
	checked    Checked
	seen       map[int64]string // where each id was first seen
	// Dimensions of the first file that has rows.
	observationDim, actionDim int

	path string
	prev verifiedRow
}

// verifiedRow is what is remembered of the row before.
type verifiedRow struct {
	there         bool
	row, id, step int64
	flags         int
	source        string
	lowID, highID int64
	next          []float32
	continuous    bool // the row is not an original's: its next observation must follow
	judged        bool // it has a qualification error
	// Of a real row of a stitch: the step that it is, of another episode.
	real             bool
	fromID, fromStep int64
	bridge           bool // it is generated
	refined          bool // it has a residual
}

func (v *verifier) file(ctx context.Context, path string) (err error) {
	f, err := Open(path, Options{Layout: Transitions})
	if errors.Is(err, ErrColumns) {
		v.path = path
		v.report(0, 0, RuleColumns, "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	v.path = path
	v.checked.Files++
	r, ok := f.reader.(*transitions.Reader)
	if !ok || !v.columns(r) {
		return nil
	}
	rows := r.Rows()
	defer rows.Close() // nothing was written
	for {
		b, err := rows.Next(math.MaxInt64)
		if err == parquet.ErrDone {
			break
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		for i := range b.Rows {
			v.row(b, i)
		}
	}
	v.endEpisode()
	return nil
}

// columns is whether the file's columns are those of D*.
func (v *verifier) columns(r *transitions.Reader) bool {
	before := v.checked.Violations[RuleColumns]
	leaves, err := r.Leaves()
	if err != nil {
		v.report(0, 0, RuleColumns, "%v", err)
		return false
	}
	for _, want := range transitions.Columns(WriterConfig{}) {
		l, ok := leaves[want.Name]
		switch {
		case !ok && want.Name == layout.Residual: // of an earlier version
		case !ok:
			v.report(0, 0, RuleColumns, "no column %s; the file has %s", want.Name, parquet.Describe(leaves))
		case l.Kind != want.Kind:
			v.report(0, 0, RuleColumns, "column %s holds %v, want %v", want.Name, l.Kind, want.Kind)
		}
	}
	s := r.Schema()
	if v.observationDim == 0 {
		v.observationDim, v.actionDim = s.ObservationDim, s.ActionDim
	}
	if s.Rows > 0 && (s.ObservationDim != v.observationDim || s.ActionDim != v.actionDim) {
		v.report(0, 0, RuleDims, "%d observation and %d action values, %d and %d in the files before", s.ObservationDim, s.ActionDim, v.observationDim, v.actionDim)
	}
	return v.checked.Violations[RuleColumns] == before
}

func (v *verifier) report(row, id int64, rule Rule, format string, args ...any) {
	v.checked.Violations[rule]++
	if v.checked.Violations[rule] <= listed {
		v.violations = append(v.violations, Violation{File: v.path, Row: row, EpisodeID: id, Rule: rule, Detail: fmt.Sprintf(format, args...)})
	}
}

// row checks a row by itself and against the one before it.
func (v *verifier) row(b *layout.Block, i int) {
	row, id := b.First+int64(i), b.IDs.Values[i]
	v.checked.Transitions++
	if v.prev.there && v.prev.id != id {
		v.endEpisode()
	}
	v.values(b, i, row, id)
	v.follows(b, i, row, id)
	v.derivation(b, i, row, id)
	v.residual(b, i, row, id)
	v.prev = verifiedRow{
		there: true, row: row, id: id, step: b.Steps.Values[i], flags: flags(b, i),
		source: b.Source.Values[i], lowID: b.LowIDs.Values[i], highID: b.HighIDs.Values[i],
		next:       append(v.prev.next[:0], b.Next.Row(i)...),
		continuous: b.Source.Values[i] != trajectory.Original,
		judged:     b.Qualification.OK(i),
		real:       b.FromIDs.OK(i), fromID: b.FromIDs.Values[i], fromStep: b.FromSteps.Values[i],
		bridge:  b.Generated.Values[i],
		refined: b.Refined(i),
	}
}

func flags(b *layout.Block, i int) int {
	count := 0
	if b.Terminals.Values[i] {
		count++
	}
	if b.Timeouts.Values[i] {
		count++
	}
	return count
}

// values checks that the row's values are all there and finite.
func (v *verifier) values(b *layout.Block, i int, row, id int64) {
	for _, c := range []struct {
		name    string
		vectors *parquet.Vectors[float32]
	}{{"observations", &b.Observations}, {"next_observations", &b.Next}, {"actions", &b.Actions}, {"rewards", &b.Rewards}} {
		switch at := parquet.NotFinite(c.vectors.Row(i)); {
		case !c.vectors.OK(i):
			v.report(row, id, RuleDims, "%s is null, or not %d values long", c.name, c.vectors.Width)
		case at >= 0:
			v.report(row, id, RuleFinite, "%s holds %v", c.name, c.vectors.Row(i)[at])
		}
	}
	if !b.IDs.OK(i) || !b.Steps.OK(i) || !b.Terminals.OK(i) || !b.Timeouts.OK(i) || !b.Source.OK(i) || !b.Generated.OK(i) {
		v.report(row, id, RuleDims, "a null")
	}
}

// follows checks the row against the one before it in the episode.
func (v *verifier) follows(b *layout.Block, i int, row, id int64) {
	p, step := &v.prev, b.Steps.Values[i]
	if !p.there {
		v.checked.Episodes++
		if where, again := v.seen[id]; again {
			v.report(row, id, RuleUniqueID, "it is there already: %s", where)
		} else {
			v.seen[id] = v.path
		}
		if step != 0 {
			v.report(row, id, RuleSteps, "the first step is %d", step)
		}
		return
	}
	if step != p.step+1 {
		v.report(row, id, RuleSteps, "step %d after %d", step, p.step)
	}
	if p.flags > 0 {
		v.report(p.row, id, RuleFlags, "a flag before the episode's last row")
	}
	if b.Source.Values[i] != p.source || b.LowIDs.Values[i] != p.lowID || b.HighIDs.Values[i] != p.highID {
		v.report(row, id, RuleProvenance, "source or ids differ from the row before")
	}
	if p.continuous && !layout.SameBits(p.next, b.Observations.Row(i)) {
		v.report(row, id, RuleContinuous, "the observation is not the next observation of the row before")
	}
}

// origin checks what a row says of the original step that it is: there on the real rows
// of a stitch alone, which begins in the low episode and goes on step by step.
func (v *verifier) origin(b *layout.Block, i int, row, id int64, real bool) {
	from, step, p := b.FromIDs.Values[i], b.FromSteps.Values[i], &v.prev
	switch {
	case b.FromIDs.OK(i) != real || b.FromSteps.OK(i) != real:
		v.report(row, id, RuleProvenance, "from_episode_id and from_step go with the real rows of a stitch, and with all of them")
	case real && !p.there && from != b.LowIDs.Values[i]:
		v.report(row, id, RuleProvenance, "it begins in episode %d, the low episode is %d", from, b.LowIDs.Values[i])
	case real && p.there && p.real && (from != p.fromID || step != p.fromStep+1):
		v.report(row, id, RuleProvenance, "step %d of episode %d after step %d of episode %d", step, from, p.fromStep, p.fromID)
	}
}

// derivation checks what the row says of where it comes from.
func (v *verifier) derivation(b *layout.Block, i int, row, id int64) {
	source, generated, judged := b.Source.Values[i], b.Generated.Values[i], b.Qualification.OK(i)
	original, synthetic := source == trajectory.Original, trajectory.Synthetic(source)
	stitched := trajectory.Paired(source)
	if generated {
		v.checked.Generated++
	}
	if !sources[source] {
		v.report(row, id, RuleSource, "source %q", source)
	}
	if generated && original {
		v.report(row, id, RuleGenerated, "a generated row in an original episode")
	}
	if !generated && synthetic {
		v.report(row, id, RuleGenerated, "a row of source %s that is not generated", source)
	}
	v.origin(b, i, row, id, stitched && !generated)
	if stitched != b.LowIDs.OK(i) || stitched != b.HighIDs.OK(i) {
		v.report(row, id, RuleProvenance, "low and high episode ids go with stitches, and with all of them")
	}
	switch before := v.prev; {
	case judged && !generated || !judged && generated && stitched:
		v.report(row, id, RuleError, "qualification_error goes with generated rows, and with all of a stitch")
	case synthetic && before.there && before.source == source && judged != before.judged:
		v.report(row, id, RuleError, "qualification_error goes with all rows of an episode of source %s, or with none", source)
	case judged && parquet.NotFinite(b.Qualification.Row(i)) >= 0:
		v.report(row, id, RuleFinite, "qualification_error holds %v", b.Qualification.Values[i])
	}
}

// residual checks what the row says of its refinement.
func (v *verifier) residual(b *layout.Block, i int, row, id int64) {
	generated, refined := b.Generated.Values[i], b.Refined(i)
	switch before := v.prev; {
	case refined && !generated:
		v.report(row, id, RuleError, "%s goes with generated rows", layout.Residual)
	case before.there && before.bridge && generated && refined != before.refined:
		v.report(row, id, RuleError, "%s goes with all rows of a bridge, or with none", layout.Residual)
	case refined && !(b.Residuals.Values[i] >= 0) || refined && parquet.NotFinite(b.Residuals.Row(i)) >= 0:
		v.report(row, id, RuleFinite, "%s holds %v", layout.Residual, b.Residuals.Values[i])
	}
}

// endEpisode checks the last row of the episode before.
func (v *verifier) endEpisode() {
	if p := v.prev; p.there && p.flags != 1 {
		v.report(p.row, p.id, RuleFlags, "the last row has %d of the flags terminals and timeouts, want one", p.flags)
	}
	v.prev = verifiedRow{next: v.prev.next}
}
