package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"

	"diffstitch/io/trajectory"

	"github.com/apache/arrow-go/v18/parquet"
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
	if !v.columns(f) {
		return nil
	}
	t := newTable(f)
	defer t.close() // nothing was written
	for {
		b, err := t.next(math.MaxInt64)
		if err == errDone {
			break
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		for i := range b.rows {
			v.row(b, i)
		}
	}
	v.endEpisode()
	return nil
}

// kinds are the physical types of D*'s columns.
var kinds = map[string]parquet.Type{
	"episode_id": parquet.Types.Int64, "step": parquet.Types.Int32,
	"observations": parquet.Types.Float, "next_observations": parquet.Types.Float, "actions": parquet.Types.Float, "rewards": parquet.Types.Float,
	"terminals": parquet.Types.Boolean, "timeouts": parquet.Types.Boolean,
	"source": parquet.Types.ByteArray, "generated": parquet.Types.Boolean,
	"low_episode_id": parquet.Types.Int64, "high_episode_id": parquet.Types.Int64, "qualification_error": parquet.Types.Float,
}

// columns is whether the file's columns are those of D*.
func (v *verifier) columns(f *File) bool {
	before := v.checked.Violations[RuleColumns]
	leaves, err := topLeaves(f.reader.MetaData().Schema)
	if err != nil {
		v.report(0, 0, RuleColumns, "%v", err)
		return false
	}
	for _, name := range columnNames {
		l, ok := leaves[name]
		switch {
		case !ok:
			v.report(0, 0, RuleColumns, "no column %s; the file has %s", name, describe(leaves))
		case l.kind != kinds[name]:
			v.report(0, 0, RuleColumns, "column %s holds %v, want %v", name, l.kind, kinds[name])
		}
	}
	s := f.schema
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
func (v *verifier) row(b *block, i int) {
	row, id := b.first+int64(i), b.ids.values[i]
	v.checked.Transitions++
	if v.prev.there && v.prev.id != id {
		v.endEpisode()
	}
	v.values(b, i, row, id)
	v.follows(b, i, row, id)
	v.derivation(b, i, row, id)
	v.prev = verifiedRow{
		there: true, row: row, id: id, step: b.steps.values[i], flags: flags(b, i),
		source: b.source.values[i], lowID: b.lowID.values[i], highID: b.highID.values[i],
		next:       append(v.prev.next[:0], b.next.row(i)...),
		continuous: b.source.values[i] != trajectory.Original,
		judged:     b.qualification.ok(i),
	}
}

func flags(b *block, i int) int {
	count := 0
	if b.terminals.values[i] {
		count++
	}
	if b.timeouts.values[i] {
		count++
	}
	return count
}

// values checks that the row's values are all there and finite.
func (v *verifier) values(b *block, i int, row, id int64) {
	for _, c := range []struct {
		name    string
		vectors *vectors[float32]
	}{{"observations", &b.observations}, {"next_observations", &b.next}, {"actions", &b.actions}, {"rewards", &b.rewards}} {
		switch at := notFinite(c.vectors.row(i)); {
		case !c.vectors.ok(i):
			v.report(row, id, RuleDims, "%s is null, or not %d values long", c.name, c.vectors.width)
		case at >= 0:
			v.report(row, id, RuleFinite, "%s holds %v", c.name, c.vectors.row(i)[at])
		}
	}
	if !b.ids.ok(i) || !b.steps.ok(i) || !b.terminals.ok(i) || !b.timeouts.ok(i) || !b.source.ok(i) || !b.generated.ok(i) {
		v.report(row, id, RuleDims, "a null")
	}
}

// follows checks the row against the one before it in the episode.
func (v *verifier) follows(b *block, i int, row, id int64) {
	p, step := &v.prev, b.steps.values[i]
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
	if b.source.values[i] != p.source || b.lowID.values[i] != p.lowID || b.highID.values[i] != p.highID {
		v.report(row, id, RuleProvenance, "source or ids differ from the row before")
	}
	if p.continuous && !sameBits(p.next, b.observations.row(i)) {
		v.report(row, id, RuleContinuous, "the observation is not the next observation of the row before")
	}
}

// derivation checks what the row says of where it comes from.
func (v *verifier) derivation(b *block, i int, row, id int64) {
	source, generated, judged := b.source.values[i], b.generated.values[i], b.qualification.ok(i)
	original, synthetic := source == trajectory.Original, trajectory.Synthetic(source)
	stitched := !original && !synthetic
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
	if stitched != b.lowID.ok(i) || stitched != b.highID.ok(i) {
		v.report(row, id, RuleProvenance, "low and high episode ids go with stitches, and with all of them")
	}
	switch before := v.prev; {
	case judged && !generated || !judged && generated && stitched:
		v.report(row, id, RuleError, "qualification_error goes with generated rows, and with all of a stitch")
	case synthetic && before.there && before.source == source && judged != before.judged:
		v.report(row, id, RuleError, "qualification_error goes with all rows of an episode of source %s, or with none", source)
	case judged && notFinite(b.qualification.row(i)) >= 0:
		v.report(row, id, RuleFinite, "qualification_error holds %v", b.qualification.values[i])
	}
}

// endEpisode checks the last row of the episode before.
func (v *verifier) endEpisode() {
	if p := v.prev; p.there && p.flags != 1 {
		v.report(p.row, p.id, RuleFlags, "the last row has %d of the flags terminals and timeouts, want one", p.flags)
	}
	v.prev = verifiedRow{next: v.prev.next}
}
