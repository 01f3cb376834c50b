package parquet

import (
	"errors"
	"fmt"
	"slices"
)

// probeLevels is how many levels of a list column are read to see its width.
const probeLevels = 1 << 14

// Width is the most frequent length of the column's first vectors; 0 in a file
// without rows.
func (f *File) Width(l Leaf) (int, error) {
	g := slices.IndexFunc(f.starts, func(start int64) bool { return start > 0 }) - 1
	if g < 0 {
		return 0, nil
	}
	c := NewColumn(l, Floats, 0)
	if err := c.open(f.group(g)); err != nil {
		return 0, err
	}
	err := c.fill(probeLevels)
	if first := slices.IndexFunc(c.repetition[min(1, c.levels):c.levels], func(r int16) bool { return int(r) < l.Depth }); err == nil && first < 0 {
		err = c.fill(MaxWidth + 1) // the first vector is longer
	}
	if err := errors.Join(err, c.Close()); err != nil {
		return 0, err
	}
	width := commonLength(c.definition[:c.levels], c.repetition[:c.levels], l)
	switch {
	case width == 0:
		return 0, fmt.Errorf("%w: column %q begins without any values", ErrColumns, l.Name)
	case width > MaxWidth:
		return 0, fmt.Errorf("%w: column %q has vectors of more than %d values", ErrColumns, l.Name, MaxWidth)
	}
	return width, nil
}

// commonLength is the most frequent length among whole vectors, 0 where there
// is none.
func commonLength(definition, repetition []int16, l Leaf) int {
	counts := map[int]int{}
	length, best := 0, 0
	for i := range definition {
		if i > 0 && int(repetition[i]) < l.Depth {
			counts[length]++
			length = 0
		}
		if definition[i] == l.defined {
			length++
		}
	}
	if len(counts) == 0 || len(definition) < probeLevels { // the last one is whole
		counts[length]++
	}
	delete(counts, 0)
	for n, count := range counts {
		if count > counts[best] || (count == counts[best] && n > best) {
			best = n
		}
	}
	return best
}
