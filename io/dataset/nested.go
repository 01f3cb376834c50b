package dataset

import (
	"errors"
	"fmt"
	"slices"
)

// nested streams a file of the episodes layout.
type nested struct {
	f     *File
	group int   // the next row group to open
	end   int   // the first that is not read
	row   int64 // the next row
	left  int64 // rows left in the open row group

	observations, actions, rewards column[float32]
	flags                          []*flagColumn
	// Buffers of the lists, used again for each row.
	observationValues, actionValues, rewardValues []float32
}

// flagColumn is a column of lists of flags.
type flagColumn struct {
	column[bool]
	name   string
	values []bool
}

func newNested(f *File, groups Groups) *nested {
	s := f.schema
	n := &nested{
		f:            f,
		group:        groups.From,
		end:          groups.To,
		observations: column[float32]{leaf: f.bound["observations"], openChunk: openFloat32, width: s.ObservationDim},
		actions:      column[float32]{leaf: f.bound["actions"], openChunk: openFloat32, width: s.ActionDim},
		rewards:      column[float32]{leaf: f.bound["rewards"], openChunk: openFloat32, width: 1},
	}
	for _, name := range []string{"terminals", "dones", "timeouts"} {
		if l, ok := f.bound[name]; ok {
			n.flags = append(n.flags, &flagColumn{column: column[bool]{leaf: l, openChunk: openBool, width: 1}, name: name})
		}
	}
	return n
}

// next is the next episode or reject; errDone after the last.
func (n *nested) next() (item Item, err error) {
	defer recovered(&err)
	for n.left == 0 {
		if n.group == n.end {
			return Item{}, errDone
		}
		if err := n.openGroup(n.group); err != nil {
			return Item{}, err
		}
	}
	item, err = n.read()
	if err != nil {
		return Item{}, fmt.Errorf("row %d: %w", n.row, err)
	}
	n.row++
	n.left--
	return item, nil
}

func (n *nested) openGroup(g int) error {
	reader := n.f.reader.RowGroup(g)
	err := errors.Join(n.observations.open(reader), n.actions.open(reader), n.rewards.open(reader))
	for _, c := range n.flags {
		err = errors.Join(err, c.open(reader))
	}
	if err != nil {
		return fmt.Errorf("row group %d: %w", g, err)
	}
	n.group, n.row, n.left = g+1, n.f.starts[g], n.f.starts[g+1]-n.f.starts[g]
	return nil
}

func (n *nested) close() (err error) {
	defer recovered(&err)
	err = errors.Join(n.observations.close(), n.actions.close(), n.rewards.close())
	for _, c := range n.flags {
		err = errors.Join(err, c.close())
	}
	return err
}

// read is the episode of the next row.
func (n *nested) read() (Item, error) {
	observations, err := n.observations.nextList(n.observationValues, maxEpisodeValues)
	if err != nil {
		return Item{}, err
	}
	actions, err := n.actions.nextList(n.actionValues, maxEpisodeValues)
	if err != nil {
		return Item{}, err
	}
	rewards, err := n.rewards.nextList(n.rewardValues, maxEpisodeValues)
	if err != nil {
		return Item{}, err
	}
	n.observationValues, n.actionValues, n.rewardValues = observations.values, actions.values, rewards.values

	d := draft{
		f: n.f, first: n.row, id: n.row, hasID: true,
		observations: observations.values, actions: actions.values, rewards: rewards.values,
	}
	for _, l := range []list[float32]{observations, actions, rewards} {
		if l.fault != "" {
			d.reject(l.fault, "%s", l.detail)
		}
	}
	steps := rewards.steps
	if observations.steps != steps || actions.steps != steps {
		d.reject(LengthsDiffer, "%d observations, %d actions, %d rewards", observations.steps, actions.steps, steps)
	}
	if err := n.readFlags(&d, steps); err != nil {
		return Item{}, err
	}
	d.rows = int64(steps)
	item := d.finish()
	item.Location.Rows = 1
	return item, nil
}

// readFlags reads the flags of the row, which may be set on the last step alone.
func (n *nested) readFlags(d *draft, steps int) error {
	for _, c := range n.flags {
		flags, err := c.nextList(c.values, maxEpisodeValues)
		if err != nil {
			return err
		}
		c.values = flags.values
		switch {
		case flags.fault != "":
			d.reject(flags.fault, "%s", flags.detail)
		case flags.steps != steps:
			d.reject(LengthsDiffer, "%d %s, %d rewards", flags.steps, c.leaf.name, steps)
		}
		if d.fault != nil || steps == 0 {
			continue
		}
		if i := slices.Index(flags.values[:steps-1], true); i >= 0 {
			d.reject(FlagInside, "step %d of %d", i, steps)
		}
		if last := flags.values[steps-1]; c.name == "timeouts" {
			d.timeout = d.timeout || last
		} else {
			d.terminal = d.terminal || last
		}
	}
	return nil
}

// skip passes over rows of the open row group.
func (n *nested) skip(rows int64) error {
	for ; rows > 0; rows-- {
		if _, err := n.next(); err != nil {
			return err
		}
	}
	return nil
}
