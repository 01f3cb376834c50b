// Package nested is the layout of one row per episode, with nested lists: Hugging Face's
// decision-transformer datasets.
package nested

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"
)

// Layout is what the package does.
var Layout = layout.Layout{
	Name: layout.Episodes,
	Open: func(o layout.Opened, f layout.File) (layout.Reader, error) {
		return &reader{File: f, table: o.Table, cache: parquet.NewCache(parquet.MaxCache)}, nil
	},
}

// reader reads a file in which a row is an episode.
type reader struct {
	layout.File
	table *parquet.File
	cache *parquet.Cache // of the episodes of row groups
}

func (r *reader) Schema() layout.Schema      { return r.File.Schema }
func (r *reader) Groups() int                { return r.table.Groups() }
func (r *reader) FirstRow(group int) int64   { return r.table.Start(group) }
func (r *reader) GroupBytes(group int) int64 { return r.table.GroupBytes(group, r.Columns.Leaves()) }
func (r *reader) Share(c *parquet.Cache)     { r.cache = c }
func (r *reader) Rest()                      {}

// Episodes hands out the episodes of some row groups.
func (r *reader) Episodes(groups layout.Groups) layout.Stream { return newStream(r, groups) }

// groupKey names a decoded row group in a Cache.
type groupKey struct {
	path  string
	group int
}

// Fetch reads the episode of a row. Its row group is decoded and kept, unless it is too
// large: then it is read up to the episode.
func (r *reader) Fetch(at trajectory.Location) (layout.Item, error) {
	g := r.table.GroupOf(at.Row)
	offset := at.Row - r.table.Start(g)
	if r.GroupBytes(g) <= parquet.MaxCache {
		items, _, err := parquet.Cached(r.cache, groupKey{r.Path, g}, func() ([]layout.Item, int64, error) {
			items, err := r.decode(g)
			return items, r.GroupBytes(g), err
		})
		if err != nil {
			return layout.Item{}, err
		}
		return items[offset].Clone(), nil
	}
	s := newStream(r, layout.Groups{From: g, To: r.table.Groups()})
	defer s.Close() // nothing was written
	for range offset {
		if _, err := s.Next(context.Background()); err != nil {
			return layout.Item{}, err
		}
	}
	return s.Next(context.Background())
}

