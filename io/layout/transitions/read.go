// Package transitions is the layout of one row per transition: the canonical one, with
// the columns of D*, D4RL's names, and those of other tools. An episode's rows are
// contiguous and in order; the last one's may go on in the next file.
package transitions

import (
	"fmt"
	"slices"
	"sync"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"
)

// Layout is what the package does.
var Layout = layout.Layout{
	Name: layout.Transitions,
	Open: func(o layout.Opened, f layout.File) (layout.Reader, error) { return NewReader(o, f), nil },
}

// Reader reads a file in which a row is a transition.
type Reader struct {
	layout.File
	table  *parquet.File
	filled bool // whether columns of D* have a value also where D* has none

	cache *parquet.Cache // of decoded row groups, where they have no page index

	mu   sync.Mutex
	idle []*layout.Rows // left open where reading may go on, the latest last
	near neighbours
}

// NewReader reads a file whose columns were found.
func NewReader(o layout.Opened, f layout.File) *Reader {
	_, filled := o.Leaves["task_index"] // LeRobot has no nulls
	return &Reader{File: f, table: o.Table, filled: filled, cache: parquet.NewCache(parquet.MaxCache)}
}

// Schema is what the file holds.
func (r *Reader) Schema() layout.Schema { return r.File.Schema }

// Groups is the number of row groups.
func (r *Reader) Groups() int { return r.table.Groups() }

// FirstRow is the first row of a row group.
func (r *Reader) FirstRow(group int) int64 { return r.table.Start(group) }

// GroupBytes is what a row group takes decoded, about.
func (r *Reader) GroupBytes(group int) int64 { return r.table.GroupBytes(group, r.Columns.Leaves()) }

// Leaves are the file's columns, those too that the layout does not read.
func (r *Reader) Leaves() (map[string]parquet.Leaf, error) { return r.table.Leaves() }

// Rows streams the named columns of all rows, or all columns.
func (r *Reader) Rows(names ...string) *layout.Rows { return r.rows(0, names...) }

func (r *Reader) rows(group int, names ...string) *layout.Rows {
	return layout.NewRows(r.table, &r.File, r.filled, group, names...)
}

// Episodes hands out the episodes that begin in some row groups.
func (r *Reader) Episodes(groups layout.Groups) layout.Stream { return newAssembler(r, groups) }

// Share has decoded row groups kept in a cache with others.
func (r *Reader) Share(c *parquet.Cache) { r.cache = c }

// Rest gives up what is held to read on.
func (r *Reader) Rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rows := range r.idle {
		rows.Close() // nothing was written
	}
	r.idle = nil
	if r.near.next != nil {
		r.near.next.Rest()
	}
}

// Fetch reads the episode at a location. A file with a page index, as Writer writes,
// is entered at the episode's pages, or read on from the last episode fetched. Of other
// files the row group is decoded and kept for the next Fetch, unless it takes more than
// 256 MiB: then it is read up to the episode.
func (r *Reader) Fetch(at trajectory.Location) (layout.Item, error) {
	d := layout.NewDraft(&r.File)
	err := r.eachGroup(at.Row, at.Row+at.Rows, func(r *Reader, g int, from, to int64) error {
		return r.eachRows(g, from, to, func(b *layout.Block, from, to int) error { return addAll(d, b, from, to) })
	})
	if err != nil {
		return layout.Item{}, err
	}
	return d.Finish(), nil
}

// Column reads one column of the steps [from, to) of an episode.
func (r *Reader) Column(at trajectory.Location, from, to int, column layout.Column) (values []float32, err error) {
	if int64(to) > at.Rows {
		return nil, fmt.Errorf("the episode has %d steps", at.Rows)
	}
	err = r.eachGroup(at.Row+int64(from), at.Row+int64(to), func(r *Reader, g int, first, end int64) error {
		return r.eachRows(g, first, end, func(b *layout.Block, i, j int) error {
			values = append(values, column.Of(b).Slice(i, j)...)
			return nil
		}, column.Name)
	})
	return values, err
}

// eachGroup hands out the rows [from, to) by the row groups that they lie in. Those
// beyond the file's last are the first of the file in which its last episode goes on.
func (r *Reader) eachGroup(from, to int64, use func(r *Reader, g int, from, to int64) error) error {
	count := r.table.Rows()
	for row := from; row < min(to, count); {
		g := r.table.GroupOf(row)
		stop := min(to, r.table.Start(g+1))
		if err := use(r, g, row, stop); err != nil {
			return err
		}
		row = stop
	}
	if to <= count {
		return nil
	}
	next, err := r.following()
	switch {
	case err != nil:
		return err
	case next == nil:
		return fmt.Errorf("the file has %d rows", count)
	}
	return next.eachGroup(max(from-count, 0), to-count, use)
}

