package minari

import (
	"fmt"
	"slices"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
	"diffstitch/io/storage"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// arrowColumn is the array of a column, or a member of one.
func arrowColumn(record arrow.RecordBatch, name string) arrow.Array {
	for i, field := range record.Schema().Fields() {
		if found := arrowMember(record.Column(i), field.Name, name); found != nil {
			return found
		}
	}
	return nil
}

func arrowMember(column arrow.Array, at, name string) arrow.Array {
	if at == name {
		return column
	}
	members, ok := column.(*array.Struct)
	if !ok {
		return nil
	}
	for i, field := range members.DataType().(*arrow.StructType).Fields() {
		if found := arrowMember(members.Field(i), at+"."+field.Name, name); found != nil {
			return found
		}
	}
	return nil
}

// arrowRows reads all rows, so many.
func arrowRows(handle *storage.File, f layout.File, count int) (rows *layout.Block, err error) {
	defer recovered(&err)
	reader, err := readArrow(handle)
	if err != nil {
		return nil, err
	}
	rows = &layout.Block{}
	for i := range reader.NumRecords() {
		record, err := reader.RecordBatch(i)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotArrow, err)
		}
		b := &layout.Block{Rows: int(record.NumRows())}
		for name, l := range f.Columns {
			if err := arrowPlace(b, record, name, l, f.Schema); err != nil {
				return nil, err
			}
		}
		rows.Grow(b, count)
	}
	return rows, nil
}

// arrowPlace puts a column of the layout where it belongs in the block.
func arrowPlace(b *layout.Block, record arrow.RecordBatch, name string, l parquet.Leaf, s layout.Schema) (err error) {
	switch name {
	case "observations":
		b.Observations, err = arrowVectors(record, l, s.ObservationDim, arrowFloat)
	case "actions":
		b.Actions, err = arrowVectors(record, l, s.ActionDim, arrowFloat)
	case "rewards":
		b.Rewards, err = arrowVectors(record, l, 1, arrowFloat)
	case "qualification_error":
		b.Qualification, err = arrowVectors(record, l, 1, arrowFloat)
	case layout.Residual:
		b.Residuals, err = arrowVectors(record, l, 1, arrowFloat)
	case "from_episode_id":
		b.FromIDs, err = arrowVectors(record, l, 1, arrowWhole)
	case "from_step":
		b.FromSteps, err = arrowVectors(record, l, 1, arrowWhole)
	case "terminals":
		b.Terminals, err = arrowVectors(record, l, 1, arrowFlag)
	case "timeouts":
		b.Timeouts, err = arrowVectors(record, l, 1, arrowFlag)
	case "generated":
		b.Generated, err = arrowVectors(record, l, 1, arrowFlag)
	}
	return err
}

// arrowVectors are the rows of a column, or of several that make up a vector.
func arrowVectors[V any](record arrow.RecordBatch, l parquet.Leaf, width int, convert func(arrow.Array) (func(int) V, error)) (parquet.Vectors[V], error) {
	if l.Parts == nil {
		l.Size = width
		return arrowVector(record, l, convert)
	}
	var parts []parquet.Vectors[V]
	for _, part := range l.Parts {
		v, err := arrowVector(record, part, convert)
		if err != nil {
			return v, err
		}
		parts = append(parts, v)
	}
	joined, _ := parquet.JoinVectors(parts, int(record.NumRows()), nil)
	return joined, nil
}

// arrowVector are the rows of one column, of l.Size values each.
func arrowVector[V any](record arrow.RecordBatch, l parquet.Leaf, convert func(arrow.Array) (func(int) V, error)) (parquet.Vectors[V], error) {
	rows := int(record.NumRows())
	if rows*l.Size > parquet.MaxEpisodeValues {
		return parquet.Vectors[V]{}, fmt.Errorf("%w: column %q has more than %d values", ErrNotArrow, l.Name, parquet.MaxEpisodeValues)
	}
	out := parquet.Vectors[V]{Width: l.Size, Values: make([]V, rows*l.Size), Lengths: make([]int32, rows)}
	column := arrowColumn(record, l.Name)
	values, lists := column, array.ListLike(nil)
	if found, ok := column.(array.ListLike); ok {
		values, lists = found.ListValues(), found
	}
	if fixed, ok := column.(*array.FixedSizeList); ok && fixed.ListValues().Len() < rows*l.Size {
		return parquet.Vectors[V]{}, fmt.Errorf("%w: column %q claims %d rows of %d values, and holds %d values", ErrNotArrow, l.Name, rows, l.Size, fixed.ListValues().Len())
	}
	value, err := convert(values)
	if err != nil {
		return out, fmt.Errorf("%w: column %q: %w", parquet.ErrColumns, l.Name, err)
	}
	for row := range rows {
		start, end := int64(row), int64(row)+1
		if lists != nil {
			start, end = lists.ValueOffsets(row)
		}
		if column.IsNull(row) {
			out.Lengths[row] = parquet.Absent
			continue
		}
		setRow(&out, row, values, start, end, value)
	}
	if !slices.ContainsFunc(out.Lengths, func(length int32) bool { return int(length) != l.Size }) {
		out.Lengths = nil
	}
	return out, nil
}

// setRow takes the values [start, end) as a row; with a null among them it is absent.
func setRow[V any](v *parquet.Vectors[V], row int, values arrow.Array, start, end int64, value func(int) V) {
	v.Lengths[row] = int32(end - start)
	for i := start; i < end; i++ {
		if values.IsNull(int(i)) {
			v.Lengths[row] = parquet.Absent
			return
		}
		if at := int(i - start); at < v.Width {
			v.Values[row*v.Width+at] = value(int(i))
		}
	}
}

// arrowFloat gives the numbers or flags of an array.
func arrowFloat(values arrow.Array) (func(int) float32, error) {
	switch a := values.(type) {
	case *array.Float32:
		return a.Value, nil
	case *array.Float16:
		return func(i int) float32 { return parquet.FromHalf(a.Value(i)) }, nil
	case *array.Float64:
		return func(i int) float32 { return float32(a.Value(i)) }, nil
	case *array.Int64:
		return func(i int) float32 { return float32(a.Value(i)) }, nil
	case *array.Int32:
		return func(i int) float32 { return float32(a.Value(i)) }, nil
	case *array.Int8:
		return func(i int) float32 { return float32(a.Value(i)) }, nil
	case *array.Boolean:
		return func(i int) float32 {
			if a.Value(i) {
				return 1
			}
			return 0
		}, nil
	}
	return nil, fmt.Errorf("it holds %v, want numbers", values.DataType())
}

// arrowWhole gives the whole numbers of an array.
func arrowWhole(values arrow.Array) (func(int) int64, error) {
	if a, ok := values.(*array.Int64); ok {
		return a.Value, nil
	}
	return nil, fmt.Errorf("it holds %v, want 64-bit integers", values.DataType())
}

// arrowFlag gives the flags of an array.
func arrowFlag(values arrow.Array) (func(int) bool, error) {
	if a, ok := values.(*array.Boolean); ok {
		return a.Value, nil
	}
	return nil, fmt.Errorf("it holds %v, want flags", values.DataType())
}