func (r *reader) decode(g int) ([]layout.Item, error) {
	s := newStream(r, layout.Groups{From: g, To: g + 1})
	defer s.Close() // nothing was written
	var items []layout.Item
	for {
		item, err := s.Next(context.Background())
		if err == parquet.ErrDone {
			return items, nil
		}
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
}

// Column takes a column of the whole episode.
func (r *reader) Column(at trajectory.Location, from, to int, column layout.Column) ([]float32, error) {
	item, err := r.Fetch(at)
	if err != nil {
		return nil, err
	}
	return item.Column(from, to, column)
}

// stream reads rows, which hold an episode each.
type stream struct {
	reader *reader
	group  int   // the next row group to open
	end    int   // the first that is not read
	row    int64 // the next row
	left   int64 // rows left in the open row group

	observations, actions, rewards parquet.Column[float32]
	flags                          []*flagColumn
	// Buffers of the lists, used again for each row.
	observationValues, actionValues, rewardValues []float32
}

// flagColumn is a column of lists of flags.
type flagColumn struct {
	parquet.Column[bool]
	name   string
	values []bool
}

func newStream(r *reader, groups layout.Groups) *stream {
	schema := r.File.Schema
	s := &stream{
		reader:       r,
		group:        groups.From,
		end:          groups.To,
		observations: parquet.NewColumn(r.Columns["observations"], parquet.Floats, schema.ObservationDim),
		actions:      parquet.NewColumn(r.Columns["actions"], parquet.Floats, schema.ActionDim),
		rewards:      parquet.NewColumn(r.Columns["rewards"], parquet.Floats, 1),
	}
	for _, name := range []string{"terminals", "dones", "timeouts"} {
		if l, ok := r.Columns[name]; ok {
			s.flags = append(s.flags, &flagColumn{Column: parquet.NewColumn(l, parquet.Bools, 1), name: name})
		}
	}
	return s
}

// Next is the next episode or reject; parquet.ErrDone after the last.
func (s *stream) Next(ctx context.Context) (item layout.Item, err error) {
	defer parquet.Recovered(&err)
	for s.left == 0 {
		if s.group == s.end {
			return layout.Item{}, parquet.ErrDone
		}
		if err := s.openGroup(s.group); err != nil {
			return layout.Item{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return layout.Item{}, err
	}
	item, err = s.read()
	if err != nil {
		return layout.Item{}, fmt.Errorf("row %d: %w", s.row, err)
	}
	s.row++
	s.left--
	return item, nil
}

func (s *stream) openGroup(g int) error {
	table := s.reader.table
	err := errors.Join(s.observations.Open(table, g), s.actions.Open(table, g), s.rewards.Open(table, g))
	for _, c := range s.flags {
		err = errors.Join(err, c.Open(table, g))
	}
	if err != nil {
		return fmt.Errorf("row group %d: %w", g, err)
	}
	s.group, s.row, s.left = g+1, table.Start(g), table.Start(g+1)-table.Start(g)
	return nil
}

// Close releases the columns' pages.
func (s *stream) Close() (err error) {
	defer parquet.Recovered(&err)
	err = errors.Join(s.observations.Close(), s.actions.Close(), s.rewards.Close())
	for _, c := range s.flags {
		err = errors.Join(err, c.Close())
	}
	return err
}

// read is the episode of the next row.
func (s *stream) read() (layout.Item, error) {
	observations, err := s.observations.NextList(s.observationValues, s.reader.MaxValues())
	if err != nil {
		return layout.Item{}, err
	}
	actions, err := s.actions.NextList(s.actionValues, s.reader.MaxValues())
	if err != nil {
		return layout.Item{}, err
	}
	rewards, err := s.rewards.NextList(s.rewardValues, s.reader.MaxValues())
	if err != nil {
		return layout.Item{}, err
	}
	s.observationValues, s.actionValues, s.rewardValues = observations.Values, actions.Values, rewards.Values

	d := layout.NewWhole(&s.reader.File, s.row, s.row)
	for _, l := range []parquet.List[float32]{observations, actions, rewards} {
		if l.Fault != "" {
			d.Reject(layout.Reason(l.Fault), "%s", l.Detail)
		}
	}
	steps := rewards.Steps
	if observations.Steps != steps || actions.Steps != steps {
		d.Reject(layout.LengthsDiffer, "%d observations, %d actions, %d rewards", observations.Steps, actions.Steps, steps)
	}
	if err := s.readFlags(d, steps); err != nil {
		return layout.Item{}, err
	}
	d.Take(observations.Values, actions.Values, rewards.Values, steps)
	item := d.Finish()
	item.Location.Rows = 1
	return item, nil
}

// readFlags reads the flags of the row, which may be set on the last step alone.
func (s *stream) readFlags(d *layout.Draft, steps int) error {
	for _, c := range s.flags {
		flags, err := c.NextList(c.values, s.reader.MaxValues())
		if err != nil {
			return err
		}
		c.values = flags.Values
		switch {
		case flags.Fault != "":
			d.Reject(layout.Reason(flags.Fault), "%s", flags.Detail)
		case flags.Steps != steps:
			d.Reject(layout.LengthsDiffer, "%d %s, %d rewards", flags.Steps, c.Leaf.Name, steps)
		}
		if d.Rejected() != nil || steps == 0 {
			continue
		}
		if i := slices.Index(flags.Values[:steps-1], true); i >= 0 {
			d.Reject(layout.FlagInside, "step %d of %d", i, steps)
		}
		last := flags.Values[steps-1]
		d.End(last && c.name != "timeouts", last && c.name == "timeouts")
	}
	return nil
}
