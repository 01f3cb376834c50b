package dataset

import (
	"fmt"
	"slices"

	"diffstitch/io/trajectory"
)

// groupCache is a decoded row group. It is never written to once it is there.
type groupCache struct {
	rows  *block // of the transitions layout
	items []Item // of the layouts in which a row is an episode, or a file
}

// groupKey names a decoded row group in a Cache, also when its file was closed and
// opened again.
type groupKey struct {
	path  string
	group int
}

// maxCache bounds the decoded row groups that Fetch keeps.
const maxCache = 256 << 20

// Fetch reads the episode at a location that Episodes gave. A file with a page
// index, as Writer writes, is entered at the episode's pages, or read on from
// the last episode fetched. Of other files the row group is decoded and kept for
// the next Fetch, unless it takes more than 256 MiB: then it is read up to the
// episode.
func (f *File) Fetch(at trajectory.Location) (*trajectory.Episode, error) {
	item, err := f.fetch(at)
	if err == nil && item.Reject != nil {
		err = fmt.Errorf("it is rejected: %s: %s", item.Reject.Reason, item.Reject.Detail)
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: fetching %d rows at row %d of %q: %w", at.Rows, at.Row, f.path, err)
	}
	return item.Episode, nil
}

func (f *File) fetch(at trajectory.Location) (item Item, err error) {
	defer recovered(&err)
	if at.Row < 0 || at.Rows < 1 || at.Row > f.schema.Rows-at.Rows {
		return Item{}, fmt.Errorf("the file has %d rows", f.schema.Rows)
	}
	if f.schema.Layout != Transitions {
		return f.fetchNested(at)
	}
	d := draft{f: f}
	for row, end := at.Row, at.Row+at.Rows; row < end; {
		g := f.groupOf(row)
		stop := min(end, f.starts[g+1])
		if err := f.fetchRows(&d, g, row, stop); err != nil {
			return Item{}, err
		}
		row = stop
	}
	return d.finish(), nil
}

// fetchRows adds the rows [from, to) of row group g to the draft.
func (f *File) fetchRows(d *draft, g int, from, to int64) error {
	return f.eachRows(g, from, to, d.addAll)
}

// eachRows hands out the rows [from, to) of row group g, of the named columns or
// all, as places in blocks.
func (f *File) eachRows(g int, from, to int64, use func(b *block, from, to int) error, names ...string) error {
	if !f.indexed(g) && f.groupBytes(g) <= maxCache {
		group, err := f.cached(g)
		if err != nil {
			return err
		}
		start := f.starts[g]
		return use(group.rows, int(from-start), int(to-start))
	}
	t, err := f.tableAt(g, from, names)
	if err != nil {
		return err
	}
	for from < to {
		b, err := t.next(to - from)
		if err == nil {
			err = use(b, 0, b.rows)
		}
		if err != nil {
			t.close() // nothing was written
			return err
		}
		from += int64(b.rows)
	}
	f.leave(t)
	return nil
}

// addAll adds rows that should all belong to the draft's episode.
func (d *draft) addAll(b *block, from, to int) error {
	if d.rows > 0 && d.endsBefore(b, from) {
		return fmt.Errorf("row %d begins another episode", b.first+int64(from))
	}
	for i := from + 1; i < to; i++ {
		if !d.continues(b, i) {
			return fmt.Errorf("row %d begins another episode", b.first+int64(i))
		}
	}
	d.add(b, from, to)
	return nil
}

func (f *File) fetchNested(at trajectory.Location) (Item, error) {
	g := f.groupOf(at.Row)
	offset := at.Row - f.starts[g]
	if f.groupBytes(g) <= maxCache {
		cached, err := f.cached(g)
		if err != nil {
			return Item{}, err
		}
		return cached.items[offset].clone(), nil
	}
	if f.whole != nil {
		return f.wholeItem()
	}
	n := newNested(f, f.all())
	defer n.close() // nothing was written
	if err := n.openGroup(g); err != nil {
		return Item{}, err
	}
	if err := n.skip(offset); err != nil {
		return Item{}, err
	}
	return n.next()
}

// clone is an item of its own: the cached one stays as it was read.
func (i Item) clone() Item {
	if i.Episode == nil {
		return i
	}
	e := *i.Episode
	e.Observations = slices.Clone(e.Observations)
	e.Actions = slices.Clone(e.Actions)
	e.Rewards = slices.Clone(e.Rewards)
	e.FinalObservation = slices.Clone(e.FinalObservation)
	i.Episode = &e
	return i
}

// cached is the decoded row group g.
func (f *File) cached(g int) (*groupCache, error) {
	group, _, err := Cached(f.cache, groupKey{f.path, g}, func() (c *groupCache, bytes int64, err error) {
		c = &groupCache{}
		switch {
		case f.whole != nil:
			c.items = make([]Item, 1)
			c.items[0], err = f.wholeItem()
		case f.schema.Layout == Episodes:
			c.items, err = f.decodeNested(g)
		default:
			c.rows, err = f.decodeRows(g)
		}
		return c, f.groupBytes(g), err
	})
	return group, err
}

func (f *File) decodeRows(g int) (*block, error) {
	t := newTable(f)
	defer t.close() // nothing was written
	if err := t.openGroup(g, f.starts[g]); err != nil {
		return nil, err
	}
	all, total := &block{first: f.starts[g]}, t.left
	for t.left > 0 {
		b, err := t.next(int64(t.left))
		if err != nil {
			return nil, err
		}
		all.grow(b, total)
	}
	return all, nil
}

func (f *File) decodeNested(g int) ([]Item, error) {
	n := newNested(f, f.all())
	defer n.close() // nothing was written
	if err := n.openGroup(g); err != nil {
		return nil, err
	}
	var items []Item
	for n.left > 0 {
		item, err := n.next()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}
