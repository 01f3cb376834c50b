package dataset

import (
	"fmt"
	"io"
	"slices"

	"diffstitch/io/storage"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet"
)

const (
	arrowMagic = "ARROW1\x00\x00"
	// maxArrow is the largest Arrow file that is read: it is held in memory.
	maxArrow = 1 << 30
)

// isArrow is whether a file begins as an Arrow file does.
func isArrow(handle *storage.File) bool {
	if handle.Info().IsDir() {
		return false
	}
	var head [len(arrowMagic)]byte
	n, _ := handle.ReadAt(head[:], 0) // what cannot be read is no Arrow file
	return string(head[:n]) == arrowMagic
}

// loadArrow opens an Arrow file, which holds an episode of the Minari layout.
func (f *File) loadArrow(asked string, opts Options) (err error) {
	defer recoveredAs(ErrNotArrow, &err)
	if asked == "" {
		asked = Minari
	}
	if asked != Minari {
		return fmt.Errorf("%w: an Arrow file is read as layout %s, not %s", ErrColumns, Minari, asked)
	}
	reader, err := f.openArrow()
	if err != nil {
		return err
	}
	leaves := map[string]leaf{}
	for _, field := range reader.Schema().Fields() {
		arrowLeaves(leaves, field, "", 0)
	}
	if _, err := f.bind(leaves, asked, opts); err != nil {
		return err
	}
	w := &whole{rows: f.arrowRows, bytes: f.handle.Size()}
	for i := range reader.NumRecords() {
		record, err := reader.RecordBatch(i)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotArrow, err)
		}
		w.count += record.NumRows()
		if record.NumRows() < 0 || w.count > maxArrowGrowth*f.handle.Size() {
			return fmt.Errorf("%w: it claims %d rows", ErrNotArrow, w.count)
		}
		if i == 0 && record.NumRows() > 0 {
			if err := f.arrowWidths(record); err != nil {
				return err
			}
		}
	}
	f.schema.Layout, f.schema.Columns = Minari, f.bound.names()
	return f.holdWhole(w)
}

// openArrow reads the file into memory.
func (f *File) openArrow() (reader *ipc.FileReader, err error) {
	defer recoveredAs(ErrNotArrow, &err)
	if f.handle.Size() > maxArrow {
		return nil, fmt.Errorf("%w: it has %d bytes, more than the %d that an episode may take", ErrNotArrow, f.handle.Size(), maxArrow)
	}
	data, err := io.ReadAll(f.handle.Reader())
	if err != nil {
		return nil, err
	}
	if err := checkArrow(data); err != nil {
		return nil, err
	}
	reader, err = ipc.NewMappedFileReader(data, ipc.WithAllocator(newBoundedAllocator(len(data))))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotArrow, err)
	}
	return reader, nil
}

// arrowLeaves adds the columns of a field, by the names that [topLeaves] gives.
func arrowLeaves(leaves map[string]leaf, field arrow.Field, prefix string, depth int) {
	name := prefix + field.Name
	switch t := field.Type.(type) {
	case *arrow.StructType:
		if depth > 0 {
			return
		}
		for _, member := range t.Fields() {
			arrowLeaves(leaves, member, name+".", depth)
		}
	case arrow.ListLikeType:
		element := t.ElemField()
		element.Name = field.Name
		arrowLeaves(leaves, element, prefix, depth+1)
	default:
		leaves[name] = leaf{name: name, kind: arrowKind(t), depth: depth}
	}
}

// arrowKind is the physical type that Parquet has for a type; a byte array for
// what is neither a number nor a flag.
func arrowKind(t arrow.DataType) parquet.Type {
	switch t.ID() {
	case arrow.FLOAT64:
		return parquet.Types.Double
	case arrow.FLOAT32:
		return parquet.Types.Float
	case arrow.BOOL:
		return parquet.Types.Boolean
	case arrow.INT64, arrow.UINT64, arrow.UINT32:
		return parquet.Types.Int64
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.UINT8, arrow.UINT16:
		return parquet.Types.Int32
	default:
		return parquet.Types.ByteArray
	}
}

// arrowWidths takes the widths of vectors from their first row.
func (f *File) arrowWidths(record arrow.RecordBatch) error {
	size := func(l leaf) int {
		if lists, ok := arrowColumn(record, l.name).(array.ListLike); ok {
			start, end := lists.ValueOffsets(0)
			return int(end - start)
		}
		return 1
	}
	total := func(l leaf) (width int) {
		if l.parts == nil {
			return size(l)
		}
		for i, part := range l.parts {
			l.parts[i].size = size(part)
			width += l.parts[i].size
		}
		return width
	}
	f.schema.ObservationDim, f.schema.ActionDim = total(f.bound["observations"]), total(f.bound["actions"])
	for _, width := range []int{f.schema.ObservationDim, f.schema.ActionDim} {
		if width < 1 || width > maxWidth {
			return fmt.Errorf("%w: observations of %d values and actions of %d; want 1 to %d", ErrColumns, f.schema.ObservationDim, f.schema.ActionDim, maxWidth)
		}
	}
	return nil
}

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

