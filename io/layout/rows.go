package layout

import (
	"slices"

	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"
)

// Block is a batch of rows, each a transition. A column that the file doesn't have has
// width 0.
type Block struct {
	First int64 // row in the file, 0-based
	Rows  int   // how many there are

	IDs, Steps          parquet.Vectors[int64]   // [rows, 1]
	Observations, Next  parquet.Vectors[float32] // [rows, S], before and after the step
	Actions             parquet.Vectors[float32] // [rows, A]
	Rewards             parquet.Vectors[float32] // [rows, 1]
	Terminals, Timeouts parquet.Vectors[bool]    // [rows, 1]
	OriginalIDs         parquet.Vectors[string]  // [rows, 1]
	// What D* says of where a row comes from, [rows, 1] each.
	Source          parquet.Vectors[string] // as in trajectory.Original
	Generated       parquet.Vectors[bool]   // its action and reward were inferred
	LowIDs, HighIDs parquet.Vectors[int64]  // of the episodes that were stitched
	// Of the original episode that a real row of a stitch was taken from.
	FromIDs, FromSteps parquet.Vectors[int64]
	Qualification      parquet.Vectors[float32] // error, in the units of the observations
	Residuals          parquet.Vectors[float32] // of refined bridges, in the same units
}

// taken is whether it is said where row i was taken from.
func (b *Block) taken(i int) bool {
	return b.FromIDs.Width > 0 && b.FromSteps.Width > 0 && b.FromIDs.OK(i) && b.FromSteps.OK(i)
}

// Rows streams the rows of a Parquet file in which a row is a transition.
type Rows struct {
	*parquet.Table[Block]
	Names []string // of the columns that are read; all where empty

	filled bool
}

// NewRows reads the named columns, or all, from the first row of a row group on.
// filled is whether columns of D* have a value also where D* has none.
func NewRows(table *parquet.File, f *File, filled bool, group int, names ...string) *Rows {
	s := f.Schema
	r := &Rows{Table: parquet.NewTable[Block](table, group, max(s.ObservationDim, s.ActionDim)), Names: names, filled: filled}
	add(r, f, "episode_id", 1, parquet.Keys, func(b *Block) *parquet.Vectors[int64] { return &b.IDs })
	add(r, f, "original_id", 1, parquet.Strings, func(b *Block) *parquet.Vectors[string] { return &b.OriginalIDs })
	add(r, f, "step", 1, parquet.Int64s, func(b *Block) *parquet.Vectors[int64] { return &b.Steps })
	add(r, f, "observations", s.ObservationDim, parquet.Floats, func(b *Block) *parquet.Vectors[float32] { return &b.Observations })
	add(r, f, "next_observations", s.ObservationDim, parquet.Floats, func(b *Block) *parquet.Vectors[float32] { return &b.Next })
	add(r, f, "actions", s.ActionDim, parquet.Floats, func(b *Block) *parquet.Vectors[float32] { return &b.Actions })
	add(r, f, "rewards", 1, parquet.Floats, func(b *Block) *parquet.Vectors[float32] { return &b.Rewards })
	add(r, f, "terminals", 1, parquet.Bools, func(b *Block) *parquet.Vectors[bool] { return &b.Terminals })
	add(r, f, "dones", 1, parquet.Bools, func(b *Block) *parquet.Vectors[bool] { return &b.Terminals })
	add(r, f, "timeouts", 1, parquet.Bools, func(b *Block) *parquet.Vectors[bool] { return &b.Timeouts })
	add(r, f, "source", 1, parquet.Strings, func(b *Block) *parquet.Vectors[string] { return &b.Source })
	add(r, f, "generated", 1, parquet.Bools, func(b *Block) *parquet.Vectors[bool] { return &b.Generated })
	add(r, f, "low_episode_id", 1, parquet.Int64s, func(b *Block) *parquet.Vectors[int64] { return &b.LowIDs })
	add(r, f, "high_episode_id", 1, parquet.Int64s, func(b *Block) *parquet.Vectors[int64] { return &b.HighIDs })
	add(r, f, "from_episode_id", 1, parquet.Int64s, func(b *Block) *parquet.Vectors[int64] { return &b.FromIDs })
	add(r, f, "from_step", 1, parquet.Int64s, func(b *Block) *parquet.Vectors[int64] { return &b.FromSteps })
	add(r, f, "qualification_error", 1, parquet.Floats, func(b *Block) *parquet.Vectors[float32] { return &b.Qualification })
	add(r, f, Residual, 1, parquet.Floats, func(b *Block) *parquet.Vectors[float32] { return &b.Residuals })
	return r
}

