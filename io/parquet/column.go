package parquet

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// Column streams the values of one leaf, converted to V. It is opened at a row group
// and read from there on; it is not safe for concurrent use.
type Column[V any] struct {
	Leaf
	openChunk Opener[V]
	// width is the length that a row's vectors should have.
	width int

	source chunk[V] // of the open row group; nil where none is

	// Levels and values read ahead of the rows handed out; the first consumed
	// ones belong to the batch handed out last.
	values                 []V
	definition, repetition []int16
	levels, count          int
	usedLevels, usedCount  int

	pattern levelPattern
}

// NewColumn streams a leaf whose rows should have vectors of a width.
func NewColumn[V any](l Leaf, open Opener[V], width int) Column[V] {
	return Column[V]{Leaf: l, openChunk: open, width: width}
}

// levelPattern is what the levels of rows of constant length look like.
type levelPattern struct {
	definition, repetition []int16
}

// open starts the column on a row group.
func (c *Column[V]) open(g group) error {
	if err := c.Close(); err != nil {
		return err
	}
	source, err := c.openChunk(g, c.Leaf)
	if err != nil {
		return fmt.Errorf("column %q: %w", c.Name, err)
	}
	c.source = source
	c.levels, c.count, c.usedLevels, c.usedCount = 0, 0, 0, 0
	return nil
}

// Close releases the column's pages.
func (c *Column[V]) Close() error {
	if c.source == nil {
		return nil
	}
	source := c.source
	c.source = nil
	if err := source.close(); err != nil {
		return fmt.Errorf("column %q: %w", c.Name, err)
	}
	return nil
}

// next is the next rows of the row group.
func (c *Column[V]) next(rows int) (Vectors[V], error) {
	c.compact()
	want := rows * c.width
	// One level more shows that the last row ends where it should.
	if err := c.fill(want + min(c.Depth, 1)); err != nil {
		return Vectors[V]{}, err
	}
	if c.regular(rows) {
		c.usedLevels, c.usedCount = want, want
		return Vectors[V]{Width: c.width, Values: c.values[:want]}, nil
	}
	return c.nextIrregular(rows)
}

// compact drops the levels and values that were handed out.
func (c *Column[V]) compact() {
	if c.usedLevels == 0 {
		return
	}
	copy(c.definition, c.definition[c.usedLevels:c.levels])
	copy(c.repetition, c.repetition[c.usedLevels:c.levels])
	copy(c.values, c.values[c.usedCount:c.count])
	c.levels -= c.usedLevels
	c.count -= c.usedCount
	c.usedLevels, c.usedCount = 0, 0
}

// fill reads until levels are there, or the row group ends.
func (c *Column[V]) fill(levels int) error {
	c.grow(levels)
	for c.levels < levels {
		n, count, err := c.source.read(c.values[c.count:c.count+levels-c.levels], c.definition[c.levels:levels], c.repetition[c.levels:levels])
		if err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
		if n == 0 {
			return nil
		}
		c.levels += n
		c.count += count
	}
	return nil
}

func (c *Column[V]) grow(levels int) {
	if levels <= len(c.definition) {
		return
	}
	values := make([]V, levels)
	copy(values, c.values[:c.count])
	c.values = values
	c.definition = append(c.definition[:c.levels:c.levels], make([]int16, levels-c.levels)...)
	c.repetition = append(c.repetition[:c.levels:c.levels], make([]int16, levels-c.levels)...)
}

// regular is whether the next rows all have width values.
func (c *Column[V]) regular(rows int) bool {
	want := rows * c.width
	if c.levels < want || c.count < want || (c.levels > want && c.Depth > 0 && c.repetition[want] != 0) {
		return false
	}
	c.pattern.extend(want, c.width, c.Depth, c.defined)
	return equalLevels(c.definition[:want], c.pattern.definition) &&
		equalLevels(c.repetition[:want], c.pattern.repetition)
}

func (p *levelPattern) extend(levels, width, depth int, defined int16) {
	for i := len(p.definition); i < levels; i++ {
		repetition := int16(0)
		if depth > 0 && i%width != 0 {
			repetition = int16(depth) // a value in the innermost list, of which a row has one
		}
		p.definition = append(p.definition, defined)
		p.repetition = append(p.repetition, repetition)
	}
}

// equalLevels compares as bytes, which the runtime does many at a time.
func equalLevels(levels, pattern []int16) bool {
	return bytes.Equal(arrow.Int16Traits.CastToBytes(levels), arrow.Int16Traits.CastToBytes(pattern[:len(levels)]))
}

// nextIrregular is next where some row has another length than width.
func (c *Column[V]) nextIrregular(rows int) (Vectors[V], error) {
	out := Vectors[V]{
		Width:   c.width,
		Values:  make([]V, rows*c.width),
		Lengths: make([]int32, rows),
	}
	row := -1
	for {
		more, err := c.refill(max(rows*c.width, 1))
		if err != nil {
			return out, err
		}
		if !more {
			break
		}
		if c.repetition[c.usedLevels] == 0 {
			if row+1 == rows {
				break
			}
			row++
		} else if row < 0 {
			return out, fmt.Errorf("column %q: a row group begins inside a row", c.Name)
		}
		if err := c.take(&out, row); err != nil {
			return out, err
		}
	}
	if row+1 < rows {
		return out, fmt.Errorf("column %q ends %d rows early", c.Name, rows-row-1)
	}
	return out, nil
}

// take moves one level, and its value if it has one, into the row.
func (c *Column[V]) take(out *Vectors[V], row int) error {
	defined := c.definition[c.usedLevels] == c.defined
	c.usedLevels++
	if !defined {
		out.Lengths[row] = Absent
		return nil
	}
	if c.usedCount == c.count {
		return c.shortPage()
	}
	value := c.values[c.usedCount]
	c.usedCount++
	if out.Lengths[row] == Absent {
		return nil
	}
	if at := int(out.Lengths[row]); at < c.width {
		out.Values[row*c.width+at] = value
	}
	out.Lengths[row]++
	return nil
}

func (c *Column[V]) shortPage() error {
	return fmt.Errorf("column %q: a page holds fewer values than its levels say", c.Name)
}

// refill reads on where all levels were handed out; false at the row group's end.
func (c *Column[V]) refill(levels int) (more bool, err error) {
	if c.usedLevels < c.levels {
		return true, nil
	}
	c.compact()
	if err := c.fill(levels); err != nil {
		return false, err
	}
	return c.levels > 0, nil
}

// Open starts the column on a row group of a file.
func (c *Column[V]) Open(f *File, group int) error { return c.open(f.group(group)) }
