package dataset

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/parquet/file"
)

// block is a batch of rows of the transitions layout. A column that the file
// doesn't have has width 0.
type block struct {
	first int64 // row in the file
	rows  int

	ids, steps          vectors[int64]
	observations, next  vectors[float32]
	actions, rewards    vectors[float32]
	terminals, timeouts vectors[bool]
	source              vectors[string]
	generated           vectors[bool]
	lowID, highID       vectors[int64]
	qualification       vectors[float32]
}

// table streams a file of the transitions layout as blocks.
type table struct {
	f     *File
	group int   // the next row group to open
	row   int64 // the next row
	left  int   // rows left in the open row group
	batch int   // rows of a block

	names   []string // of the columns to read; all where empty
	columns []tableColumn
}

// tableColumn is a column of a table, of whatever type.
type tableColumn interface {
	open(group *file.RowGroupReader) error
	// seek opens the column at a row of the group; pageRow gives the first row of
	// a leaf's page that holds it.
	seek(group *file.RowGroupReader, pageRow func(leaf) int64, row int64) error
	load(b *block, rows int) error
	close() error
	perRow() int // values
}

// batchColumn reads one column into its place in the block.
type batchColumn[V any] struct {
	column[V]
	place func(*block) *vectors[V]
}

func (c *batchColumn[V]) load(b *block, rows int) (err error) {
	*c.place(b), err = c.next(rows)
	return err
}

func (c *batchColumn[V]) seek(group *file.RowGroupReader, pageRow func(leaf) int64, row int64) error {
	if err := c.open(group); err != nil {
		return err
	}
	from := pageRow(c.leaf)
	if from > 0 {
		if err := c.source.seek(from); err != nil {
			return fmt.Errorf("column %q: %w", c.name, err)
		}
	}
	for skip := int(row - from); skip > 0; {
		n := min(skip, max(batchValues/c.width, 1))
		if _, err := c.next(n); err != nil {
			return err
		}
		skip -= n
	}
	return nil
}

func (c *batchColumn[V]) perRow() int { return c.width }

// batchValues is how many values the widest column of a block holds: few enough
// for the processor's cache.
const batchValues = 1 << 15

// newTable reads the named columns, or all.
func newTable(f *File, names ...string) *table {
	s := f.schema
	t := &table{f: f, names: names, batch: max(batchValues/max(s.ObservationDim, s.ActionDim, 8), 1)}
	addColumn(t, "episode_id", 1, openInt64, func(b *block) *vectors[int64] { return &b.ids })
	addColumn(t, "step", 1, openInt64, func(b *block) *vectors[int64] { return &b.steps })
	addColumn(t, "observations", s.ObservationDim, openFloat32, func(b *block) *vectors[float32] { return &b.observations })
	addColumn(t, "next_observations", s.ObservationDim, openFloat32, func(b *block) *vectors[float32] { return &b.next })
	addColumn(t, "actions", s.ActionDim, openFloat32, func(b *block) *vectors[float32] { return &b.actions })
	addColumn(t, "rewards", 1, openFloat32, func(b *block) *vectors[float32] { return &b.rewards })
	addColumn(t, "terminals", 1, openBool, func(b *block) *vectors[bool] { return &b.terminals })
	addColumn(t, "dones", 1, openBool, func(b *block) *vectors[bool] { return &b.terminals })
	addColumn(t, "timeouts", 1, openBool, func(b *block) *vectors[bool] { return &b.timeouts })
	addColumn(t, "source", 1, openString, func(b *block) *vectors[string] { return &b.source })
	addColumn(t, "generated", 1, openBool, func(b *block) *vectors[bool] { return &b.generated })
	addColumn(t, "low_episode_id", 1, openInt64, func(b *block) *vectors[int64] { return &b.lowID })
	addColumn(t, "high_episode_id", 1, openInt64, func(b *block) *vectors[int64] { return &b.highID })
	addColumn(t, "qualification_error", 1, openFloat32, func(b *block) *vectors[float32] { return &b.qualification })
	return t
}

func addColumn[V any](t *table, name string, width int, open opener[V], place func(*block) *vectors[V]) {
	l, ok := t.f.bound[name]
	switch {
	case !ok || (len(t.names) > 0 && !slices.Contains(t.names, name)):
	case l.parts != nil:
		t.columns = append(t.columns, newJoined(l, open, place))
	default:
		t.columns = append(t.columns, &batchColumn[V]{column: column[V]{leaf: l, openChunk: open, width: width}, place: place})
	}
}