func add[V any](r *Rows, f *File, name string, width int, open parquet.Opener[V], place func(*Block) *parquet.Vectors[V]) {
	if l, ok := f.Columns[name]; ok && (len(r.Names) == 0 || slices.Contains(r.Names, name)) {
		parquet.Add(r.Table, l, width, open, place)
	}
}

// Next is the next block, of at most limit rows; parquet.ErrDone after the last. The
// block's slices hold until the next call.
func (r *Rows) Next(limit int64) (b *Block, err error) {
	b = &Block{}
	if b.First, b.Rows, err = r.Table.Next(b, limit); err != nil {
		return nil, err
	}
	if r.filled {
		b.blank()
	}
	return b, nil
}

// All reads the rest of the rows, of which there are about total.
func (r *Rows) All(total int) (*Block, error) {
	all := &Block{First: r.Row()}
	for {
		b, err := r.Next(int64(total))
		if err == parquet.ErrDone {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all.Grow(b, total)
	}
}

// Grow appends another block that follows this one, in arrays with room for
// total rows.
func (b *Block) Grow(o *Block, total int) {
	b.Rows += o.Rows
	b.IDs.Grow(&o.IDs, o.Rows, total)
	b.OriginalIDs.Grow(&o.OriginalIDs, o.Rows, total)
	b.Steps.Grow(&o.Steps, o.Rows, total)
	b.Observations.Grow(&o.Observations, o.Rows, total)
	b.Next.Grow(&o.Next, o.Rows, total)
	b.Actions.Grow(&o.Actions, o.Rows, total)
	b.Rewards.Grow(&o.Rewards, o.Rows, total)
	b.Terminals.Grow(&o.Terminals, o.Rows, total)
	b.Timeouts.Grow(&o.Timeouts, o.Rows, total)
	b.Source.Grow(&o.Source, o.Rows, total)
	b.Generated.Grow(&o.Generated, o.Rows, total)
	b.LowIDs.Grow(&o.LowIDs, o.Rows, total)
	b.HighIDs.Grow(&o.HighIDs, o.Rows, total)
	b.FromIDs.Grow(&o.FromIDs, o.Rows, total)
	b.FromSteps.Grow(&o.FromSteps, o.Rows, total)
	b.Qualification.Grow(&o.Qualification, o.Rows, total)
	b.Residuals.Grow(&o.Residuals, o.Rows, total)
}

// Refined is whether a row has a residual.
func (b *Block) Refined(row int) bool { return b.Residuals.Width > 0 && b.Residuals.OK(row) }

// Unjudged is whether a row has no qualification error: one that was not generated,
// or of a synthetic episode, where a layout without nulls has something in its place
// that is no distance.
func (b *Block) Unjudged(row int) bool {
	return !b.Generated.Values[row] || trajectory.Synthetic(b.Source.Values[row]) && !(b.Qualification.Values[row] >= 0)
}

// blank takes out what a layout without nulls has in the place of D*'s nulls.
func (b *Block) blank() {
	if b.Source.Width == 0 {
		return
	}
	if b.LowIDs.Width > 0 && b.HighIDs.Width > 0 {
		unpaired := func(row int) bool {
			return !trajectory.Paired(b.Source.Values[row])
		}
		b.LowIDs.Blank(unpaired)
		b.HighIDs.Blank(unpaired)
	}
	if b.Generated.Width > 0 && b.Qualification.Width > 0 {
		b.Qualification.Blank(b.Unjudged)
	}
	b.BlankUnknown()
}

// BlankUnknown takes out what a layout without nulls has in the place of where a row was
// taken from, a step below 0, and of a residual, something that is no distance.
func (b *Block) BlankUnknown() {
	if b.Residuals.Width > 0 {
		b.Residuals.Blank(func(row int) bool { return !(b.Residuals.Values[row] >= 0) })
	}
	if b.FromIDs.Width > 0 && b.FromSteps.Width > 0 {
		unknown := func(row int) bool { return b.FromSteps.Values[row] < 0 }
		b.FromIDs.Blank(unknown)
		b.FromSteps.Blank(unknown)
	}
}

// Ends is whether the row is flagged as an episode's last.
func (b *Block) Ends(i int) bool {
	return (b.Terminals.Width > 0 && b.Terminals.Values[i]) || (b.Timeouts.Width > 0 && b.Timeouts.Values[i])
}
