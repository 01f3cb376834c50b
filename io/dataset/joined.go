package dataset

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet/file"
)

// find gives the leaf of a name; for a vector also all members of a struct, in
// the order of their names, as Gymnasium flattens a Dict, or several columns in
// the order given: one+another.
func find(leaves map[string]leaf, canonical, name string) (leaf, bool) {
	if l, ok := leaves[name]; ok {
		return l, true
	}
	if !slices.Contains(vectorColumns, canonical) {
		return leaf{}, false
	}
	var parts []leaf
	for part := range strings.SplitSeq(name, "+") {
		found := members(leaves, part)
		if len(found) == 0 {
			return leaf{}, false
		}
		parts = append(parts, found...)
	}
	return join(parts), true
}

// members is the leaf of a name, or those of the struct of that name.
func members(leaves map[string]leaf, name string) (found []leaf) {
	if l, ok := leaves[name]; ok {
		return []leaf{l}
	}
	for _, member := range slices.Sorted(maps.Keys(leaves)) {
		if strings.HasPrefix(member, name+".") {
			found = append(found, leaves[member])
		}
	}
	return found
}

func join(parts []leaf) leaf {
	if len(parts) == 1 {
		return parts[0]
	}
	joined := parts[0]
	joined.parts = parts
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	joined.name = strings.Join(names, "+")
	return joined
}

// all are the leaves that hold the column's values.
func (l leaf) all() []leaf {
	if l.parts == nil {
		return []leaf{l}
	}
	return l.parts
}

// leaves are those that are read.
func (b binding) leaves() iter.Seq[leaf] {
	return func(yield func(leaf) bool) {
		for _, bound := range b {
			for _, l := range bound.all() {
				if !yield(l) {
					return
				}
			}
		}
	}
}

// joinedColumn reads a vector that is made of several columns.
type joinedColumn[V any] struct {
	parts []*batchColumn[V]
	place func(*block) *vectors[V]

	read   []vectors[V] // of the parts
	values []V          // of the rows handed out last
}

func newJoined[V any](l leaf, open opener[V], place func(*block) *vectors[V]) *joinedColumn[V] {
	c := &joinedColumn[V]{place: place}
	for _, part := range l.parts {
		c.parts = append(c.parts, &batchColumn[V]{column: column[V]{leaf: part, openChunk: open, width: part.size}, place: place})
	}
	return c
}

func (c *joinedColumn[V]) load(b *block, rows int) error {
	c.read = c.read[:0]
	for _, part := range c.parts {
		v, err := part.next(rows)
		if err != nil {
			return err
		}
		c.read = append(c.read, v)
	}
	var joined vectors[V]
	joined, c.values = joinVectors(c.read, rows, c.values)
	*c.place(b) = joined
	return nil
}

// joinVectors puts the parts of each row side by side, in memory that may be used
// again. A row is as odd as its first odd part.
func joinVectors[V any](parts []vectors[V], rows int, memory []V) (joined vectors[V], _ []V) {
	for _, part := range parts {
		joined.width += part.width
	}
	memory = slices.Grow(memory[:0], rows*joined.width)[:rows*joined.width]
	joined.values = memory
	at := 0
	for _, part := range parts {
		for row := range rows {
			copy(joined.values[row*joined.width+at:], part.row(row))
			if part.ok(row) {
				continue
			}
			if joined.lengths == nil {
				joined.lengths = slices.Repeat([]int32{int32(joined.width)}, rows)
			}
			switch length := part.lengths[row]; {
			case length == absent:
				joined.lengths[row] = absent
			case joined.lengths[row] == int32(joined.width): // parts must not make up for each other
				joined.lengths[row] += length - int32(part.width)
			}
		}
		at += part.width
	}
	return joined, memory
}

func (c *joinedColumn[V]) open(group *file.RowGroupReader) (err error) {
	for _, part := range c.parts {
		err = errors.Join(err, part.open(group))
	}
	return err
}

func (c *joinedColumn[V]) seek(group *file.RowGroupReader, pageRow func(leaf) int64, row int64) (err error) {
	for _, part := range c.parts {
		err = errors.Join(err, part.seek(group, pageRow, row))
	}
	return err
}

func (c *joinedColumn[V]) close() (err error) {
	for _, part := range c.parts {
		err = errors.Join(err, part.close())
	}
	return err
}

func (c *joinedColumn[V]) perRow() (width int) {
	for _, part := range c.parts {
		width += part.width
	}
	return width
}