// arrowRows reads all rows.
func (f *File) arrowRows() (rows *block, err error) {
	defer recoveredAs(ErrNotArrow, &err)
	reader, err := f.openArrow()
	if err != nil {
		return nil, err
	}
	rows = &block{}
	for i := range reader.NumRecords() {
		record, err := reader.RecordBatch(i)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotArrow, err)
		}
		b := &block{rows: int(record.NumRows())}
		for name, l := range f.bound {
			if err := arrowPlace(b, record, name, l, f.schema); err != nil {
				return nil, err
			}
		}
		rows.grow(b, int(f.whole.count))
	}
	return rows, nil
}

// arrowPlace puts a column of the layout where it belongs in the block.
func arrowPlace(b *block, record arrow.RecordBatch, name string, l leaf, s Schema) (err error) {
	switch name {
	case "observations":
		b.observations, err = arrowVectors(record, l, s.ObservationDim, arrowFloat)
	case "actions":
		b.actions, err = arrowVectors(record, l, s.ActionDim, arrowFloat)
	case "rewards":
		b.rewards, err = arrowVectors(record, l, 1, arrowFloat)
	case "qualification_error":
		b.qualification, err = arrowVectors(record, l, 1, arrowFloat)
	case "terminals":
		b.terminals, err = arrowVectors(record, l, 1, arrowFlag)
	case "timeouts":
		b.timeouts, err = arrowVectors(record, l, 1, arrowFlag)
	case "generated":
		b.generated, err = arrowVectors(record, l, 1, arrowFlag)
	}
	return err
}

// arrowVectors are the rows of a column, or of several that make up a vector.
func arrowVectors[V any](record arrow.RecordBatch, l leaf, width int, convert func(arrow.Array) (func(int) V, error)) (vectors[V], error) {
	if l.parts == nil {
		l.size = width
		return arrowVector(record, l, convert)
	}
	var parts []vectors[V]
	for _, part := range l.parts {
		v, err := arrowVector(record, part, convert)
		if err != nil {
			return v, err
		}
		parts = append(parts, v)
	}
	joined, _ := joinVectors(parts, int(record.NumRows()), nil)
	return joined, nil
}

// arrowVector are the rows of one column, of l.size values each.
func arrowVector[V any](record arrow.RecordBatch, l leaf, convert func(arrow.Array) (func(int) V, error)) (vectors[V], error) {
	rows := int(record.NumRows())
	if rows*l.size > maxEpisodeValues {
		return vectors[V]{}, fmt.Errorf("%w: column %q has more than %d values", ErrNotArrow, l.name, maxEpisodeValues)
	}
	out := vectors[V]{width: l.size, values: make([]V, rows*l.size), lengths: make([]int32, rows)}
	column := arrowColumn(record, l.name)
	values, lists := column, array.ListLike(nil)
	if found, ok := column.(array.ListLike); ok {
		values, lists = found.ListValues(), found
	}
	if fixed, ok := column.(*array.FixedSizeList); ok && fixed.ListValues().Len() < rows*l.size {
		return vectors[V]{}, fmt.Errorf("%w: column %q claims %d rows of %d values, and holds %d values", ErrNotArrow, l.name, rows, l.size, fixed.ListValues().Len())
	}
	value, err := convert(values)
	if err != nil {
		return out, fmt.Errorf("%w: column %q: %w", ErrColumns, l.name, err)
	}
	for row := range rows {
		start, end := int64(row), int64(row)+1
		if lists != nil {
			start, end = lists.ValueOffsets(row)
		}
		if column.IsNull(row) {
			out.lengths[row] = absent
			continue
		}
		out.setRow(row, values, start, end, value)
	}
	if !slices.ContainsFunc(out.lengths, func(length int32) bool { return int(length) != l.size }) {
		out.lengths = nil
	}
	return out, nil
}

// setRow takes the values [start, end); with a null among them the row is absent.
func (v *vectors[V]) setRow(row int, values arrow.Array, start, end int64, value func(int) V) {
	v.lengths[row] = int32(end - start)
	for i := start; i < end; i++ {
		if values.IsNull(int(i)) {
			v.lengths[row] = absent
			return
		}
		if at := int(i - start); at < v.width {
			v.values[row*v.width+at] = value(int(i))
		}
	}
}

// arrowFloat gives the numbers or flags of an array.
func arrowFloat(values arrow.Array) (func(int) float32, error) {
	switch a := values.(type) {
	case *array.Float32:
		return a.Value, nil
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

// arrowFlag gives the flags of an array.
func arrowFlag(values arrow.Array) (func(int) bool, error) {
	if a, ok := values.(*array.Boolean); ok {
		return a.Value, nil
	}
	return nil, fmt.Errorf("it holds %v, want flags", values.DataType())
}
