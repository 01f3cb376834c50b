package dataset

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// leaf is where a column's values lie in the file.
type leaf struct {
	name  string
	index int          // of the leaf among the file's leaves
	kind  parquet.Type // physical
	depth int          // nested lists around a value: 0, 1 or 2
	// defined is the definition level of a value that is there.
	defined int16
	// parts are what a row's vector is made of, in order, where that is more than
	// one column; the rest is then that of the first.
	parts []leaf
	size  int // how many values of a row a part gives, once it is known
}

// column streams one leaf, converted to V.
type column[V any] struct {
	leaf
	openChunk opener[V]
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

// levelPattern is what the levels of rows of constant length look like.
type levelPattern struct {
	definition, repetition []int16
}

// vectors is a batch of rows of one column. Its slices belong to the column and
// hold until the next batch.
type vectors[V any] struct {
	width  int
	values []V // [rows, width]; zero where a row has another length
	// lengths is nil where every row has width values; else the length of each,
	// or absent for a row that is null or holds a null.
	lengths []int32
}

// absent is the length of a row that is null or holds a null.
const absent = -1

// ok is whether the row's values are all there.
func (v *vectors[V]) ok(row int) bool {
	return v.lengths == nil || v.lengths[row] == int32(v.width)
}

// row is the row's values, [width].
func (v *vectors[V]) row(row int) []V { return v.values[row*v.width : (row+1)*v.width] }

// slice is the rows [from, to).
func (v *vectors[V]) slice(from, to int) []V { return v.values[from*v.width : to*v.width] }

// open starts the column on a row group.
func (c *column[V]) open(group *file.RowGroupReader) error {
	if err := c.close(); err != nil {
		return err
	}
	source, err := c.openChunk(group, c.leaf)
	if err != nil {
		return fmt.Errorf("column %q: %w", c.name, err)
	}
	c.source = source
	c.levels, c.count, c.usedLevels, c.usedCount = 0, 0, 0, 0
	return nil
}

func (c *column[V]) close() error {
	if c.source == nil {
		return nil
	}
	source := c.source
	c.source = nil
	if err := source.close(); err != nil {
		return fmt.Errorf("column %q: %w", c.name, err)
	}
	return nil
}

// next is the next rows of the row group.
func (c *column[V]) next(rows int) (vectors[V], error) {
	c.compact()
	want := rows * c.width
	// One level more shows that the last row ends where it should.
	if err := c.fill(want + min(c.depth, 1)); err != nil {
		return vectors[V]{}, err
	}
	if c.regular(rows) {
		c.usedLevels, c.usedCount = want, want
		return vectors[V]{width: c.width, values: c.values[:want]}, nil
	}
	return c.nextIrregular(rows)
}

// compact drops the levels and values that were handed out.
func (c *column[V]) compact() {
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
func (c *column[V]) fill(levels int) error {
	c.grow(levels)
	for c.levels < levels {
		n, count, err := c.source.read(c.values[c.count:c.count+levels-c.levels], c.definition[c.levels:levels], c.repetition[c.levels:levels])
		if err != nil {
			return fmt.Errorf("column %q: %w", c.name, err)
		}
		if n == 0 {
			return nil
		}
		c.levels += n
		c.count += count
	}
	return nil
}

func (c *column[V]) grow(levels int) {
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
func (c *column[V]) regular(rows int) bool {
	want := rows * c.width
	if c.levels < want || c.count < want || (c.levels > want && c.depth > 0 && c.repetition[want] != 0) {
		return false
	}
	c.pattern.extend(want, c.width, c.depth, c.defined)
	return equalLevels(c.definition[:want], c.pattern.definition) &&
		equalLevels(c.repetition[:want], c.pattern.repetition)
}

func (p *levelPattern) extend(levels, width, depth int, defined int16) {
	for i := len(p.definition); i < levels; i++ {
		repetition := int16(0)
		if depth > 0 && i%width != 0 {
			repetition = 1
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
func (c *column[V]) nextIrregular(rows int) (vectors[V], error) {
	out := vectors[V]{
		width:   c.width,
		values:  make([]V, rows*c.width),
		lengths: make([]int32, rows),
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
			return out, fmt.Errorf("column %q: a row group begins inside a row", c.name)
		}
		if err := c.take(&out, row); err != nil {
			return out, err
		}
	}
	if row+1 < rows {
		return out, fmt.Errorf("column %q ends %d rows early", c.name, rows-row-1)
	}
	return out, nil
}

// take moves one level, and its value if it has one, into the row.
func (c *column[V]) take(out *vectors[V], row int) error {
	defined := c.definition[c.usedLevels] == c.defined
	c.usedLevels++
	if !defined {
		out.lengths[row] = absent
		return nil
	}
	if c.usedCount == c.count {
		return c.shortPage()
	}
	value := c.values[c.usedCount]
	c.usedCount++
	if out.lengths[row] == absent {
		return nil
	}
	if at := int(out.lengths[row]); at < c.width {
		out.values[row*c.width+at] = value
	}
	out.lengths[row]++
	return nil
}

func (c *column[V]) shortPage() error {
	return fmt.Errorf("column %q: a page holds fewer values than its levels say", c.name)
}

// list is one row's values, in a layout where a row holds a whole episode.
type list[V any] struct {
	values []V // [steps, width], good until the next row
	steps  int
	fault  Reason // "" where every vector has width values
	detail string
}

// episodeLevels is how many levels of a row are read at a time where a row
// holds an episode.
const episodeLevels = 1 << 14

// nextList is the next row, which holds a list of vectors (depth 2) or a list of
// numbers (depth 1), of at most limit values. It appends to into[:0].
func (c *column[V]) nextList(into []V, limit int) (list[V], error) {
	out := list[V]{values: into[:0]}
	length := 0 // of the current vector
	for began := false; ; began = true {
		more, err := c.refill(episodeLevels)
		if err != nil {
			return out, err
		}
		if !more && !began {
			return out, fmt.Errorf("column %q ends early", c.name)
		}
		if !more || (began && c.repetition[c.usedLevels] == 0) {
			break
		}
		if c.repetition[c.usedLevels] < 2 { // a number at depth 1, a vector at depth 2
			c.endVector(&out, length)
			out.steps++
			length = 0
		}
		length++
		if err := c.takeInto(&out, limit); err != nil {
			return out, err
		}
	}
	c.endVector(&out, length)
	return out, nil
}

// refill reads on where all levels were handed out; false at the row group's end.
func (c *column[V]) refill(levels int) (more bool, err error) {
	if c.usedLevels < c.levels {
		return true, nil
	}
	c.compact()
	if err := c.fill(levels); err != nil {
		return false, err
	}
	return c.levels > 0, nil
}

// takeInto moves one level, and its value if it has one, into the list.
func (c *column[V]) takeInto(out *list[V], limit int) error {
	defined := c.definition[c.usedLevels] == c.defined
	c.usedLevels++
	if !defined {
		out.reject(MissingValue, "step %d: %s is null or empty", out.steps-1, c.name)
		return nil
	}
	if c.usedCount == c.count {
		return c.shortPage()
	}
	if len(out.values) < limit {
		out.values = append(out.values, c.values[c.usedCount])
	} else {
		out.reject(TooLong, "%s has more than %d values", c.name, limit)
	}
	c.usedCount++
	return nil
}

// endVector checks the length of the list's last vector.
func (c *column[V]) endVector(out *list[V], length int) {
	if out.steps > 0 && length != c.width {
		out.reject(Ragged, "step %d: %s has %d values, want %d", out.steps-1, c.name, length, c.width)
	}
}

// reject keeps the first reason.
func (l *list[V]) reject(reason Reason, format string, args ...any) {
	if l.fault == "" {
		l.fault, l.detail = reason, fmt.Sprintf(format, args...)
	}
}
