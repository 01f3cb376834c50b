package table

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"diffstitch/io/parquet"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// partFields are the columns of a file of D*.
func partFields(path string) (fields []parquet.Field, err error) {
	handle, err := storage.Open(path)
	if err != nil {
		return nil, err
	}
	defer handle.Close() // nothing was written
	file, err := parquet.Open(handle)
	if err != nil {
		return nil, err
	}
	leaves, err := file.Leaves()
	if err != nil {
		return nil, err
	}
	if err := file.CheckGroups(handle.Size(), maps.Values(leaves)); err != nil {
		return nil, err
	}
	return file.Fields()
}

// fieldsOf are the columns of a snapshot, which all its files must have, with lists as
// wide as the manifest says.
func fieldsOf(m snapshot.Manifest, paths []string) (fields []parquet.Field, err error) {
	widths := map[string]int{"observations": m.ObservationDim, "next_observations": m.ObservationDim, "actions": m.ActionDim}
	for i, path := range paths {
		found, err := partFields(path)
		if err != nil {
			return nil, fmt.Errorf("table: reading the columns of %q: %w: %w", path, ErrNotPublished, err)
		}
		for _, f := range found {
			if f.List != widths[f.Name] {
				return nil, fmt.Errorf("table: %q has %d values a row in %q, where the manifest says %d: %w", path, f.List, f.Name, widths[f.Name], ErrNotPublished)
			}
		}
		if i > 0 && !slices.Equal(fields, found) {
			return nil, fmt.Errorf("table: %q has other columns than %q: %w", path, paths[0], ErrNotPublished)
		}
		fields = found
	}
	return fields, nil
}

// kinds are the types of values as a table has them.
var kinds = map[parquet.Kind]iceberg.Type{
	parquet.Boolean: iceberg.PrimitiveTypes.Bool, parquet.Int32: iceberg.PrimitiveTypes.Int32, parquet.Int64: iceberg.PrimitiveTypes.Int64,
	parquet.Float: iceberg.PrimitiveTypes.Float32, parquet.Double: iceberg.PrimitiveTypes.Float64, parquet.ByteArray: iceberg.PrimitiveTypes.String,
}

// schemaOf are columns as a table has them. What is never null is required, and so are
// the elements of lists.
func schemaOf(fields []parquet.Field) (*iceberg.Schema, error) {
	var columns []iceberg.NestedField
	for i, f := range fields {
		t, known := kinds[f.Kind]
		if !known {
			return nil, fmt.Errorf("table: column %q holds %v: %w", f.Name, f.Kind, ErrNotPublished)
		}
		if f.List > 0 {
			t = &iceberg.ListType{ElementID: len(fields) + i + 1, Element: t, ElementRequired: true}
		}
		columns = append(columns, iceberg.NestedField{ID: i + 1, Name: f.Name, Type: t, Required: !f.Nullable})
	}
	return iceberg.NewSchema(0, columns...), nil
}

// widths are the properties of a table that say how wide its lists are, which the types
// of its columns do not.
func widths(m snapshot.Manifest) iceberg.Properties {
	return iceberg.Properties{observation: fmt.Sprint(m.ObservationDim), action: fmt.Sprint(m.ActionDim)}
}

// fits holds a snapshot's columns and widths against the table's.
func fits(t *table.Table, name string, m snapshot.Manifest, schema *iceberg.Schema) error {
	if t.Properties()[observation] == "" || t.Properties()[action] == "" || !t.Spec().IsUnpartitioned() {
		return fmt.Errorf("table: %s: %w: it was made by something else or partitioned since; give another name", name, ErrForeign)
	}
	wrong := differences(described(t.Schema()), described(schema))
	for key, width := range widths(m) {
		if has := t.Properties()[key]; has != width {
			wrong = append(wrong, fmt.Sprintf("its %s is %s, that of D* %s", strings.TrimPrefix(key, prefix), has, width))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("table: %s: %w: %s; publish to another table", name, ErrColumns, strings.Join(wrong, "; "))
}

// described are the types of columns in words, by name.
func described(s *iceberg.Schema) map[string]string {
	types := map[string]string{}
	for _, f := range s.Fields() {
		words := f.Type.String()
		if list, is := f.Type.(*iceberg.ListType); is && !list.ElementRequired {
			words = fmt.Sprintf("list<optional %v>", list.Element)
		}
		if !f.Required {
			words = "optional " + words
		}
		types[f.Name] = words
	}
	return types
}

func differences(table, found map[string]string) (wrong []string) {
	for name, t := range table {
		switch f, has := found[name]; {
		case !has:
			wrong = append(wrong, fmt.Sprintf("D* has no column %q", name))
		case f != t:
			wrong = append(wrong, fmt.Sprintf("column %q is %s in the table and %s in D*", name, t, f))
		}
	}
	for name := range found {
		if _, has := table[name]; !has {
			wrong = append(wrong, fmt.Sprintf("the table has no column %q", name))
		}
	}
	return wrong
}
