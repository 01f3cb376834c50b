package parquet

import "slices"

// Vectors is a batch of rows of one column. Its slices belong to the column and
// hold until the next batch.
type Vectors[V any] struct {
	Width  int
	Values []V // [rows, Width]; zero where a row has another length
	// Lengths is nil where every row has Width values; else the length of each,
	// or Absent for a row that is null or holds a null.
	Lengths []int32
}

// Absent is the length of a row that is null or holds a null.
const Absent = -1

// OK is whether the row's values are all there.
func (v *Vectors[V]) OK(row int) bool {
	return v.Lengths == nil || v.Lengths[row] == int32(v.Width)
}

// Row is the row's values, [Width].
func (v *Vectors[V]) Row(row int) []V { return v.Values[row*v.Width : (row+1)*v.Width] }

// Slice is the rows [from, to).
func (v *Vectors[V]) Slice(from, to int) []V { return v.Values[from*v.Width : to*v.Width] }

// EveryRow is one value on each of so many rows.
func EveryRow[V any](value V, rows int) Vectors[V] {
	return Vectors[V]{Width: 1, Values: slices.Repeat([]V{value}, rows)}
}

// Blank takes out the values of some rows.
func (v *Vectors[V]) Blank(rows func(int) bool) {
	count := len(v.Values) / v.Width
	if v.Lengths == nil {
		v.Lengths = slices.Repeat([]int32{int32(v.Width)}, count)
	}
	for row := range count {
		if rows(row) {
			v.Lengths[row] = Absent
		}
	}
}

// Grow appends the rows of another batch, in arrays with room for total rows.
func (v *Vectors[V]) Grow(o *Vectors[V], rows, total int) {
	if o.Width == 0 {
		return
	}
	if v.Values == nil {
		v.Values = make([]V, 0, min(total*o.Width, MaxCache/4))
	}
	before := len(v.Values) / o.Width
	v.Width = o.Width
	v.Values = append(v.Values, o.Values...)
	if o.Lengths == nil && v.Lengths == nil {
		return
	}
	if v.Lengths == nil {
		v.Lengths = slices.Repeat([]int32{int32(v.Width)}, before)
	}
	if o.Lengths == nil {
		v.Lengths = append(v.Lengths, slices.Repeat([]int32{int32(v.Width)}, rows)...)
		return
	}
	v.Lengths = append(v.Lengths, o.Lengths...)
}

// JoinVectors puts the parts of each row side by side, in memory that may be used
// again. A row is as odd as its first odd part.
func JoinVectors[V any](parts []Vectors[V], rows int, memory []V) (joined Vectors[V], _ []V) {
	for _, part := range parts {
		joined.Width += part.Width
	}
	memory = slices.Grow(memory[:0], rows*joined.Width)[:rows*joined.Width]
	joined.Values = memory
	at := 0
	for _, part := range parts {
		for row := range rows {
			copy(joined.Values[row*joined.Width+at:], part.Row(row))
			if part.OK(row) {
				continue
			}
			if joined.Lengths == nil {
				joined.Lengths = slices.Repeat([]int32{int32(joined.Width)}, rows)
			}
			switch length := part.Lengths[row]; {
			case length == Absent:
				joined.Lengths[row] = Absent
			case joined.Lengths[row] == int32(joined.Width): // parts must not make up for each other
				joined.Lengths[row] += length - int32(part.Width)
			}
		}
		at += part.Width
	}
	return joined, memory
}
