package dataset

import (
	"fmt"
	"slices"

	"diffstitch/io/trajectory"
)

// States reads the observations before the steps [from, to) of the episode at a
// location that Episodes gave, and no other column: [to-from, S].
func (f *File) States(at trajectory.Location, from, to int) ([]float32, error) {
	return f.window(at, from, to, "observations",
		func(b *block) *vectors[float32] { return &b.observations },
		func(e *trajectory.Episode) []float32 { return e.Observations })
}

// Rewards reads the rewards of the episode at a location, [T], and no other
// column. The episode has so many steps.
func (f *File) Rewards(at trajectory.Location, steps int) ([]float32, error) {
	return f.window(at, 0, steps, "rewards",
		func(b *block) *vectors[float32] { return &b.rewards },
		func(e *trajectory.Episode) []float32 { return e.Rewards })
}

// window reads one column of the steps [from, to) of an episode: of the block
// where a row is a transition, else of the whole episode.
func (f *File) window(at trajectory.Location, from, to int, name string, of func(*block) *vectors[float32], in func(*trajectory.Episode) []float32) (values []float32, err error) {
	defer func() {
		if err != nil {
			values, err = nil, fmt.Errorf("dataset: fetching %s of steps %d to %d at row %d of %q: %w", name, from, to, at.Row, f.path, err)
		}
	}()
	defer recovered(&err)
	if from < 0 || from >= to || at.Row < 0 || at.Rows < 1 || at.Row > f.schema.Rows-at.Rows {
		return nil, fmt.Errorf("the file has %d rows", f.schema.Rows)
	}
	if f.schema.Layout != Transitions {
		e, err := f.Fetch(at)
		if err != nil {
			return nil, err
		}
		width := len(in(e)) / e.Len()
		if to > e.Len() {
			return nil, fmt.Errorf("the episode has %d steps", e.Len())
		}
		return slices.Clone(in(e)[from*width : to*width]), nil
	}
	if int64(to) > at.Rows {
		return nil, fmt.Errorf("the episode has %d steps", at.Rows)
	}
	for row, end := at.Row+int64(from), at.Row+int64(to); row < end; {
		g := f.groupOf(row)
		stop := min(end, f.starts[g+1])
		err := f.eachRows(g, row, stop, func(b *block, i, j int) error {
			values = append(values, of(b).slice(i, j)...)
			return nil
		}, name)
		if err != nil {
			return nil, err
		}
		row = stop
	}
	return values, nil
}

// maxIdle is how many tables a file leaves open: one for each reader that
// follows the file's order, and columns, are enough.
const maxIdle = 4

// tableAt gives a table of the named columns that stands at a row. One that was
// left a little before reads on, which takes less than decoding its pages again.
func (f *File) tableAt(g int, row int64, names []string) (*table, error) {
	t := f.take(g, row, names)
	if t == nil {
		t = newTable(f, names...)
		if err := t.openGroup(g, row); err != nil {
			t.close() // nothing was written
			return nil, err
		}
	}
	for t.row < row {
		if _, err := t.next(row - t.row); err != nil {
			t.close() // nothing was written
			return nil, err
		}
	}
	return t, nil
}

// take finds an idle table from which to read on to the row.
func (f *File) take(g int, row int64, names []string) *table {
	f.mu.Lock()
	defer f.mu.Unlock()
	best := -1
	for i, t := range f.idle {
		near := t.group == g+1 && t.left > 0 && t.row <= row && (row-t.row)*t.rowBytes() <= int64(len(t.columns))*pageBytes
		if near && slices.Equal(t.names, names) && (best < 0 || t.row > f.idle[best].row) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	t := f.idle[best]
	f.idle = slices.Delete(f.idle, best, best+1)
	return t
}

// leave keeps a table open, and closes the one that was left first if those are
// too many.
func (f *File) leave(t *table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle = append(f.idle, t)
	if len(f.idle) > maxIdle {
		f.idle[0].close() // nothing was written
		f.idle = slices.Delete(f.idle, 0, 1)
	}
}
