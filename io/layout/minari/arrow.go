package minari

import (
	"errors"
	"fmt"
	"io"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
	"diffstitch/io/storage"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
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

// ErrNotArrow is returned for an Arrow file that cannot be read.
var ErrNotArrow = errors.New("not a whole Arrow file")

// openArrow opens an Arrow file.
func openArrow(o layout.Opened, opts layout.Options) (_ layout.Reader, err error) {
	defer recovered(&err)
	records, err := readArrow(o.Handle)
	if err != nil {
		return nil, err
	}
	leaves := map[string]parquet.Leaf{}
	for _, field := range records.Schema().Fields() {
		arrowLeaves(leaves, field, "", 0)
	}
	f := layout.File{Path: o.Path, Bytes: o.Handle.Size(), MaxEpisodeSteps: opts.MaxEpisodeSteps}
	if f.Columns, err = layout.Bind(leaves, layout.Minari, opts); err != nil {
		return nil, err
	}
	width := func(l parquet.Leaf) (int, error) { return firstLength(records, l) }
	if _, err := f.Columns.Arrange(layout.Minari, width); err != nil {
		return nil, err
	}
	r := &reader{bytes: o.Handle.Size()}
	for i := range records.NumRecords() {
		record, err := records.RecordBatch(i)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotArrow, err)
		}
		r.count += record.NumRows()
		if record.NumRows() < 0 || r.count > maxArrowGrowth*o.Handle.Size() {
			return nil, fmt.Errorf("%w: it claims %d rows", ErrNotArrow, r.count)
		}
		if i == 0 && record.NumRows() > 0 {
			if err := arrowWidths(&f, record); err != nil {
				return nil, err
			}
		}
	}
	f.Schema.Layout, f.Schema.Columns, f.Schema.Narrowed = layout.Minari, f.Columns.Names(), f.Columns.Narrowed()
	r.rows = func() (*layout.Block, error) { return arrowRows(o.Handle, f, int(r.count)) }
	return r, r.hold(f)
}

// readArrow reads a file into memory.
func readArrow(handle *storage.File) (reader *ipc.FileReader, err error) {
	defer recovered(&err)
	if handle.Size() > maxArrow {
		return nil, fmt.Errorf("%w: it has %d bytes, more than the %d that an episode may take", ErrNotArrow, handle.Size(), maxArrow)
	}
	data, err := io.ReadAll(handle.Reader())
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

// arrowLeaves adds the columns of a field, by the names that [parquet.File.Leaves] gives.
func arrowLeaves(leaves map[string]parquet.Leaf, field arrow.Field, prefix string, depth int) {
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
		leaves[name] = parquet.Leaf{Name: name, Kind: arrowKind(t), Depth: depth}
	}
}

// arrowKind is the physical type that Parquet has for a type; a byte array for
// what is neither a number nor a flag.
func arrowKind(t arrow.DataType) parquet.Kind {
	switch t.ID() {
	case arrow.FLOAT64:
		return parquet.Double
	case arrow.FLOAT32, arrow.FLOAT16:
		return parquet.Float
	case arrow.BOOL:
		return parquet.Boolean
	case arrow.INT64, arrow.UINT64, arrow.UINT32:
		return parquet.Int64
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.UINT8, arrow.UINT16:
		return parquet.Int32
	default:
		return parquet.ByteArray
	}
}

// arrowWidths takes the widths of vectors from their first row.
func arrowWidths(f *layout.File, record arrow.RecordBatch) error {
	size := func(l parquet.Leaf) int { return firstList(record, l) }
	total := func(l parquet.Leaf) (width int) {
		if l.Parts == nil {
			return size(l)
		}
		for i, part := range l.Parts {
			l.Parts[i].Size = size(part)
			width += l.Parts[i].Size
		}
		return width
	}
	f.Schema.ObservationDim, f.Schema.ActionDim = total(f.Columns["observations"]), total(f.Columns["actions"])
	for _, width := range []int{f.Schema.ObservationDim, f.Schema.ActionDim} {
		if width < 1 || width > parquet.MaxWidth {
			return fmt.Errorf("%w: observations of %d values and actions of %d; want 1 to %d", parquet.ErrColumns, f.Schema.ObservationDim, f.Schema.ActionDim, parquet.MaxWidth)
		}
	}
	return nil
}

// firstLength is the length of a column's first list; 0 where there are no rows.
func firstLength(records *ipc.FileReader, l parquet.Leaf) (int, error) {
	if records.NumRecords() == 0 {
		return 0, nil
	}
	record, err := records.RecordBatch(0)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotArrow, err)
	}
	if record.NumRows() == 0 {
		return 0, nil
	}
	return firstList(record, l), nil
}

func firstList(record arrow.RecordBatch, l parquet.Leaf) int {
	if lists, ok := arrowColumn(record, l.Name).(array.ListLike); ok {
		start, end := lists.ValueOffsets(0)
		return int(end - start)
	}
	return 1
}

// recovered turns a panic of the Arrow library into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrNotArrow, p)
	}
}