// eachRows hands out the rows [from, to) of row group g, of the named columns or
// all, as places in blocks.
func (r *Reader) eachRows(g int, from, to int64, use func(b *layout.Block, from, to int) error, names ...string) error {
	if !r.table.Indexed(g, r.Columns.Leaves()) && r.GroupBytes(g) <= parquet.MaxCache {
		all, err := r.cached(g)
		if err != nil {
			return err
		}
		start := r.table.Start(g)
		return use(all, int(from-start), int(to-start))
	}
	rows, err := r.rowsAt(g, from, names)
	if err != nil {
		return err
	}
	for from < to {
		b, err := rows.Next(to - from)
		if err == nil {
			err = use(b, 0, b.Rows)
		}
		if err != nil {
			rows.Close() // nothing was written
			return err
		}
		from += int64(b.Rows)
	}
	r.leave(rows)
	return nil
}

// addAll adds rows that should all belong to the draft's episode.
func addAll(d *layout.Draft, b *layout.Block, from, to int) error {
	if d.Begun() && d.EndsBefore(b, from) {
		return fmt.Errorf("row %d begins another episode", b.First+int64(from))
	}
	for i := from + 1; i < to; i++ {
		if !d.Continues(b, i) {
			return fmt.Errorf("row %d begins another episode", b.First+int64(i))
		}
	}
	d.Add(b, from, to)
	return nil
}

// groupKey names a decoded row group in a Cache, also when its file was closed and
// opened again.
type groupKey struct {
	path  string
	group int
}

// cached is the decoded row group g. It is never written to once it is there.
func (r *Reader) cached(g int) (*layout.Block, error) {
	all, _, err := parquet.Cached(r.cache, groupKey{r.Path, g}, func() (*layout.Block, int64, error) {
		all, err := r.decode(g)
		return all, r.GroupBytes(g), err
	})
	return all, err
}

func (r *Reader) decode(g int) (*layout.Block, error) {
	rows := r.rows(g)
	defer rows.Close() // nothing was written
	if err := rows.Enter(g, r.table.Start(g)); err != nil {
		return nil, err
	}
	all, total := &layout.Block{First: r.table.Start(g)}, rows.Left()
	for rows.Left() > 0 {
		b, err := rows.Next(int64(rows.Left()))
		if err != nil {
			return nil, err
		}
		all.Grow(b, total)
	}
	return all, nil
}

// maxIdle is how many streams of rows a file leaves open: one for each reader that
// follows the file's order, and columns, are enough.
const maxIdle = 4

// rowsAt gives a stream of the named columns that stands at a row. One that was
// left a little before reads on, which takes less than decoding its pages again.
func (r *Reader) rowsAt(g int, row int64, names []string) (*layout.Rows, error) {
	rows := r.take(g, row, names)
	if rows == nil {
		rows = r.rows(g, names...)
		if err := rows.Enter(g, row); err != nil {
			rows.Close() // nothing was written
			return nil, err
		}
	}
	for rows.Row() < row {
		if _, err := rows.Next(row - rows.Row()); err != nil {
			rows.Close() // nothing was written
			return nil, err
		}
	}
	return rows, nil
}

// take finds an idle stream from which to read on to the row.
func (r *Reader) take(g int, row int64, names []string) *layout.Rows {
	r.mu.Lock()
	defer r.mu.Unlock()
	best := -1
	for i, rows := range r.idle {
		near := rows.In(g) && rows.Row() <= row && (row-rows.Row())*rows.RowBytes() <= int64(rows.Columns())*parquet.PageBytes
		if near && slices.Equal(rows.Names, names) && (best < 0 || rows.Row() > r.idle[best].Row()) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	rows := r.idle[best]
	r.idle = slices.Delete(r.idle, best, best+1)
	return rows
}

// leave keeps a stream open, and closes the one that was left first if those are
// too many.
func (r *Reader) leave(rows *layout.Rows) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, rows)
	if len(r.idle) > maxIdle {
		r.idle[0].Close() // nothing was written
		r.idle = slices.Delete(r.idle, 0, 1)
	}
}