// next is the next block, of at most limit rows; errDone after the last. The
// block's slices hold until the next call.
func (t *table) next(limit int64) (b *block, err error) {
	defer recovered(&err)
	for t.left == 0 {
		if t.group == len(t.f.starts)-1 {
			return nil, errDone
		}
		if err := t.openGroup(t.group, t.f.starts[t.group]); err != nil {
			return nil, err
		}
	}
	b = &block{first: t.row, rows: int(min(int64(t.batch), int64(t.left), limit))}
	for _, c := range t.columns {
		if err := c.load(b, b.rows); err != nil {
			return nil, fmt.Errorf("rows from %d: %w", t.row, err)
		}
	}
	if t.f.filled {
		b.blank()
	}
	t.row += int64(b.rows)
	t.left -= b.rows
	return b, nil
}

// openGroup starts on a row group, at a row of it.
func (t *table) openGroup(g int, row int64) error {
	reader := t.f.reader.RowGroup(g)
	start := t.f.starts[g]
	for _, c := range t.columns {
		err := c.open(reader)
		if row > start {
			err = c.seek(reader, func(l leaf) int64 { return t.f.pageStart(g, l, row-start) }, row-start)
		}
		if err != nil {
			return fmt.Errorf("row group %d: %w", g, err)
		}
	}
	t.group, t.row, t.left = g+1, row, int(t.f.starts[g+1]-row)
	return nil
}

// rowBytes is about what a row takes.
func (t *table) rowBytes() (bytes int64) {
	for _, c := range t.columns {
		bytes += 4 * int64(c.perRow())
	}
	return bytes
}

// close releases the columns' pages.
func (t *table) close() (err error) {
	defer recovered(&err)
	for _, c := range t.columns {
		err = errors.Join(err, c.close())
	}
	return err
}

// groupOf is the row group that row lies in.
func (f *File) groupOf(row int64) int {
	return sort.Search(len(f.starts)-1, func(g int) bool { return f.starts[g+1] > row })
}

// pageStart is the first row, in its row group, of the page that holds row; 0
// where the file has no page index.
func (f *File) pageStart(g int, l leaf, row int64) int64 {
	group, err := f.reader.GetPageIndexReader().RowGroup(g)
	if err != nil || group == nil {
		return 0
	}
	index, err := group.GetOffsetIndex(l.index)
	if err != nil || index == nil {
		return 0
	}
	pages := index.GetPageLocations()
	at := sort.Search(len(pages), func(i int) bool { return pages[i].FirstRowIndex > row }) - 1
	if at < 0 {
		return 0
	}
	return pages[at].FirstRowIndex
}

// indexed is whether every column of the row group can be entered at a page.
func (f *File) indexed(g int) bool {
	group, err := f.reader.GetPageIndexReader().RowGroup(g)
	if err != nil || group == nil {
		return false
	}
	for l := range f.bound.leaves() {
		if index, err := group.GetOffsetIndex(l.index); err != nil || index == nil || len(index.GetPageLocations()) == 0 {
			return false
		}
	}
	return true
}

// groupBytes is what a row group's columns take in memory, about.
func (f *File) groupBytes(g int) int64 {
	if f.whole != nil {
		return f.whole.bytes
	}
	total := int64(0)
	for l := range f.bound.leaves() {
		if c, err := f.reader.MetaData().RowGroup(g).ColumnChunk(l.index); err == nil {
			total += 4 * min(c.NumValues(), maxCache) // a claim may be any number
		}
	}
	return total
}

// grow appends another block that follows this one, in arrays with room for
// total rows.
func (b *block) grow(o *block, total int) {
	b.rows += o.rows
	b.ids.grow(&o.ids, o.rows, total)
	b.steps.grow(&o.steps, o.rows, total)
	b.observations.grow(&o.observations, o.rows, total)
	b.next.grow(&o.next, o.rows, total)
	b.actions.grow(&o.actions, o.rows, total)
	b.rewards.grow(&o.rewards, o.rows, total)
	b.terminals.grow(&o.terminals, o.rows, total)
	b.timeouts.grow(&o.timeouts, o.rows, total)
	b.source.grow(&o.source, o.rows, total)
	b.generated.grow(&o.generated, o.rows, total)
	b.lowID.grow(&o.lowID, o.rows, total)
	b.highID.grow(&o.highID, o.rows, total)
	b.qualification.grow(&o.qualification, o.rows, total)
}

func (v *vectors[V]) grow(o *vectors[V], rows, total int) {
	if o.width == 0 {
		return
	}
	if v.values == nil {
		v.values = make([]V, 0, min(total*o.width, maxCache/4))
	}
	before := len(v.values) / o.width
	v.width = o.width
	v.values = append(v.values, o.values...)
	if o.lengths == nil && v.lengths == nil {
		return
	}
	if v.lengths == nil {
		v.lengths = slices.Repeat([]int32{int32(v.width)}, before)
	}
	if o.lengths == nil {
		v.lengths = append(v.lengths, slices.Repeat([]int32{int32(v.width)}, rows)...)
		return
	}
	v.lengths = append(v.lengths, o.lengths...)
}
