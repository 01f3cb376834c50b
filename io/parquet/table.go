package parquet

import (
	"errors"
	"fmt"
)

// Table streams rows of a file as blocks of type B, each a batch of rows of several
// columns. A column that was not added is left as it is in a block.
type Table[B any] struct {
	f     *File
	group int   // the next row group to open
	row   int64 // the next row
	left  int   // rows left in the open row group
	batch int   // rows of a block

	columns []tableColumn[B]
}

// batchValues is how many values the widest column of a block holds: few enough
// for the processor's cache.
const batchValues = 1 << 15

// NewTable streams a file from the first row of a row group on, in blocks whose widest
// vectors have so many values.
func NewTable[B any](f *File, group, widest int) *Table[B] {
	return &Table[B]{f: f, group: group, row: f.Start(group), batch: max(batchValues/max(widest, 8), 1)}
}

// Add has a table read a column of vectors of so many values into its place in a
// block.
func Add[B, V any](t *Table[B], l Leaf, width int, open Opener[V], place func(*B) *Vectors[V]) {
	if l.Parts != nil {
		t.columns = append(t.columns, newJoined(l, open, place))
		return
	}
	t.columns = append(t.columns, &batchColumn[B, V]{Column: NewColumn(l, open, width), place: place})
}

// Next fills a block with the next rows, at most limit of them; ErrDone after the
// last. The block's slices hold until the next call.
func (t *Table[B]) Next(b *B, limit int64) (first int64, rows int, err error) {
	defer Recovered(&err)
	for t.left == 0 {
		if t.group == t.f.Groups() {
			return 0, 0, ErrDone
		}
		if err := t.Enter(t.group, t.f.Start(t.group)); err != nil {
			return 0, 0, err
		}
	}
	first, rows = t.row, int(min(int64(t.batch), int64(t.left), limit))
	for _, c := range t.columns {
		if err := c.load(b, rows); err != nil {
			return 0, 0, fmt.Errorf("rows from %d: %w", t.row, err)
		}
	}
	t.row += int64(rows)
	t.left -= rows
	return first, rows, nil
}

// Enter goes to a row of a row group.
func (t *Table[B]) Enter(g int, row int64) error {
	opened := t.f.group(g)
	start := t.f.Start(g)
	for _, c := range t.columns {
		err := c.open(opened)
		if row > start {
			err = c.seek(opened, func(l Leaf) int64 { return t.f.pageStart(g, l, row-start) }, row-start)
		}
		if err != nil {
			return fmt.Errorf("row group %d: %w", g, err)
		}
	}
	t.group, t.row, t.left = g+1, row, int(t.f.Start(g+1)-row)
	return nil
}

// Row is the next row.
func (t *Table[B]) Row() int64 { return t.row }

// Left is how many rows are left in the row group that was entered.
func (t *Table[B]) Left() int { return t.left }

// In is whether the next row is one of a row group.
func (t *Table[B]) In(group int) bool { return t.group == group+1 && t.left > 0 }

// Columns is how many are read.
func (t *Table[B]) Columns() int { return len(t.columns) }

// RowBytes is about what a row takes.
func (t *Table[B]) RowBytes() (bytes int64) {
	for _, c := range t.columns {
		bytes += 4 * int64(c.perRow())
	}
	return bytes
}

// Close releases the columns' pages.
func (t *Table[B]) Close() (err error) {
	defer Recovered(&err)
	for _, c := range t.columns {
		err = errors.Join(err, c.Close())
	}
	return err
}

// tableColumn is a column of a table, of whatever type.
type tableColumn[B any] interface {
	open(g group) error
	// seek opens the column at a row of the group; pageRow gives the first row of
	// a leaf's page that holds it.
	seek(g group, pageRow func(Leaf) int64, row int64) error
	load(b *B, rows int) error
	Close() error
	perRow() int // values
}

// batchColumn reads one column into its place in the block.
type batchColumn[B, V any] struct {
	Column[V]
	place func(*B) *Vectors[V]
}

func (c *batchColumn[B, V]) load(b *B, rows int) (err error) {
	*c.place(b), err = c.next(rows)
	return err
}

func (c *batchColumn[B, V]) seek(g group, pageRow func(Leaf) int64, row int64) error {
	if err := c.open(g); err != nil {
		return err
	}
	from := pageRow(c.Leaf)
	if from > 0 {
		if err := c.source.seek(from); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
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

func (c *batchColumn[B, V]) perRow() int { return c.width }

// joinedColumn reads a vector that is made of several columns.
type joinedColumn[B, V any] struct {
	parts []*batchColumn[B, V]
	place func(*B) *Vectors[V]

	read   []Vectors[V] // of the parts
	values []V          // of the rows handed out last
}

func newJoined[B, V any](l Leaf, open Opener[V], place func(*B) *Vectors[V]) *joinedColumn[B, V] {
	c := &joinedColumn[B, V]{place: place}
	for _, part := range l.Parts {
		c.parts = append(c.parts, &batchColumn[B, V]{Column: NewColumn(part, open, part.Size), place: place})
	}
	return c
}

func (c *joinedColumn[B, V]) load(b *B, rows int) error {
	c.read = c.read[:0]
	for _, part := range c.parts {
		v, err := part.next(rows)
		if err != nil {
			return err
		}
		c.read = append(c.read, v)
	}
	*c.place(b), c.values = JoinVectors(c.read, rows, c.values)
	return nil
}

func (c *joinedColumn[B, V]) open(g group) (err error) {
	for _, part := range c.parts {
		err = errors.Join(err, part.open(g))
	}
	return err
}

func (c *joinedColumn[B, V]) seek(g group, pageRow func(Leaf) int64, row int64) (err error) {
	for _, part := range c.parts {
		err = errors.Join(err, part.seek(g, pageRow, row))
	}
	return err
}

func (c *joinedColumn[B, V]) Close() (err error) {
	for _, part := range c.parts {
		err = errors.Join(err, part.Close())
	}
	return err
}

func (c *joinedColumn[B, V]) perRow() (width int) {
	for _, part := range c.parts {
		width += part.width
	}
	return width
}
